//! The sections of docs/errors.md: what each code means and what to do. The document is the only place where that is written.

const DOCUMENT: &str = include_str!("../../../docs/errors.md");

/// One `### CODE Title` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    pub code: &'static str,
    pub title: &'static str,
    /// Markdown, without blank lines at its ends.
    pub body: &'static str,
}

/// The section of a code; the case of letters does not matter.
pub fn section(code: &str) -> Option<Section> {
    sections().find(|section| section.code.eq_ignore_ascii_case(code))
}

/// All sections in the order of the document.
pub fn sections() -> impl Iterator<Item = Section> {
    sections_of(DOCUMENT)
}

fn sections_of(document: &'static str) -> impl Iterator<Item = Section> {
    document.split("\n### ").skip(1).filter_map(|part| {
        let (head, rest) = part.split_once('\n').unwrap_or((part, ""));
        let (code, title) = head.trim().split_once(' ')?;
        // The last section of a letter is followed by the heading of the next.
        let body = rest.split("\n## ").next().unwrap_or_default();
        Some(Section { code, title: title.trim(), body: body.trim() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_heading_begins() {
        let document = "# Codes\n\n## L\n\n### L001 First thing\n\nIt means.\n\nDo this.\n\n### L002 Second\nBody.\n\n## K: more\n\n### K001 Third\n";
        let found: Vec<Section> = sections_of(document).collect();
        assert_eq!(found[0], Section { code: "L001", title: "First thing", body: "It means.\n\nDo this." });
        assert_eq!(found[1], Section { code: "L002", title: "Second", body: "Body." });
        assert_eq!(found[2], Section { code: "K001", title: "Third", body: "" });
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn every_code_of_the_document_is_found_by_its_name() {
        let mut seen = std::collections::BTreeSet::new();
        for one in sections() {
            assert!(seen.insert(one.code), "{} has two sections", one.code);
            assert_eq!(section(&one.code.to_lowercase()), Some(one));
            assert!(!one.body.is_empty(), "{} says nothing", one.code);
        }
        assert!(!seen.is_empty());
        assert_eq!(section("L"), None);
    }
}
