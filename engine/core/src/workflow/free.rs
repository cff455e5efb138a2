//! Values without a schema: JSON in KDL.
//!
//! | written | value |
//! |---|---|
//! | `a 1` | `1` |
//! | `a 1 2` | `[1, 2]` |
//! | `a { - 1 }` | `[1]` |
//! | `a x=1 { y 2 }` | `{"x": 1, "y": 2}` |
//! | `a {}` | `{}` |

use steps_sdk::Value;
use steps_sdk::schema::{Schema, Shape};

use super::decode::{Body, Child, Decoder};
use super::list::is_dash_list;
use super::written::{Content, Written};
use crate::diagnostic::Problem;

impl Decoder<'_> {
    pub fn free(&mut self, body: &Body<'_>, what: &str) -> Written {
        let any = Schema::of(Shape::Any);
        let children = body.children.as_deref().unwrap_or_default();
        match (body.args, body.is_plain()) {
            ([], true) => {
                let problem = Problem::error("L231", body.name, format!("`{what}` has no value"));
                self.problems
                    .push(problem.help("give it one after its name; the empty map is `{}`, nothing is `#null`"));
                return Written::literal(Value::Null, body.at);
            }
            ([arg], true) => return self.arg(arg, &any, what),
            (args, true) => {
                let items = args.iter().map(|arg| self.arg(arg, &any, what)).collect();
                return Written::new(Content::List(items), body.at);
            }
            ([], false) => {}
            ([extra, ..], false) => {
                let problem = Problem::error("L237", extra.at, format!("`{what}` has a value and fields at once"));
                self.problems.push(
                    problem.help(
                        "a map takes NAME=VALUE and children, a list takes arguments or `- item`: use one of them",
                    ),
                );
            }
        }
        if body.props.is_empty() && is_dash_list(children) {
            let mut items = Vec::new();
            self.dashes(children, &any, what, &mut items);
            return Written::new(Content::List(items), body.at);
        }
        if let Some(dash) = children.iter().find_map(|child| match child {
            Child::Node(node) if node.name.value == "-" => Some(node),
            Child::Node(_) | Child::Repeat { .. } => None,
        }) {
            let problem = Problem::error("L237", dash.name.at, "an item of a list stands among names with values");
            self.problems
                .push(problem.help("a list is made of `- item`; names with values make a map: use one of them"));
            return Written::literal(Value::Null, body.at);
        }
        let fields = self.map_fields(body, &any, what);
        Written::new(Content::Map(fields), body.at)
    }
}
