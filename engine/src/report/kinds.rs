//! The list of all kinds: what `engine explain` prints when nothing is asked for.

use serde_json::{Value, json};
use steps_sdk::StepSpec;

use super::line::Line;
use super::look::{Look, Style};
use super::sheet::Sheet;
use super::words;

/// One line for each kind with the first line of its doc, then how to ask for more.
pub fn text(kinds: &[&StepSpec], look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    let width = kinds.iter().map(|kind| words::width(kind.kind.as_str())).max().unwrap_or(0);
    for kind in kinds {
        let name = words::pad(kind.kind.as_str(), width);
        sheet.push_fit(Line::new().with(Style::Strong, name).text(format!("  {}", first_line(kind))));
    }
    sheet.gap();
    sheet.push(Line::new().text("more: engine explain KIND, KIND.FIELD, NODE (use, grant, limits, step, …) or CODE"));
    sheet.render()
}

pub fn json(kinds: &[&StepSpec]) -> Value {
    let list: Vec<Value> = kinds
        .iter()
        .map(|kind| json!({ "kind": kind.kind, "version": kind.version, "doc": first_line(kind) }))
        .collect();
    json!({ "schema": "engine.kinds/v1", "kinds": list })
}

fn first_line(kind: &StepSpec) -> &str {
    kind.doc.lines().next().unwrap_or_default()
}
