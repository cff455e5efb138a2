//! The tree that a KDL text becomes: nodes, arguments, properties, and where each was written.
//!
//! It knows nothing of workflows. Every scalar keeps its place, and a text keeps how its characters came out of the file, so
//! that a mistake inside `"${…}"` is shown at its own bytes even when the string has escapes.

use std::ops::Range;

use crate::diagnostic::{Place, SourceId, Spanned};

/// One file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    pub nodes: Vec<Node>,
    /// False when parts of the text could not be read: then a name that is not found may stand in the missing part, and nothing
    /// should be said about it.
    pub is_whole: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub name: Spanned<String>,
    pub args: Vec<Arg>,
    /// As written; a name that is given twice was reported and is here twice.
    pub props: Vec<Prop>,
    /// `None`: no block. `Some` of nothing: an empty one, which is a value of its own (`emptyDir {}`).
    pub children: Option<Vec<Node>>,
    /// The whole node, its block included.
    pub at: Place,
}

/// An argument, or the value of a property.
#[derive(Debug, Clone, PartialEq)]
pub struct Arg {
    pub value: Scalar,
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Prop {
    pub name: Spanned<String>,
    pub value: Arg,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Text),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub value: String,
    pub style: TextStyle,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStyle {
    /// A word without quotes.
    Bare,
    /// `"…"`, with escapes and, by the language's rule, with `${…}`.
    Quoted,
    /// `#"…"#`: no escapes.
    Raw,
}

/// Bytes of the value that stand for bytes of the file. Lengths differ where an escape was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub value: Range<usize>,
    pub source: Range<usize>,
}

impl Document {
    /// The nodes of this name, in the order in which they were written.
    pub fn nodes_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().filter(move |node| node.name.value == name)
    }
}

impl Node {
    pub fn prop(&self, name: &str) -> Option<&Prop> {
        self.props.iter().find(|prop| prop.name.value == name)
    }

    /// The block's nodes; none when there is no block.
    pub fn children(&self) -> &[Node] {
        self.children.as_deref().unwrap_or_default()
    }

    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children().iter().find(|child| child.name.value == name)
    }

    /// The name, the arguments and the properties, without the block.
    pub fn head(&self) -> Place {
        let places = self.args.iter().map(|arg| arg.at).chain(self.props.iter().map(Prop::at));
        places.fold(self.name.at, Place::to)
    }
}

impl Prop {
    /// `name=value`.
    pub fn at(&self) -> Place {
        self.name.at.to(self.value.at)
    }
}

impl Arg {
    pub fn text(&self) -> Option<&Text> {
        match &self.value {
            Scalar::Text(text) => Some(text),
            Scalar::Null | Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        self.text().map(|text| text.value.as_str())
    }

    /// Bytes of the text, counted from its own start, as bytes of the file. For what is not a text: the whole place.
    pub fn inside(&self, range: Range<usize>) -> Place {
        self.text().map_or(self.at, |text| text.inside(self.at.source, range))
    }
}

impl Scalar {
    /// What it is, in the words of the language.
    pub fn kind(&self) -> &'static str {
        match self {
            Scalar::Null => "null",
            Scalar::Bool(_) => "bool",
            Scalar::Int(_) => "int",
            Scalar::Float(_) => "float",
            Scalar::Text(_) => "string",
        }
    }
}

impl Text {
    pub(super) fn new(value: String, style: TextStyle, runs: Vec<Run>) -> Text {
        Text { value, style, runs }
    }

    /// Bytes of the value as bytes of the file.
    pub fn inside(&self, source: SourceId, range: Range<usize>) -> Place {
        let start = self.source_start(range.start);
        let end = if range.is_empty() { start } else { self.source_end(range.end) };
        Place::new(source, start, end.max(start))
    }

    /// Where the character that begins at this byte of the value begins in the file.
    fn source_start(&self, byte: usize) -> usize {
        match self.runs.iter().find(|run| byte < run.value.end) {
            Some(run) if run.is_verbatim() => run.source.start + byte.saturating_sub(run.value.start),
            Some(run) => run.source.start,
            None => self.runs.last().map_or(0, |run| run.source.end),
        }
    }

    /// Where the character that ends before this byte of the value ends in the file.
    fn source_end(&self, byte: usize) -> usize {
        match self.runs.iter().find(|run| byte <= run.value.end) {
            Some(run) if run.is_verbatim() => run.source.start + byte.saturating_sub(run.value.start),
            Some(run) => run.source.end,
            None => self.runs.last().map_or(0, |run| run.source.end),
        }
    }
}

impl Run {
    fn is_verbatim(&self) -> bool {
        self.value.len() == self.source.len()
    }
}
