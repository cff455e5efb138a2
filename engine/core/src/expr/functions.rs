//! The fixed list of functions: how each is called, what it takes, what it gives. None reads a clock, a file, the environment or
//! the network; the same arguments give the same result for ever.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::format;
use super::network::Network;
use super::pem;
use super::semver::Version;
use super::types::{Type, TypeField};
use super::val::Val;

/// A function, as the checker and the evaluator see it. In `target.name(args)` the target is the first argument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Function {
    pub name: &'static str,
    pub form: Form,
    pub takes: &'static [Takes],
    pub gives: Gives,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `name(a, b)`.
    Global,
    /// `a.name(b)`.
    Member,
    Both,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Text,
    /// A string, or what `cidr` gives.
    TextOrNetwork,
    /// A string, number, bool, version or network: what can stand in a text.
    Scalar,
    ListOfScalars,
    List,
    /// A string, list or map.
    Sized,
    Anything,
    /// The name of a step.
    Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    Bool,
    Int,
    Float,
    Text,
    Texts,
    Version,
    Network,
    PemBlocks,
}

use Takes::{Anything, List, ListOfScalars, Scalar, Sized, Step, Text, TextOrNetwork};

const fn function(name: &'static str, form: Form, takes: &'static [Takes], gives: Gives) -> Function {
    Function { name, form, takes, gives }
}

pub const TABLE: [Function; 22] = [
    function("exists", Form::Global, &[Step], Gives::Bool),
    function("succeeded", Form::Global, &[Step], Gives::Bool),
    function("failed", Form::Global, &[Step], Gives::Bool),
    function("skipped", Form::Global, &[Step], Gives::Bool),
    function("join", Form::Both, &[ListOfScalars, Text], Gives::Text),
    function("split", Form::Both, &[Text, Text], Gives::Texts),
    function("format", Form::Both, &[Text, List], Gives::Text),
    function("size", Form::Both, &[Sized], Gives::Int),
    function("cidr", Form::Global, &[Text], Gives::Network),
    function("semver", Form::Global, &[Text], Gives::Version),
    function("sha256", Form::Global, &[Text], Gives::Text),
    function("base64", Form::Global, &[Text], Gives::Text),
    function("pem", Form::Global, &[Text], Gives::PemBlocks),
    function("string", Form::Global, &[Scalar], Gives::Text),
    function("int", Form::Global, &[Scalar], Gives::Int),
    function("double", Form::Global, &[Scalar], Gives::Float),
    function("bool", Form::Global, &[Scalar], Gives::Bool),
    function("type", Form::Global, &[Anything], Gives::Text),
    function("matches", Form::Both, &[Text, Text], Gives::Bool),
    function("contains", Form::Member, &[TextOrNetwork, Text], Gives::Bool),
    function("startsWith", Form::Member, &[Text, Text], Gives::Bool),
    function("endsWith", Form::Member, &[Text, Text], Gives::Bool),
];

pub fn by_name(name: &str) -> Option<&'static Function> {
    TABLE.iter().find(|function| function.name == name)
}

impl Function {
    pub fn may_be_called(&self, as_member: bool) -> bool {
        match self.form {
            Form::Both => true,
            Form::Member => as_member,
            Form::Global => !as_member,
        }
    }

    /// How it is written: `join(list, string)`.
    pub fn usage(&self) -> String {
        let names: Vec<&str> = self.takes.iter().map(|takes| takes.noun()).collect();
        match self.form {
            Form::Member => format!("{}.{}({})", names[0], self.name, names[1..].join(", ")),
            Form::Global | Form::Both => format!("{}({})", self.name, names.join(", ")),
        }
    }

    pub fn result(&self) -> Type {
        match self.gives {
            Gives::Bool => Type::Bool,
            Gives::Int => Type::Int,
            Gives::Float => Type::Float,
            Gives::Text => Type::TEXT,
            Gives::Texts => Type::List(Box::new(Type::TEXT)),
            Gives::Version => Type::Version,
            Gives::Network => Type::Network,
            Gives::PemBlocks => {
                let block = vec![TypeField::new("label", Type::TEXT), TypeField::new("der", Type::TEXT)];
                Type::List(Box::new(Type::Object(block)))
            }
        }
    }
}

impl Takes {
    fn noun(self) -> &'static str {
        match self {
            Text => "string",
            TextOrNetwork => "string or cidr",
            Scalar => "value",
            ListOfScalars | List => "list",
            Sized => "string, list or map",
            Anything => "value",
            Step => "step",
        }
    }

    /// With an article, for messages.
    pub fn described(self) -> &'static str {
        match self {
            Text => "a string",
            TextOrNetwork => "a string or a cidr",
            Scalar => "a string, number or bool",
            ListOfScalars => "a list of strings or numbers",
            List => "a list",
            Sized => "a string, a list or a map",
            Anything => "a value",
            Step => "the name of a step",
        }
    }

    fn accepts(self, value: &Val<'_>) -> bool {
        match self {
            Text => matches!(value, Val::Text(_)),
            TextOrNetwork => matches!(value, Val::Text(_) | Val::Network(_)),
            Scalar => value.scalar_text().is_some(),
            ListOfScalars | List => matches!(value, Val::JsonList(_) | Val::List(_)),
            Sized => value.len().is_some(),
            Anything => true,
            Step => false,
        }
    }
}

/// Applies a function to its arguments; their number was checked. The error reads by itself.
pub fn apply<'a>(function: &Function, args: &[Val<'a>]) -> Result<Val<'a>, String> {
    for (takes, value) in function.takes.iter().zip(args) {
        if !takes.accepts(value) {
            return Err(format!("`{}` takes {}, not {}", function.name, takes.described(), value.kind()));
        }
    }
    let text = |index: usize| match args.get(index) {
        Some(Val::Text(text)) => text.as_ref(),
        _ => "",
    };
    Ok(match function.name {
        "join" => Val::text(join(&args[0], text(1))?),
        "split" => Val::list(split(text(0), text(1))),
        "format" => Val::text(format::format(text(0), &args[1].items().unwrap_or_default())?),
        "size" => Val::Int(args[0].len().and_then(|len| i64::try_from(len).ok()).unwrap_or(0)),
        "cidr" => Val::Network(
            Network::parse(text(0)).map_err(|why| format!("`{}` is not a network: {why}", shortened(text(0))))?,
        ),
        "semver" => Val::Version(
            Version::parse(text(0)).map_err(|why| format!("`{}` is not a version: {why}", shortened(text(0))))?.into(),
        ),
        "sha256" => Val::text(hex::encode(Sha256::digest(text(0)))),
        "base64" => Val::text(STANDARD.encode(text(0))),
        "pem" => Val::list(pem::blocks(text(0))?),
        "string" => Val::text(args[0].scalar_text().unwrap_or_default()),
        "int" => Val::Int(to_int(&args[0])?),
        "double" => Val::Float(to_float(&args[0])?),
        "bool" => Val::Bool(to_bool(&args[0])?),
        "type" => Val::text(args[0].type_name()),
        "contains" => Val::Bool(contains(&args[0], text(1))?),
        "startsWith" => Val::Bool(text(0).starts_with(text(1))),
        "endsWith" => Val::Bool(text(0).ends_with(text(1))),
        name => return Err(format!("`{name}` cannot be evaluated here")),
    })
}

fn join(list: &Val<'_>, separator: &str) -> Result<String, String> {
    let items = list.items().unwrap_or_default();
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        let text = item
            .scalar_text()
            .ok_or_else(|| format!("`join` takes a list of strings or numbers; element {index} is {}", item.kind()))?;
        out.push_str(&text);
    }
    Ok(out)
}

/// An empty separator splits into characters.
fn split<'a>(text: &str, separator: &str) -> Vec<Val<'a>> {
    if separator.is_empty() {
        return text.chars().map(Val::text).collect();
    }
    text.split(separator).map(Val::text).collect()
}

fn contains(whole: &Val<'_>, part: &str) -> Result<bool, String> {
    match whole {
        Val::Network(network) => {
            let part = Network::parse(part).map_err(|why| format!("`{}` is not an address: {why}", shortened(part)))?;
            Ok(network.contains(&part))
        }
        Val::Text(text) => Ok(text.contains(part)),
        _ => Ok(false),
    }
}

fn to_int(value: &Val<'_>) -> Result<i64, String> {
    match value {
        Val::Int(value) => Ok(*value),
        // The range of floats that i64 can hold; the cast then only drops the fraction.
        Val::Float(value) if (-9.2e18..=9.2e18).contains(value) => Ok(*value as i64),
        Val::Float(value) => Err(format!("{value} is out of the range of whole numbers")),
        Val::Text(text) => text.parse().map_err(|_| format!("`{}` is not a whole number", shortened(text))),
        other => Err(format!("{} has no whole number", other.kind())),
    }
}

fn to_float(value: &Val<'_>) -> Result<f64, String> {
    match value {
        Val::Int(value) => Ok(*value as f64),
        Val::Float(value) => Ok(*value),
        Val::Text(text) => text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| format!("`{}` is not a number", shortened(text))),
        other => Err(format!("{} has no number", other.kind())),
    }
}

fn to_bool(value: &Val<'_>) -> Result<bool, String> {
    match value {
        Val::Bool(value) => Ok(*value),
        Val::Text(text) if text == "true" => Ok(true),
        Val::Text(text) if text == "false" => Ok(false),
        Val::Text(text) => Err(format!("`{}` is neither true nor false", shortened(text))),
        other => Err(format!("{} is neither true nor false", other.kind())),
    }
}

/// A text as messages quote it.
pub fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    let line = text.lines().next().unwrap_or_default();
    let shown: String = line.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}
