//! Names that a person may give to steps, inputs, clusters and the like: they must be usable in expressions.

use crate::diagnostic::Problem;
use crate::diagnostic::Spanned;
use crate::expr::FUNCTIONS;

/// Roots of expressions that are always there.
pub const ROOTS: [&str; 7] = ["inputs", "clusters", "run", "param", "self", "object", "each"];

/// Words that CEL keeps for itself: its literals, its operator `in`, and what its grammar reserves.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAName {
    pub code: &'static str,
    /// Reads by itself.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// A name that would do, where it is certain: `front-proxy` is `front_proxy`.
    pub instead: Option<String>,
}

impl NotAName {
    /// The problem of a name that was written somewhere. No fix: references to the name would have to change with it.
    pub fn problem(self, written: &Spanned<String>) -> Problem {
        Problem::error(self.code, written.at, self.message).label("cannot be a name").help(self.help)
    }
}

/// Whether `[a-z][a-z0-9_]*`, not reserved by CEL, no root and no function.
pub fn check(name: &str) -> Result<(), NotAName> {
    let is_word = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !is_word {
        return Err(malformed(name));
    }
    let taken = if RESERVED.contains(&name) {
        "is a word of the expression language"
    } else if ROOTS.contains(&name) {
        "is a name that every expression already has"
    } else if FUNCTIONS.contains(&name) {
        "is a function of the expression language"
    } else {
        return Ok(());
    };
    let instead = format!("{name}_1");
    Err(NotAName {
        code: "L041",
        message: format!("`{name}` {taken}"),
        help: format!("choose another name, such as `{instead}`"),
        instead: None,
    })
}

fn malformed(name: &str) -> NotAName {
    let instead = repaired(name).filter(|instead| check(instead).is_ok());
    let why = if name.contains('-') {
        "a hyphen would be a minus in expressions".to_owned()
    } else {
        "names are used in expressions: small letters, digits and `_`, beginning with a letter".to_owned()
    };
    let help = match &instead {
        Some(instead) => format!("write `{instead}`: {why}"),
        None => why,
    };
    NotAName { code: "L040", message: format!("`{name}` is not a name"), help, instead }
}

/// The name with its hyphens, dots and capitals made usable.
fn repaired(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            'A'..='Z' if !out.is_empty() && !out.ends_with('_') => {
                out.push('_');
                out.push(c.to_ascii_lowercase());
            }
            'A'..='Z' => out.push(c.to_ascii_lowercase()),
            'a'..='z' | '0'..='9' | '_' => out.push(c),
            '-' | '.' | ' ' | '/' => out.push('_'),
            _ => return None,
        }
    }
    out.starts_with(|c: char| c.is_ascii_lowercase()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_used_in_expressions() {
        for name in ["a", "root", "front_proxy", "s3", "a_1_b", "names", "region", "on"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for (name, code, instead) in [
            ("front-proxy", "L040", Some("front_proxy")),
            ("frontProxy", "L040", Some("front_proxy")),
            ("Root", "L040", Some("root")),
            ("a.b", "L040", Some("a_b")),
            ("", "L040", None),
            ("1a", "L040", None),
            ("_a", "L040", None),
            ("é", "L040", None),
            ("In", "L040", None),
            ("in", "L041", None),
            ("true", "L041", None),
            ("while", "L041", None),
            ("inputs", "L041", None),
            ("object", "L041", None),
            ("exists", "L041", None),
            ("size", "L041", None),
        ] {
            let refused = check(name).expect_err(name);
            assert_eq!((refused.code, refused.instead.as_deref()), (code, instead), "{name}");
        }
    }
}
