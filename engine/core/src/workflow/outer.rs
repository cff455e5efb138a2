//! Names that are there and cannot be used from where an expression stands: in a group, or on the other side of a template's wall.

use super::types::Template;
use crate::diagnostic::{Place, Problem};

pub(super) fn own_group(group: &str, at: Place) -> Problem {
    Problem::error("L216", at, format!("a step of group `{group}` refers to the group itself"))
        .help("inside a group a step's name means the same instance: leave `GROUP[KEY].` out")
}

pub(super) fn inside(group: &str, name: &str, at: Place) -> Problem {
    Problem::error("L216", at, format!("`{name}` is a step of group `{group}`, one for each instance")).help(format!(
        "say which one: `{group}[\"KEY\"].{name}`, or take all: `{group}.map(key, {group}[key].{name}…)`"
    ))
}

pub(super) fn closed(template: &Template, name: &str, at: Place) -> Problem {
    Problem::error("L260", at, format!("`{name}` is outside of template `{}`", template.name.value))
        .label("not seen here")
        .help("a template sees `param` and `inputs` only: take what it needs as a param, and let the call give it")
}

pub(super) fn no_param(at: Place) -> Problem {
    Problem::error("L260", at, "`param` is known inside of a template only")
        .help("what a person gives to the workflow is `inputs.NAME`")
}
