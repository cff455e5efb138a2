//! The shape of a case's nodes: arguments, properties and children that a node takes, and the problems of those that it does not.

use engine_core::diagnostic::{Problem, Spanned, nearest};
use engine_core::syntax::{Arg, Node, Prop, Scalar};
use engine_core::workflow::read_alone;
use steps_sdk::Value;
use steps_sdk::schema::{Schema, Shape};

/// What a node takes. `what` is its name in messages: "`status`".
pub struct Form {
    pub usage: &'static str,
    pub args: std::ops::RangeInclusive<usize>,
    pub props: &'static [&'static str],
    /// `None`: names of the author's choice.
    pub children: Option<&'static [&'static str]>,
}

/// Collects the problems of a file of cases.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Whether the node has the right number of arguments; odd properties and children are reported on the way.
    pub fn check(&mut self, node: &Node, form: &Form) -> bool {
        let name = &node.name.value;
        for prop in node.props.iter().filter(|prop| !form.props.contains(&prop.name.value.as_str())) {
            self.odd(&prop.name, format!("`{name}` has no property `{}`", prop.name.value), form.props, form.usage);
        }
        if let Some(known) = form.children {
            for child in node.children().iter().filter(|child| !known.contains(&child.name.value.as_str())) {
                self.odd(&child.name, format!("`{name}` has no child `{}`", child.name.value), known, form.usage);
            }
        }
        if form.args.contains(&node.args.len()) {
            return true;
        }
        let at = node.args.get(*form.args.end()).map_or(node.head(), |extra| extra.at);
        let message = if node.args.len() < *form.args.start() {
            format!("`{name}` needs more than that")
        } else {
            format!("`{name}` takes no further value")
        };
        self.push(Problem::error("A002", at, message).help(format!("write `{}`", form.usage)));
        false
    }

    fn odd(&mut self, name: &Spanned<String>, message: String, known: &[&str], usage: &str) {
        let problem = Problem::error("A001", name.at, message);
        let problem = match nearest(&name.value, known.iter().copied()) {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem,
        };
        self.push(problem.help(format!("write `{usage}`")));
    }

    /// A text; `${…}` in it has nothing to stand for here.
    pub fn text(&mut self, arg: &Arg, what: &str) -> Option<String> {
        let schema = Schema::of(Shape::Any);
        let alone = Node {
            name: Spanned::new(what.to_owned(), arg.at),
            args: vec![arg.clone()],
            props: Vec::new(),
            children: None,
            at: arg.at,
        };
        match read_alone(&alone, &schema) {
            Ok(Value::String(text)) => Some(text),
            Ok(_) => {
                let problem = Problem::error("A003", arg.at, format!("{what} is a text, not {}", arg.value.kind()));
                self.push(problem.help("put it in quotes"));
                None
            }
            Err(problems) => {
                self.0.extend(problems);
                None
            }
        }
    }

    /// The first argument as a text, after [`Problems::check`].
    pub fn first(&mut self, node: &Node) -> Option<String> {
        let what = format!("`{}`", node.name.value);
        node.args.first().and_then(|arg| self.text(arg, &what))
    }

    pub fn prop(&mut self, node: &Node, name: &str) -> Option<String> {
        let prop: &Prop = node.prop(name)?;
        self.text(&prop.value, &format!("`{name}`"))
    }

    pub fn flag(&mut self, node: &Node, name: &str) -> bool {
        match node.prop(name).map(|prop| (&prop.value.value, prop.value.at)) {
            None => false,
            Some((Scalar::Bool(flag), _)) => *flag,
            Some((_, at)) => {
                let problem = Problem::error("A003", at, format!("`{name}` is true or false"));
                self.push(problem.help(format!("write `{name}=#true`")));
                false
            }
        }
    }

    /// A whole number within bounds.
    pub fn number<N: TryFrom<i128>>(&mut self, arg: &Arg, what: &str, allowed: &str) -> Option<N> {
        let number = match &arg.value {
            Scalar::Int(number) => N::try_from(*number).ok(),
            Scalar::Null | Scalar::Bool(_) | Scalar::Float(_) | Scalar::Text(_) => None,
        };
        if number.is_none() {
            self.push(Problem::error("A003", arg.at, format!("{what} is not {allowed}")));
        }
        number
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, written: &Spanned<String>, what: &str, table: &[(&'static str, T)]) -> Option<T> {
        if let Some((_, value)) = table.iter().find(|(word, _)| *word == written.value) {
            return Some(*value);
        }
        let words: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
        let problem = Problem::error("A004", written.at, format!("{what} cannot be `{}`", written.value));
        let problem = match nearest(&written.value, words.iter().copied()) {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem,
        };
        self.push(problem.help(format!("it is one of {}", words.join(", "))));
        None
    }

    /// The value that a node gives with what is left of it after `skip` arguments: in KDL, or as JSON text in `json="…"`.
    pub fn value(&mut self, node: &Node, skip: usize, schema: &Schema) -> Option<Value> {
        if let ([], Some(prop), 1, None) =
            (&node.args[skip..], node.prop("json"), node.props.len(), node.children.as_ref())
        {
            return self.json(&prop.value);
        }
        // Messages call `expect outputs { … }` by what it gives.
        let name = skip.checked_sub(1).map_or_else(|| node.name.clone(), |last| spanned(&node.args[last]));
        let alone = Node { name, args: node.args[skip..].to_vec(), ..node.clone() };
        match read_alone(&alone, schema) {
            Ok(value) => Some(value),
            Err(problems) => {
                self.0.extend(problems);
                None
            }
        }
    }

    fn json(&mut self, arg: &Arg) -> Option<Value> {
        let text = arg.as_str().unwrap_or_default();
        match serde_json::from_str(text) {
            Ok(value) => Some(value),
            Err(error) => {
                let problem = Problem::error("A003", arg.at, format!("this is not JSON: {error}"));
                self.push(
                    problem.help("write the value in KDL, or as JSON text in a raw string: `json=#\"{\"a\":[]}\"#`"),
                );
                None
            }
        }
    }
}

/// An argument's text with its place.
pub fn spanned(arg: &Arg) -> Spanned<String> {
    Spanned::new(arg.as_str().unwrap_or_default().to_owned(), arg.at)
}

/// Any value at all.
pub fn any() -> Schema {
    Schema::of(Shape::Any)
}
