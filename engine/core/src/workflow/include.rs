//! The node `include`: templates and types that several workflows share. Reading the files is the shell's part.

use std::collections::BTreeSet;

use super::collect::Collected;
use super::fields::{self, Form, check_form};
use crate::diagnostic::{Problem, SourceId, Spanned};
use crate::syntax::{Arg, Document, Node};

const INCLUDE: Form = Form { what: "`include`", args_max: 1, props: &[], children: &[] };

/// The files that a workflow includes, and those that these include.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// Each once, in the order in which they were first named.
    pub documents: Vec<Document>,
    /// One of them could not be read, so a name that is not found may stand there.
    pub has_gaps: bool,
}

impl Library {
    /// The workflow's own file and what it includes.
    pub(super) fn with<'d>(&'d self, document: &'d Document) -> Vec<&'d Document> {
        std::iter::once(document).chain(&self.documents).collect()
    }
}

/// The paths that a file includes. What is wrong with an `include` is for [`super::read`] to say.
pub fn included(document: &Document) -> Vec<Spanned<String>> {
    let path = |node: &Node| fields::text(node.args.first()?, "a path", &mut Vec::new());
    document.nodes_named("include").filter_map(path).filter(|path| refusal(&path.value).is_none()).collect()
}

/// What is wrong with the `include`s of a file.
pub(super) fn check(document: &Document, problems: &mut Vec<Problem>) {
    for node in document.nodes_named("include") {
        check_form(node, &INCLUDE, problems);
        let Some(arg) = node.args.first() else {
            problems.push(
                Problem::error("L204", node.name.at, "`include` says which file")
                    .help("write `include \"./lib/NAME.kdl\"`; paths are relative to the file that has the node"),
            );
            continue;
        };
        if let Some(problem) = problem(arg, problems) {
            problems.push(problem);
        }
    }
}

fn problem(arg: &Arg, problems: &mut Vec<Problem>) -> Option<Problem> {
    let path = fields::text(arg, "the path of `include`", problems)?;
    let (message, help) = refusal(&path.value)?;
    Some(Problem::error("L263", path.at, message).help(help))
}

/// Why a text cannot be the path of a file to include, and what to do.
fn refusal(path: &str) -> Option<(String, &'static str)> {
    if let Some((scheme, _)) = path.split_once("://") {
        let message = format!("files are not included by `{scheme}`");
        return Some((message, "keep the file beside the workflow and include it by its path"));
    }
    let is_file = path.ends_with(".kdl") && !path.contains(['*', '?', '\0']);
    (!is_file).then(|| (format!("`{path}` is not the path of a KDL file"), "write `include \"./lib/NAME.kdl\"`"))
}

/// An included file has nothing that acts by itself.
pub(super) fn check_top_level(document: &Document, problems: &mut Vec<Problem>) {
    const KNOWN: [&str; 3] = ["include", "type", "template"];
    for node in &document.nodes {
        let name = node.name.value.as_str();
        if KNOWN.contains(&name) {
            continue;
        }
        let what = if super::header::is_known(name) { "stands in no included file" } else { "is no node" };
        problems.push(
            Problem::error("L264", node.name.at, format!("`{name}` {what}"))
                .help("an included file brings templates and types, never steps or what they need"),
        );
    }
}

/// Templates of included files that the workflow does not call, not even through others. What such a template wants of
/// the workflow, its inputs and its components, need not be there.
pub(super) fn idle(collected: &Collected<'_>) -> BTreeSet<usize> {
    let names = &collected.names;
    let called_from = |template: Option<usize>| {
        collected.calls.iter().filter(move |call| names.template_of(call.scope) == template).filter_map(|call| {
            let name = call.node.prop("uses")?.value.as_str()?;
            names.templates.get(name).map(|(template, _)| *template)
        })
    };
    let own = |template: &usize| collected.templates[*template].node.at.source == SourceId(0);
    let mut called: BTreeSet<usize> = (0..collected.templates.len()).filter(own).collect();
    let mut open: Vec<usize> = called_from(None).chain(called.clone()).collect();
    let mut seen = BTreeSet::new();
    while let Some(template) = open.pop() {
        if seen.insert(template) {
            called.insert(template);
            open.extend(called_from(Some(template)));
        }
    }
    (0..collected.templates.len()).filter(|template| !called.contains(template)).collect()
}
