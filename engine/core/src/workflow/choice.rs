//! A value that is exactly one of several named alternatives.

use serde_json::Value;
use steps_sdk::schema::Field;

use super::decode::{Body, Child, Decoder, path};
use super::written::{Content, Written};
use crate::diagnostic::Problem;

impl Decoder<'_> {
    /// `keep secret on=a`, `keep file="x"`, or a block with the one child that is chosen.
    pub fn choice(&mut self, body: &Body<'_>, choices: &[Field], what: &str) -> Written {
        let find = |name: &str| choices.iter().find(|choice| choice.name == name);
        if let Some(chosen) = body.args.first().and_then(|arg| arg.as_str()).and_then(find) {
            let rest = Body { args: &body.args[1..], ..body.clone() };
            let value = self.value(&rest, &chosen.schema, &path(what, &chosen.name));
            return Written::new(Content::Map(vec![(chosen.name.clone(), value)]), body.at);
        }
        let children = body.children.as_deref().unwrap_or_default();
        match (body.args, body.props.as_slice(), children) {
            ([], [prop], []) if find(&prop.name.value).is_some() => {
                let chosen = find(&prop.name.value).expect("the guard found it");
                let value = self.arg(&prop.value, &chosen.schema, &path(what, &chosen.name));
                Written::new(Content::Map(vec![(chosen.name.clone(), value)]), body.at)
            }
            ([], [], [Child::Node(node)]) if find(&node.name.value).is_some() => {
                let chosen = find(&node.name.value).expect("the guard found it");
                let value = self.node(node, &chosen.schema, &path(what, &chosen.name));
                Written::new(Content::Map(vec![(chosen.name.clone(), value)]), body.at)
            }
            _ => {
                let names: Vec<String> = choices.iter().map(|choice| format!("`{}`", choice.name)).collect();
                let problem =
                    Problem::error("L238", body.at, format!("`{what}` is exactly one of {}", names.join(", ")));
                let first = choices.first().map_or("NAME", |choice| choice.name.as_str());
                self.problems.push(
                    problem.help(format!("write the chosen one first: `{what} {first} …`, or `{what} {first}=VALUE`")),
                );
                Written::literal(Value::Null, body.at)
            }
        }
    }
}
