//! The sections of docs/language.md that tell of nodes, by the nodes' names. The document is the only place where that is written.

const DOCUMENT: &str = include_str!("../../../docs/language.md");

/// Nodes, and the heading of the section that tells of them.
const NODES: [(&str, &str); 13] = [
    ("call", "Templates"),
    ("cluster", "Clusters"),
    ("for-each", "Groups of steps"),
    ("grant", "Custom steps"),
    ("include", "Included files"),
    ("input", "Inputs and types"),
    ("limits", "Custom steps"),
    ("param", "Templates"),
    ("secret", "Secrets"),
    ("step", "Steps"),
    ("template", "Templates"),
    ("type", "Inputs and types"),
    ("use", "Custom steps"),
];

/// What is written about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub name: &'static str,
    pub title: &'static str,
    /// Markdown, without blank lines at its ends.
    pub body: &'static str,
}

pub fn node(name: &str) -> Option<Node> {
    let (name, title) = NODES.iter().find(|(known, _)| *known == name)?;
    let mut sections = DOCUMENT.split("\n##").filter_map(|part| part.trim_start_matches('#').split_once('\n'));
    let (_, body) = sections.find(|(heading, _)| heading.trim() == *title)?;
    Some(Node { name, title, body: body.trim() })
}

pub fn names() -> impl Iterator<Item = &'static str> {
    NODES.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_its_section_and_no_more_than_that() {
        for name in names() {
            let node = node(name).unwrap_or_else(|| panic!("docs/language.md tells nothing of `{name}`"));
            assert!(node.body.len() > 80 && !node.body.contains("\n## "), "{name}: {}", node.body);
        }
        assert_eq!(node("nothing"), None);
    }
}
