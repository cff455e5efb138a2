//! The custom steps of a workflow: where each component comes from, which bytes it is, and what it may do. In `check` with its
//! expressions as they are written, in a plan with their values.

use engine_core::id::Digest;
use engine_core::plan::Plan;
use engine_core::workflow::Workflow;
use serde_json::json;
use steps_sdk::Value;
use steps_sdk::grant::{Grants, GuestLimits};
use steps_sdk::value::Span;

use super::line::Line;
use super::look::{Look, Style};
use super::sheet::Sheet;

/// One component with what it may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Custom {
    pub name: String,
    pub source: String,
    pub digest: Digest,
    pub grants: Grants,
    pub limits: GuestLimits,
}

/// Those of a plan.
pub fn of_plan(plan: &Plan) -> Vec<Custom> {
    let custom = |component: &engine_core::plan::PlannedComponent| Custom {
        name: component.name.clone(),
        source: component.source.clone(),
        digest: component.digest.clone(),
        grants: component.grants.clone(),
        limits: component.limits,
    };
    plan.components.iter().map(custom).collect()
}

/// Those of a workflow whose inputs are not known.
pub fn of_workflow(workflow: &Workflow) -> Vec<Custom> {
    let custom = |component: &engine_core::workflow::Component| Custom {
        name: component.name.value.clone(),
        source: component.source.to_string(),
        digest: component.digest.clone(),
        grants: workflow.grants_as_written(component),
        limits: component.limits,
    };
    workflow.components.iter().map(custom).collect()
}

/// A text of its own, for `check`; empty when there are none.
pub fn text(all: &[Custom], look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    section(&mut sheet, all);
    sheet.render()
}

/// A heading, then each component with one line a grant; nothing when there are none.
pub(super) fn section(sheet: &mut Sheet<'_>, all: &[Custom]) {
    if all.is_empty() {
        return;
    }
    sheet.push(Line::new().with(Style::Strong, "Custom steps and what they may do"));
    for custom in all {
        let head = format!("{}.* from {}, digest {}", custom.name, custom.source, custom.digest.short());
        sheet.labelled("steps", Style::Normal, &head);
        let grants: Vec<String> = custom.grants.indices().map(|index| custom.grants.words(index)).collect();
        for (at, grant) in grants.iter().enumerate() {
            sheet.labelled(if at == 0 { "may" } else { "" }, Style::Normal, grant);
        }
        if grants.is_empty() {
            sheet.labelled("may", Style::Normal, "compute, and nothing else");
        }
        sheet.labelled("within", Style::Quiet, &limits_text(custom.limits));
    }
    sheet.gap();
}

/// `64 MiB of memory, 5m for a call, 30s of computing`.
fn limits_text(limits: GuestLimits) -> String {
    let time = |ms| Span(std::time::Duration::from_millis(ms));
    let memory = match limits.memory_bytes {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    };
    format!("{memory} of memory, {} for a call, {} of computing", time(limits.wall_ms), time(limits.cpu_ms))
}

/// For `engine.plan/v1` and `engine.check/v1`: a grant in words and in full. A secret is where it is, never what it is.
pub fn json(custom: &Custom) -> Value {
    let words: Vec<String> = custom.grants.indices().map(|index| custom.grants.words(index)).collect();
    json!({
        "name": custom.name, "source": custom.source, "digest": custom.digest, "may": words, "grants": custom.grants,
        "limits": custom.limits,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_fits, cdn};
    use super::*;

    #[test]
    fn each_component_has_its_grants_in_words() {
        let plain = Custom { name: "policy".into(), grants: Grants::default(), ..cdn() };
        let text = text(&[cdn(), plain], &Look::plain());
        assert_fits(&text);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_workflow_without_components_has_no_such_section() {
        assert_eq!(text(&[], &Look::plain()), "");
    }

    #[test]
    fn what_a_component_says_of_itself_cannot_move_the_cursor() {
        let hostile = Custom { source: "./\u{1b}[2J\nmay nothing.wasm".into(), ..cdn() };
        assert!(!text(&[hostile], &Look::plain()).contains('\u{1b}'));
    }

    #[test]
    fn json_has_the_words_and_the_grants_themselves() {
        let json = json(&cdn());
        assert_eq!(
            json.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["name", "source", "digest", "may", "grants", "limits"]
        );
        assert_eq!(json["may"].as_array().unwrap().len(), 3);
        assert_eq!(json["grants"]["http"][0]["inject"]["secret"], json!({ "from": "env", "name": "CDN_TOKEN" }));
        assert_eq!(json["limits"], json!({ "memory_bytes": 67108864, "wall_ms": 30000, "cpu_ms": 30000 }));
    }
}
