//! What the engine says about itself: step kinds, their fields, nodes of the language, and error codes.

use engine_core::diagnostic::nearest;
use serde_json::json;
use steps_sdk::schema::{Field, ObjectShape, Schema, Shape};
use steps_sdk::spec::{OnCluster, Outputs, TimeLimit};
use steps_sdk::value::Span;
use steps_sdk::{Effect, EffectOf, StepSpec, UndoDefault, Value};

use super::codes::{self, Section};
use super::line::Line;
use super::look::{Look, Style};
use super::nodes::{self, Node};
use super::sheet::Sheet;
use super::{schema_text, words};

/// Something that can be explained.
#[derive(Debug, Clone, PartialEq)]
pub enum Topic<'a> {
    Kind(&'a StepSpec),
    Field {
        kind: &'a StepSpec,
        /// From the kind's own field to the one that was asked for.
        path: Vec<&'a Field>,
    },
    Node(Node),
    Code(Section),
}

/// There is no such topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{asked}` is no step kind, field, node or error code")]
pub struct Unknown {
    pub asked: String,
    /// What is meant, or what there is instead.
    pub help: String,
}

/// Finds `KIND`, `KIND.FIELD` (with further fields inside it), `NODE` or `CODE`.
pub fn topic<'a>(asked: &str, kinds: &[&'a StepSpec]) -> Result<Topic<'a>, Unknown> {
    if let Some(section) = codes::section(asked) {
        return Ok(Topic::Code(section));
    }
    if let Some(node) = nodes::node(asked) {
        return Ok(Topic::Node(node));
    }
    let unknown = |help: String| Unknown { asked: asked.to_owned(), help };
    let mut parts = asked.split('.');
    let name = [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()].join(".");
    let Some(kind) = kinds.iter().find(|spec| spec.kind.as_str() == name) else {
        return Err(unknown(not_found(asked, kinds)));
    };
    let mut path: Vec<&Field> = Vec::new();
    for part in parts {
        let at =
            path.last().map_or_else(|| kind_fields(kind), |field| schema_text::fields(&field.schema).iter().collect());
        match at.iter().find(|field| field.name == part) {
            Some(field) => path.push(field),
            None => return Err(unknown(no_such_field(part, &at))),
        }
    }
    Ok(if path.is_empty() { Topic::Kind(kind) } else { Topic::Field { kind, path } })
}

fn not_found(asked: &str, kinds: &[&StepSpec]) -> String {
    let upper = asked.to_uppercase();
    let kind = nearest(asked, kinds.iter().map(|spec| spec.kind.as_str()));
    let code = nearest(&upper, codes::sections().map(|section| section.code));
    let node = nearest(asked, nodes::names());
    let of_family: Vec<&str> =
        kinds.iter().filter(|spec| spec.kind.family() == asked).map(|spec| spec.kind.as_str()).collect();
    match (of_family.as_slice(), kind.or(node), code) {
        ([], Some(kind), _) => format!("did you mean `{kind}`?"),
        ([], None, Some(code)) => format!("did you mean `{code}`?"),
        ([], None, None) => {
            let all: Vec<&str> = kinds.iter().map(|spec| spec.kind.as_str()).collect();
            format!("kinds: {}", all.join(", "))
        }
        (family, ..) => format!("kinds of this family: {}", family.join(", ")),
    }
}

fn no_such_field(name: &str, fields: &[&Field]) -> String {
    let names = || fields.iter().map(|field| field.name.as_str());
    match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if fields.is_empty() => "there are no fields inside it".to_owned(),
        None => format!("fields here: {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// The fields of a step of this kind: its inputs, then what it adds to `wait`.
fn kind_fields(kind: &StepSpec) -> Vec<&Field> {
    let mut fields: Vec<&Field> = schema_text::fields(&kind.inputs).iter().collect();
    fields.extend(kind.wait.iter().flat_map(|wait| &wait.fields));
    fields
}

pub fn text(topic: &Topic<'_>, look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    match topic {
        Topic::Kind(kind) => kind_text(&mut sheet, kind),
        Topic::Field { kind, path } => field_text(&mut sheet, kind, path),
        Topic::Node(node) => {
            sheet.push(Line::new().with(Style::Strong, node.name).text(format!("  {}", node.title.to_lowercase())));
            sheet.gap();
            markdown(&mut sheet, node.body);
        }
        Topic::Code(section) => {
            sheet.push(Line::new().with(Style::Strong, section.code).text(format!("  {}", section.title)));
            sheet.gap();
            markdown(&mut sheet, section.body);
        }
    }
    sheet.render()
}

fn kind_text(sheet: &mut Sheet<'_>, kind: &StepSpec) {
    let (first, rest) = kind.doc.split_once('\n').unwrap_or((kind.doc.as_str(), ""));
    sheet.push(Line::new().with(Style::Strong, kind.kind.as_str()).text(format!("  {}", words::clean(first))));
    sheet.gap();
    markdown(sheet, rest.trim());
    sheet.gap();
    section(sheet, "INPUTS");
    match &kind.inputs.shape {
        Shape::Object(object) => fields_text(sheet, object.fields.iter()),
        _ => sheet.labelled_as_is("", &format!("NAME VALUE   {} (may repeat)", schema_text::type_name(&kind.inputs))),
    }
    if let Some(wait) = &kind.wait {
        section(sheet, "WAIT  after its action, for at most `wait for=`");
        fields_text(sheet, wait.fields.iter());
    }
    section(sheet, "OUTPUTS");
    match &kind.outputs {
        Outputs::SameAsInputs => sheet.labelled_as_is("", "each input under its own name"),
        Outputs::Fields(schema) => outputs_text(sheet, schema),
    }
    section(sheet, "BEHAVIOUR");
    sheet.labelled("on", Style::Normal, on_text(kind.on));
    sheet.labelled("effect", Style::Normal, &effect_text(&kind.effect));
    sheet.labelled("undo", Style::Normal, undo_text(kind.undo));
    sheet.labelled("time", Style::Normal, &time_text(kind.time_limit));
    section(sheet, "EXAMPLE");
    for line in example(kind) {
        sheet.push(Line::new().text(format!("  {line}")));
    }
    sheet.gap();
    if let Some(field) = kind_fields(kind).iter().find(|field| !schema_text::fields(&field.schema).is_empty()) {
        sheet.command("more", Style::Quiet, &format!("engine explain {}.{}", kind.kind, field.name));
    }
}

fn section(sheet: &mut Sheet<'_>, name: &str) {
    sheet.gap();
    sheet.push(Line::new().with(Style::Strong, name));
}

/// Each field as it is written, then whether it must be, its default and what it means.
fn fields_text<'f>(sheet: &mut Sheet<'_>, fields: impl Iterator<Item = &'f Field>) {
    let mut any = false;
    for field in fields {
        any = true;
        sheet.push_fit(Line::new().text("  ").with(Style::Place, schema_text::usage(field)));
        let mut facts = vec![match (&field.schema.default, field.required) {
            (_, true) => "required".to_owned(),
            (Some(default), false) if !default.is_null() => format!("default {}", schema_text::kdl_value(default)),
            (_, false) => "optional".to_owned(),
        }];
        facts.extend(schema_text::type_beside_usage(&field.schema));
        let text = format!("{}. {}", facts.join(", "), field.schema.doc);
        sheet.indented(6, text.trim().trim_end_matches(". "));
    }
    if !any {
        sheet.labelled_as_is("", "none");
    }
}

fn outputs_text(sheet: &mut Sheet<'_>, schema: &Schema) {
    let fields = schema_text::fields(schema);
    let width = fields.iter().map(|field| words::width(&field.name)).max().unwrap_or(0);
    for field in fields {
        let text = format!("{}. {}", schema_text::type_name(&field.schema), field.schema.doc);
        sheet.table_row(&field.name, width, text.trim().trim_end_matches(". "));
    }
    if fields.is_empty() {
        sheet.labelled_as_is("", "none");
    }
}

fn on_text(on: OnCluster) -> &'static str {
    match on {
        OnCluster::Required => "needs `on=CLUSTER`",
        OnCluster::Optional => "may be given `on=CLUSTER`",
        OnCluster::Refused => "takes no `on=`",
    }
}

fn effect_text(effect: &EffectOf) -> String {
    let one = |effect: Effect| match effect {
        Effect::Pure => "pure: touches nothing; runs again after a crash",
        Effect::Converge => "converge: leads to the same world however often it runs; runs again after a crash",
        Effect::Once => "once: must not happen twice; after a crash it is looked up, or a person is asked",
    };
    match effect {
        EffectOf::Fixed(effect) => one(*effect).to_owned(),
        EffectOf::FromInput { input, effects } => {
            let ways: Vec<String> =
                effects.iter().map(|(value, effect)| format!("{input} {value} is {}", effect_name(*effect))).collect();
            format!("by its input `{input}`: {}; anything else is once", ways.join(", "))
        }
    }
}

fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Pure => "pure",
        Effect::Converge => "converge",
        Effect::Once => "once",
    }
}

fn undo_text(undo: UndoDefault) -> &'static str {
    match undo {
        UndoDefault::Keep => "keep: an undo leaves what it made, unless the step says otherwise",
        UndoDefault::Delete => "delete: an undo removes what it made, unless the step says otherwise",
        UndoDefault::Restore => "restore: an undo puts back what it found, unless the step says otherwise",
        UndoDefault::Ask => "ask: an undo asks a person, unless the step says otherwise",
    }
}

fn time_text(limit: TimeLimit) -> String {
    let span = |ms: u64| Span(std::time::Duration::from_millis(ms));
    match limit {
        TimeLimit::Action { timeout_ms } => {
            format!("timeout \"{}\" for one attempt, unless the step says otherwise", span(timeout_ms))
        }
        TimeLimit::Wait { for_ms } => {
            format!("waits for at most \"{}\", unless `wait for=` says otherwise", span(for_ms))
        }
    }
}

/// The first example of the kind's own text, else one made of what is required.
fn example(kind: &StepSpec) -> Vec<String> {
    if let Some((_, after)) = kind.doc.split_once("```kdl\n") {
        return after.split("```").next().unwrap_or_default().lines().map(str::to_owned).collect();
    }
    let on = if kind.on == OnCluster::Required { " on=hub" } else { "" };
    let head = format!("step example uses={}{on}", kind.kind);
    let lines: Vec<String> = match &kind.inputs.shape {
        Shape::Object(ObjectShape { fields, .. }) => {
            fields.iter().filter(|field| field.required).map(schema_text::example).collect()
        }
        _ => vec!["answer 42".to_owned()],
    };
    if lines.is_empty() {
        return vec![head];
    }
    let mut text = vec![format!("{head} {{")];
    text.extend(lines.into_iter().map(|line| format!("    {line}")));
    text.push("}".to_owned());
    text
}

fn field_text(sheet: &mut Sheet<'_>, kind: &StepSpec, path: &[&Field]) {
    let Some(field) = path.last() else { return };
    let names: Vec<&str> = path.iter().map(|field| field.name.as_str()).collect();
    sheet.push(
        Line::new()
            .with(Style::Strong, format!("{}.{}", kind.kind, names.join(".")))
            .text(format!("  {}", schema_text::type_name(&field.schema))),
    );
    sheet.gap();
    fields_text(sheet, std::iter::once(*field));
    let inside = schema_text::fields(&field.schema);
    if !inside.is_empty() {
        section(sheet, if matches!(field.schema.shape, Shape::OneOf(_)) { "ONE OF" } else { "FIELDS" });
        fields_text(sheet, inside.iter());
    }
    section(sheet, "EXAMPLE");
    sheet.push(Line::new().text(format!("  {}", schema_text::example(field))));
    sheet.gap();
    sheet.command("more", Style::Quiet, &format!("engine explain {}", kind.kind));
}

/// A row of a table: the first cell stands alone, what it means below it.
fn row(sheet: &mut Sheet<'_>, line: &str) {
    let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
    let (first, rest) = (cells.next().unwrap_or_default(), cells.collect::<Vec<_>>().join("; "));
    if first.starts_with("---") || rest.is_empty() {
        return;
    }
    sheet.indented(2, first);
    sheet.indented(6, &rest);
}

/// Paragraphs are wrapped; lists, indented lines and fenced blocks keep their lines.
fn markdown(sheet: &mut Sheet<'_>, text: &str) {
    let mut is_fenced = false;
    let mut paragraph = String::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        let stands_alone = is_fenced || is_fence || line.trim().is_empty() || line.starts_with(['-', '*', ' ', '|']);
        if !stands_alone {
            paragraph.push_str(line);
            paragraph.push(' ');
            continue;
        }
        sheet.indented(0, &std::mem::take(&mut paragraph));
        match () {
            () if is_fence => is_fenced = !is_fenced,
            () if is_fenced => sheet.push(Line::new().text(format!("    {}", words::clean(line)))),
            () if line.trim().is_empty() => sheet.gap(),
            () if line.starts_with('|') => row(sheet, line),
            () => sheet.indented(2, line),
        }
    }
    sheet.indented(0, &paragraph);
}

/// The same for machines; a kind's schemas are given as it handed them over.
pub fn json(topic: &Topic<'_>) -> Value {
    match topic {
        Topic::Kind(kind) => json!({
            "schema": "engine.explain/v1", "kind": kind.kind, "version": kind.version, "doc": kind.doc,
            "inputs": kind.source.inputs, "outputs": kind.source.outputs,
            "on": kind.on, "effect": kind.effect, "undo": kind.undo, "time_limit": kind.time_limit,
            "example": example(kind).join("\n"),
        }),
        Topic::Field { kind, path } => {
            let names: Vec<&str> = path.iter().map(|field| field.name.as_str()).collect();
            let field = path.last().map(|field| {
                json!({
                    "type": schema_text::type_name(&field.schema), "required": field.required, "default": field.schema.default,
                    "doc": field.schema.doc, "usage": schema_text::usage(field),
                    "fields": schema_text::fields(&field.schema).iter().map(|field| field.name.as_str()).collect::<Vec<_>>(),
                })
            });
            json!({ "schema": "engine.explain/v1", "kind": kind.kind, "path": names, "field": field })
        }
        Topic::Node(node) => {
            json!({ "schema": "engine.explain/v1", "node": node.name, "title": node.title, "text": node.body })
        }
        Topic::Code(section) => {
            json!({ "schema": "engine.explain/v1", "code": section.code, "title": section.title, "text": section.body })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::assert_fits;
    use super::*;
    use steps_sdk::spec::{About, SpecSource};

    fn records() -> StepSpec {
        let doc = "Keeps records in a zone of a DNS server.\n\nUpdates are sent by RFC 2136, signed with TSIG, and read back from every authoritative server before the step ends.";
        let about =
            About { undo: UndoDefault::Delete, on: OnCluster::Refused, ..About::converging("dns.records", doc) };
        let inputs = json!({
            "type": "object", "required": ["zone", "record"],
            "properties": {
                "zone": {
                    "type": "object", "description": "The zone, its primary server and the key that may update it.", "x-kdl-args": ["name"],
                    "required": ["name", "server", "key"], "additionalProperties": false,
                    "properties": {
                        "name": { "type": "string", "format": "hostname" },
                        "server": { "type": "string", "description": "Address and port." },
                        "key": { "type": "object", "x-ref": "secret", "x-secret": true },
                    },
                },
                "record": {
                    "type": "array", "description": "One record.",
                    "items": {
                        "type": "object", "x-kdl-args": ["type", "name", "value"], "required": ["type", "name", "value"],
                        "properties": {
                            "type": { "enum": ["auto", "A", "AAAA", "CNAME"], "type": "string" },
                            "name": { "type": "string", "format": "hostname" },
                            "value": { "type": "string" },
                            "ttl": { "type": "integer", "minimum": 1, "default": 300, "description": "Seconds that resolvers may keep it." },
                        },
                    },
                },
                "wait": { "type": "object", "properties": { "resolves": { "type": "boolean", "description": "Until resolvers answer with it." } } },
            },
        });
        let outputs = json!({ "type": "object", "properties": { "serial": { "type": "integer", "description": "The zone's serial after the update." } } });
        StepSpec::new(about, SpecSource { inputs, outputs }).unwrap()
    }

    fn explained(asked: &str) -> String {
        let spec = records();
        let text = text(&topic(asked, &[&spec]).unwrap(), &Look::plain());
        assert_fits(&text);
        text
    }

    #[test]
    fn a_kind_tells_what_it_takes_gives_and_does() {
        insta::assert_snapshot!(explained("dns.records"));
    }

    #[test]
    fn a_field_can_be_asked_for_at_any_depth() {
        insta::assert_snapshot!(explained("dns.records.record"));
        assert!(explained("dns.records.record.ttl").contains("default 300"));
        assert!(explained("dns.records.resolves").contains("Until resolvers answer"));
    }

    #[test]
    fn a_code_is_explained_by_its_section() {
        let section = codes::sections().next().unwrap();
        let text = explained(&section.code.to_lowercase());
        assert!(text.starts_with(&format!("{}  {}\n\n", section.code, section.title)), "{text}");
        assert!(text.lines().count() > 2, "{text}");
    }

    #[test]
    fn a_node_is_explained_by_the_document_of_the_language() {
        for (asked, words) in [
            ("use", "takes a WASM component into the file"),
            ("grant", "requests to this origin, no other port"),
            ("limits", "Without them: 64 MiB"),
            ("step", "timeout \"5m\""),
        ] {
            let text = explained(asked);
            let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.starts_with(&format!("{asked}  ")) && joined.contains(words), "{text}");
        }
        assert_eq!(json(&topic("grant", &[]).unwrap())["node"], "grant");
        assert_eq!(topic("grants", &[]).unwrap_err().help, "did you mean `grant`?");
    }

    #[test]
    fn what_is_not_known_names_the_nearest() {
        let spec = records();
        let help = |asked| topic(asked, &[&spec]).unwrap_err().help;
        assert_eq!(help("dns.record"), "did you mean `dns.records`?");
        assert_eq!(help("dns"), "kinds of this family: dns.records");
        assert_eq!(help("dns.records.recrod"), "did you mean `record`?");
        assert_eq!(help("dns.records.zone.elsewhere"), "fields here: name, server, key");
        assert_eq!(help("dns.records.record.ttl.x"), "there are no fields inside it");
        assert_eq!(help("something else"), "kinds: dns.records");
        let code = codes::sections().next().unwrap().code;
        assert_eq!(help(&format!("{code}9")), format!("did you mean `{code}`?"));
    }

    #[test]
    fn json_carries_the_schemas_as_they_are() {
        let spec = records();
        let kind = json(&topic("dns.records", &[&spec]).unwrap());
        assert_eq!(
            (&kind["schema"], &kind["kind"], &kind["effect"]),
            (&"engine.explain/v1".into(), &"dns.records".into(), &json!({ "fixed": "converge" }))
        );
        assert_eq!(kind["inputs"], spec.source.inputs);
        let field = json(&topic("dns.records.record.ttl", &[&spec]).unwrap());
        assert_eq!((&field["path"], &field["field"]["default"]), (&json!(["record", "ttl"]), &300.into()));
        let code = json(&topic(codes::sections().next().unwrap().code, &[]).unwrap());
        assert!(code["text"].as_str().unwrap().len() > 20);
    }

    #[test]
    fn markdown_keeps_lists_and_blocks_and_joins_paragraphs() {
        let look = Look { width: 40, ..Look::plain() };
        let mut sheet = Sheet::new(&look);
        markdown(
            &mut sheet,
            "One line\nand its end.\n\n- a point\n- another\n\n```kdl\nstep  a uses=x.y\n```\nThe end.",
        );
        assert_eq!(
            sheet.render(),
            "One line and its end.\n\n  - a point\n  - another\n\n    step  a uses=x.y\nThe end.\n"
        );
    }
}
