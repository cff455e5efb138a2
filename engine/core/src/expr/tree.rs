//! An expression as a tree. Every node knows where it was written; comprehensions are nodes of their own, with their variable.

use std::ops::Range;

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub kind: Kind,
    pub range: Range<usize>,
    /// Of the longest way down, 1 for a leaf: it bounds every walk.
    pub height: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Name(String),
    /// `of.name`; the range is that of the name.
    Field {
        of: Box<Node>,
        name: String,
        at: Range<usize>,
    },
    /// `has(of.name)`.
    Has {
        of: Box<Node>,
        name: String,
        at: Range<usize>,
    },
    /// `of[index]`.
    Index {
        of: Box<Node>,
        index: Box<Node>,
    },
    /// `name(args)` and `target.name(args)`.
    Call(Call),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary {
        operator: Operator,
        left: Box<Node>,
        right: Box<Node>,
        at: Range<usize>,
    },
    /// `a && b && …`: one node, so that a long condition is not deep.
    All(Vec<Node>),
    /// `a || b || …`.
    Any(Vec<Node>),
    /// `condition ? yes : no`.
    Choice {
        condition: Box<Node>,
        yes: Box<Node>,
        no: Box<Node>,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Comprehension(Box<Comprehension>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub name: String,
    pub at: Range<usize>,
    pub target: Option<Box<Node>>,
    pub args: Vec<Node>,
}

/// `over.map(variable, body)` and its kin.
#[derive(Debug, Clone, PartialEq)]
pub struct Comprehension {
    pub macro_: Macro,
    pub over: Node,
    pub variable: String,
    /// Of `map` with three arguments: which elements count.
    pub condition: Option<Node>,
    pub body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Macro {
    Map,
    Filter,
    All,
    Exists,
    ExistsOne,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Macro {
    pub fn by_name(name: &str) -> Option<Macro> {
        Some(match name {
            "map" => Macro::Map,
            "filter" => Macro::Filter,
            "all" => Macro::All,
            "exists" => Macro::Exists,
            "exists_one" | "existsOne" => Macro::ExistsOne,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Macro::Map => "map",
            Macro::Filter => "filter",
            Macro::All => "all",
            Macro::Exists => "exists",
            Macro::ExistsOne => "exists_one",
        }
    }
}

impl Operator {
    pub fn sign(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::In => "in",
        }
    }
}

impl Node {
    pub fn new(kind: Kind, range: Range<usize>) -> Node {
        let height = 1 + kind.children().into_iter().map(|child| child.height).max().unwrap_or(0);
        Node { kind, range, height }
    }
}

impl Kind {
    /// The nodes right below, in the order in which they were written.
    pub fn children(&self) -> Vec<&Node> {
        match self {
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::Name(_) => Vec::new(),
            Kind::Field { of, .. } | Kind::Has { of, .. } => vec![of],
            Kind::Index { of, index } => vec![of, index],
            Kind::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
            Kind::Not(of) | Kind::Negate(of) => vec![of],
            Kind::Binary { left, right, .. } => vec![left, right],
            Kind::All(terms) | Kind::Any(terms) | Kind::List(terms) => terms.iter().collect(),
            Kind::Choice { condition, yes, no } => vec![condition, yes, no],
            Kind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Kind::Comprehension(c) => [&c.over].into_iter().chain(&c.condition).chain([&c.body]).collect(),
        }
    }
}
