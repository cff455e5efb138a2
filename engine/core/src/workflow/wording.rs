//! Problems that several readers report in the same words.

use super::names::{Member, Names, ScopeId};
use crate::diagnostic::{Place, Problem, Spanned, nearest};

/// A word that is none of the known ones.
pub(super) fn unknown<'a>(
    code: &'static str,
    what: &str,
    word: &Spanned<String>,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Problem {
    let problem = Problem::error(code, word.at, format!("unknown {what} `{}`", word.value));
    let listed: Vec<&str> = known.clone().into_iter().collect();
    match nearest(&word.value, known) {
        Some(near) => problem.label(format!("did you mean `{near}`?")).help(match listed.len() {
            0..=20 => format!("there {}: {}", if listed.len() == 1 { "is" } else { "are" }, listed.join(", ")),
            count => format!("`{near}` is the nearest of {count}"),
        }),
        None if listed.is_empty() => problem.help(format!("the file declares no {what}")),
        None if listed.len() <= 20 => {
            problem.help(format!("there {}: {}", if listed.len() == 1 { "is" } else { "are" }, listed.join(", ")))
        }
        None => problem,
    }
}

/// The names that can be seen from a scope and stand for what is wanted, outermost first.
pub(super) fn members(names: &Names, from: ScopeId, is_wanted: impl Fn(Member) -> bool) -> Vec<&str> {
    let mut scopes: Vec<_> = names.seen_from(from).map(|(_, scope)| scope).collect();
    scopes.reverse();
    let members = scopes.into_iter().flat_map(|scope| &scope.names);
    members.filter(|(_, member)| is_wanted(**member)).map(|(name, _)| name.as_str()).collect()
}

pub(super) fn twice(id: &Spanned<String>, first: Place) -> Problem {
    Problem::error("L206", id.at, format!("`{}` is defined twice", id.value))
        .label("here again")
        .related(first, "first defined here")
        .help("give one of them another name")
}

pub(super) fn hides(id: &Spanned<String>, outer: Place) -> Problem {
    Problem::error("L206", id.at, format!("`{}` hides what has the same name outside", id.value))
        .related(outer, "defined here")
        .help("give one of them another name: a name means one thing in the whole file")
}

/// Something that the language has and this binary has not.
pub(super) fn unsupported(at: Place, what: impl std::fmt::Display) -> Problem {
    Problem::error("L202", at, format!("{what} is not supported by this version"))
        .help("it is part of the step language and will come; `engine version` says what this binary is")
}
