//! Traps that show only in the tree: KDL reads them as something legal that is not what was meant.

use crate::diagnostic::Problem;

use super::traps::PROBLEMS_MAX;
use super::tree::{Arg, Node, Scalar, TextStyle};

/// Words that other languages take for a truth value.
const TRUTH_WORDS: [(&str, &str); 4] = [("yes", "#true"), ("on", "#true"), ("no", "#false"), ("off", "#false")];

pub fn check(nodes: &[Node]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut left: Vec<&Node> = nodes.iter().rev().collect();
    while let Some(node) = left.pop() {
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
        repeated_properties(node, &mut problems);
        let values = lone_argument(node)
            .map(|arg| (None, arg))
            .into_iter()
            .chain(node.props.iter().map(|prop| (Some(prop.name.value.as_str()), &prop.value)));
        problems.extend(values.filter_map(|(name, value)| truth_word(node, name, value)));
        left.extend(node.children().iter().rev());
    }
    problems
}

/// KDL keeps both and lets the last one win.
fn repeated_properties(node: &Node, problems: &mut Vec<Problem>) {
    let mut first = std::collections::HashMap::new();
    for prop in &node.props {
        let name = prop.name.value.as_str();
        match first.get(name) {
            None => {
                first.insert(name, prop.name.at);
            }
            Some(earlier) => problems.push(
                Problem::error("L014", prop.name.at, format!("`{name}` is given twice"))
                    .label("again here")
                    .related(*earlier, "first here")
                    .help("keep one; what may repeat is written as a child node"),
            ),
        }
    }
}

/// `cdn on`: a setting with its value. With more on the line the first argument is an identity: `param on type=cluster`.
fn lone_argument(node: &Node) -> Option<&Arg> {
    match (node.args.as_slice(), node.props.is_empty(), &node.children) {
        ([arg], true, None) => Some(arg),
        _ => None,
    }
}

/// `wait=yes` is the text `yes`. A word alone is no mistake for certain, so this only warns; quotes silence it.
fn truth_word(node: &Node, name: Option<&str>, value: &Arg) -> Option<Problem> {
    let Scalar::Text(text) = &value.value else { return None };
    let (word, truth) = TRUTH_WORDS.iter().find(|(word, _)| text.style == TextStyle::Bare && text.value == *word)?;
    let owner = name.unwrap_or(&node.name.value);
    Some(
        Problem::warning("L015", value.at, format!("`{owner}` gets the text `{word}`, not a truth value"))
            .label("a word")
            .help(format!("KDL writes `{truth}`; if the word is meant, put it in quotes: \"{word}\"")),
    )
}
