//! The node `use`: where custom steps come from, what they are called, and within which limits they run. What they may do
//! is in `grant.rs`.

use std::collections::BTreeSet;

use steps_sdk::StepKind;
use steps_sdk::grant::GuestLimits;
use steps_sdk::value::Span;

use super::address::{NotAnAddress, SCHEME};
use super::decode::Decoder;
use super::fields::{self, Form, check_form};
use super::include::Library;
use super::outside::only_child;
use super::specs::Specs;
use super::types::{Component, ComponentSource};
use super::{grant, wording};
use crate::diagnostic::{Place, Problem, Spanned};
use crate::limits::{
    GUEST_CPU_MAX_MS, GUEST_MEMORY_BYTES_MAX, GUEST_MEMORY_BYTES_MIN, GUEST_TIME_MIN_MS, GUEST_WALL_MAX_MS,
};
use crate::syntax::{Arg, Document, Node, Scalar};

const USE: Form = Form { what: "`use`", args_max: 1, props: &["as"], children: &["grant", "limits"] };
const LIMITS: Form =
    Form { what: "`limits` of a component", args_max: 0, props: &["memory", "wall", "cpu"], children: &[] };

/// A component that the shell has to load before [`super::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedComponent {
    /// The family of its kinds.
    pub name: String,
    pub source: ComponentSource,
    pub at: Place,
}

/// The components whose kinds a step names, each once. What is wrong with a `use` is for [`super::read`] to say.
pub fn components_used(document: &Document, library: &Library) -> Vec<UsedComponent> {
    let families = families(document, library);
    let mut seen = BTreeSet::new();
    let mut used = Vec::new();
    for node in document.nodes_named("use") {
        let Some(name) = node.prop("as").and_then(|prop| prop.value.as_str()) else { continue };
        let Some(Ok(source)) = node.args.first().and_then(Arg::as_str).map(source) else { continue };
        if is_family(name) && families.contains(name) && seen.insert(name) {
            used.push(UsedComponent { name: name.to_owned(), source, at: node.head() });
        }
    }
    used
}

/// Of the kinds that steps name.
fn families(document: &Document, library: &Library) -> BTreeSet<String> {
    let family = |kind: String| kind.split('.').next().unwrap_or_default().to_owned();
    super::kinds_used(library.with(document)).into_iter().map(family).collect()
}

/// Whether kinds can be called `NAME.verb`.
pub(super) fn is_family(name: &str) -> bool {
    !name.contains('.') && format!("{name}.verb").parse::<StepKind>().is_ok()
}

/// The name that a `use` gives, as it is written.
pub(super) fn name(node: &Node, problems: &mut Vec<Problem>) -> Option<Spanned<String>> {
    let Some(prop) = node.prop("as") else {
        problems.push(
            Problem::error("L204", node.name.at, "`use` gives its steps a name")
                .help("write `as=NAME`: steps then say `uses=NAME.VERB`"),
        );
        return None;
    };
    let name = fields::text(&prop.value, "`as`", problems)?;
    if !is_family(&name.value) {
        problems.push(
            Problem::error("L205", name.at, format!("`{}` cannot be the family of a kind", name.value))
                .help("use a word of lower-case letters, digits, `-` and `_` that begins with a letter: `as=cdn`"),
        );
    }
    Some(name)
}

/// A component that is used and was loaded.
pub(super) struct Read {
    pub component: Component,
    /// There is no error in its node, so that what it grants is what is meant.
    pub is_clear: bool,
}

/// Every `use` of the file is read, for its problems; those that are used and loaded come back.
pub(super) fn read_all(document: &Document, library: &Library, specs: &Specs, decoder: &mut Decoder<'_>) -> Vec<Read> {
    let families = families(document, library);
    let read = |node| {
        let before = decoder.problems.len();
        let component = read(node, specs, &families, decoder)?;
        Some(Read { component, is_clear: !decoder.problems[before..].iter().any(Problem::is_error) })
    };
    document.nodes_named("use").filter_map(read).collect()
}

fn read(node: &Node, specs: &Specs, families: &BTreeSet<String>, decoder: &mut Decoder<'_>) -> Option<Component> {
    check_form(node, &USE, decoder.problems);
    decoder.subject = "use".to_owned();
    let source = read_source(node, decoder.problems);
    let grants = only_child(node, "grant", decoder.problems).map(|child| grant::read(child, decoder));
    let limits = only_child(node, "limits", decoder.problems).map(|child| limits(child, decoder.problems));
    // The name was checked when names were collected; of two that are alike the first counts.
    let prop = node.prop("as")?;
    let name = Spanned::new(prop.value.as_str()?.to_owned(), prop.value.at);
    if decoder.names.components.get(&name.value) != Some(&name.at) || !is_family(&name.value) {
        return None;
    }
    let family = format!("{}.", name.value);
    if let Some(kind) = specs.names.iter().find(|kind| kind.starts_with(&family)) {
        decoder.problems.push(
            Problem::error("L241", name.at, format!("`{}` is the family of built-in kinds", name.value))
                .label(format!("there is `{kind}`"))
                .help("give the component another name, and use that in the steps"),
        );
        return None;
    }
    if !families.contains(&name.value) {
        if source.is_some() {
            decoder.problems.push(
                Problem::warning("L248", node.head(), format!("no step uses a kind of `{}`", name.value)).help(
                    format!("write `uses={}.VERB` in a step, or leave the node out: it was not loaded", name.value),
                ),
            );
        }
        return None;
    }
    let source = source?;
    match specs.components.get(&name.value) {
        None => {
            decoder.problems.push(wording::unsupported(node.name.at, "`use`"));
            None
        }
        Some(Err(reason)) => {
            let problem = Problem::error(reason.code, source.at, &reason.message);
            decoder.problems.push(if reason.help.is_empty() { problem } else { problem.help(&reason.help) });
            None
        }
        Some(Ok(loaded)) => Some(Component {
            name,
            source: source.value,
            digest: loaded.digest.clone(),
            grants: grants.unwrap_or_default(),
            limits: limits.unwrap_or_default(),
            at: node.head(),
        }),
    }
}

fn read_source(node: &Node, problems: &mut Vec<Problem>) -> Option<Spanned<ComponentSource>> {
    let Some(arg) = node.args.first() else {
        problems.push(
            Problem::error("L204", node.name.at, "`use` says where the component is")
                .help("write `use \"./steps/NAME.wasm\" as=NAME`"),
        );
        return None;
    };
    let text = fields::text(arg, "the source of a component", problems)?;
    match source(&text.value) {
        Ok(source) => Some(Spanned::new(source, text.at)),
        Err((message, help)) => {
            problems.push(Problem::error("L242", text.at, message).help(help));
            None
        }
    }
}

/// A path or an address in a registry; the error is a message and what to do.
fn source(text: &str) -> Result<ComponentSource, (String, String)> {
    const FORMS: &str = "write a path, `./steps/NAME.wasm`, or an address: `oci://HOST/PATH@sha256:…`";
    if text.starts_with(SCHEME) {
        return match text.parse() {
            Ok(address) => Ok(ComponentSource::Registry(address)),
            Err(NotAnAddress { message, help }) => Err((message, help)),
        };
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err((format!("components are not fetched by `{scheme}`"), FORMS.to_owned()));
    }
    let is_path = ["./", "../", "/"].iter().any(|start| text.starts_with(start)) || text.ends_with(".wasm");
    if !is_path || text.ends_with('/') || text.contains('\0') {
        return Err((format!("`{text}` is neither a path nor an address in a registry"), FORMS.to_owned()));
    }
    Ok(ComponentSource::File(text.to_owned()))
}

fn limits(node: &Node, problems: &mut Vec<Problem>) -> GuestLimits {
    check_form(node, &LIMITS, problems);
    let mut limits = GuestLimits::default();
    for prop in &node.props {
        let (arg, written) = (&prop.value, format!("`{}`", prop.name.value));
        match prop.name.value.as_str() {
            "memory" => limits.memory_bytes = memory(arg, problems).unwrap_or(limits.memory_bytes),
            "wall" => limits.wall_ms = time(arg, &written, GUEST_WALL_MAX_MS, problems).unwrap_or(limits.wall_ms),
            "cpu" => limits.cpu_ms = time(arg, &written, GUEST_CPU_MAX_MS, problems).unwrap_or(limits.cpu_ms),
            _ => {}
        }
    }
    limits
}

fn time(arg: &Arg, what: &str, max_ms: u64, problems: &mut Vec<Problem>) -> Option<u64> {
    let ms = fields::duration(arg, what, problems)?;
    let shown = |ms: u64| Span(std::time::Duration::from_millis(ms));
    if (GUEST_TIME_MIN_MS..=max_ms).contains(&ms) {
        return Some(ms);
    }
    let (min, max) = (shown(GUEST_TIME_MIN_MS), shown(max_ms));
    problems.push(Problem::error("L205", arg.at, format!("{what} is between {min} and {max}")).label("out of range"));
    None
}

fn memory(arg: &Arg, problems: &mut Vec<Problem>) -> Option<u64> {
    const HELP: &str = "write it in quotes: `memory=\"64MiB\"`";
    if let Scalar::Int(_) | Scalar::Float(_) = arg.value {
        problems.push(Problem::error("L205", arg.at, "`memory` is an amount with a unit").help(HELP));
        return None;
    }
    let text = fields::text(arg, "`memory`", problems)?;
    let Some(bytes) = bytes(&text.value) else {
        problems.push(
            Problem::error("L233", text.at, format!("`{}` is not an amount of memory", text.value))
                .help("a whole number and one of `KiB`, `MiB`, `GiB`: `\"64MiB\"`"),
        );
        return None;
    };
    if (GUEST_MEMORY_BYTES_MIN..=GUEST_MEMORY_BYTES_MAX).contains(&bytes) {
        return Some(bytes);
    }
    let (min, max) = (GUEST_MEMORY_BYTES_MIN >> 20, GUEST_MEMORY_BYTES_MAX >> 30);
    let message = format!("`memory` is between {min} MiB and {max} GiB");
    problems.push(Problem::error("L205", text.at, message).label("out of range"));
    None
}

fn bytes(text: &str) -> Option<u64> {
    let (number, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30)]
        .into_iter()
        .find_map(|(unit, shift)| text.strip_suffix(unit).map(|number| (number, shift)))?;
    let number = number.trim_end();
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(1 << shift)
}
