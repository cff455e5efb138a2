//! `engine step doc [FILE.wasm]`: what a component provides, as Markdown for the people who use it.

use steps_sdk::schema::{Field, Schema};
use steps_sdk::spec::Outputs;
use steps_sdk::{Effect, EffectOf, StepSpec};

use super::args::DocArgs;
use super::inspect;
use super::open::{self, Opened};
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::{Roof, print, session};
use crate::oci::Network;
use crate::report::schema_text;

pub fn doc(args: &DocArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let workshop = session::workshop(roof, config, Network::Offline);
    let opened = open::open(open::path_of(&args.what, config)?, &workshop)?;
    print::data(&markdown(&opened)).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}

pub(super) fn markdown(opened: &Opened) -> String {
    let description = &opened.description;
    let mut text = format!(
        "# {}\n\n{}, digest `sha256:{}`, contract `{}`.\n",
        opened.kinds.family,
        inspect::size(description.size),
        description.digest,
        description.wit
    );
    for spec in opened.kinds.specs() {
        kind(&mut text, spec);
    }
    text
}

fn kind(text: &mut String, spec: &StepSpec) {
    text.push_str(&format!("\n## {}\n\n{}\n", spec.kind, spec.doc.trim()));
    text.push_str("\n### Inputs\n\n");
    fields(text, &spec.inputs);
    text.push_str("\n### Outputs\n\n");
    match &spec.outputs {
        Outputs::SameAsInputs => text.push_str("Each input under its own name.\n"),
        Outputs::Fields(schema) => fields(text, schema),
    }
    text.push_str(&format!("\n### Behaviour\n\n- version {}, resumes runs from {}\n", spec.version, spec.accepts_from));
    text.push_str(&format!("- effect: {}\n", effect(&spec.effect)));
    for ask in &spec.asks {
        text.push_str(&format!("- asks for `{}`: {}\n", inspect::asked(ask), ask.why));
    }
}

fn fields(text: &mut String, schema: &Schema) {
    let fields = schema_text::fields(schema);
    if fields.is_empty() {
        text.push_str("None.\n");
        return;
    }
    text.push_str("| name | type | | |\n|---|---|---|---|\n");
    for field in fields {
        let doc = field.schema.doc.replace('\n', " ").replace('|', "\\|");
        let kind = schema_text::type_name(&field.schema).replace('|', "\\|");
        text.push_str(&format!("| `{}` | {kind} | {} | {} |\n", field.name, whether(field), doc.trim()));
    }
}

fn whether(field: &Field) -> String {
    match (&field.schema.default, field.required) {
        (_, true) => "required".to_owned(),
        (Some(default), false) if !default.is_null() => format!("default `{}`", schema_text::kdl_value(default)),
        (_, false) => "optional".to_owned(),
    }
}

fn effect(effect: &EffectOf) -> String {
    let word = |effect: Effect| match effect {
        Effect::Pure => "pure",
        Effect::Converge => "converge",
        Effect::Once => "once",
    };
    match effect {
        EffectOf::Fixed(effect) => word(*effect).to_owned(),
        EffectOf::FromInput { input, effects } => {
            let ways: Vec<String> =
                effects.iter().map(|(value, effect)| format!("`{input} {value}` is {}", word(*effect))).collect();
            format!("{}; otherwise once", ways.join(", "))
        }
    }
}
