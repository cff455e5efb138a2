//! The first stage: KDL text becomes a tree with places.
//!
//! A text passes five stations, and each hands on whatever it could make sense of, so that all problems of a file are told at once:
//!
//! 1. [`prescan`] cuts it into tokens and refuses what would keep the KDL parser busy or overflow its stack;
//! 2. [`traps`] and [`braces`] look at the tokens for what people write and KDL reads otherwise, or refuses in words that do not
//!    help, and say what was meant;
//! 3. [`mend`] puts something legal in place of what was reported;
//! 4. [`read`] runs the KDL parser, if [`sound`] lets the text through, and makes the tree, with every place told in the text as it was written;
//! 5. [`meaning`] looks at the tree for what is legal KDL and yet a slip.
//!
//! The tree knows nothing of workflows; that is the next stage.

mod braces;
pub mod ident;
mod items;
mod meaning;
mod mend;
mod prescan;
mod read;
mod sound;
mod text;
mod token;
mod traps;
mod tree;
mod words;

use crate::diagnostic::{Problem, Source, SourceId};

pub use text::quoted;
pub use tree::{Arg, Document, Node, Prop, Scalar, Text, TextStyle};

/// Reads a text. All problems come at once, and the tree holds whatever could be read; it is empty when the text was refused.
pub fn parse(id: SourceId, source: &Source) -> (Document, Vec<Problem>) {
    let text = source.text.as_str();
    let tokens = match prescan::scan(id, text) {
        Ok(tokens) => tokens,
        Err(refusal) => return (Document::default(), vec![*refusal]),
    };
    let mut found = traps::find(id, text, &tokens);
    let braces = braces::find(id, text, &tokens);
    found.problems.extend(braces.problems);
    found.mends.extend(braces.mends);
    let (mut document, unreadable) = read::read(id, text, found.mends);
    document.is_whole &=
        found.problems.iter().all(|problem| !matches!(problem.code, "L006" | "L007" | "L008" | "L022" | "L029"));
    found.problems.extend(unreadable);
    found.problems.extend(meaning::check(&document.nodes));
    found.problems.sort_by_key(|problem| problem.at);
    (document, found.problems)
}

#[cfg(test)]
mod tests;
