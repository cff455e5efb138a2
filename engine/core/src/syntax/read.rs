//! From the mended text to the tree, through the KDL parser. Places are told in the file as it was written.

use std::ops::Range;

use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};

use crate::diagnostic::{Place, Problem, SourceId, Spanned};

use super::mend::{Mend, Mended};
use super::sound;
use super::text;
use super::token::{Token, TokenKind, tokens};
use super::traps::PROBLEMS_MAX;
use super::tree::{Arg, Document, Node, Prop, Scalar};

/// Reads the text with its replacements. What still cannot be read is reported, and the top-level nodes that hold it are left out
/// of the tree.
pub fn read(id: SourceId, source: &str, mut mends: Vec<Mend>) -> (Document, Vec<Problem>) {
    let mut problems: Vec<Problem> = Vec::new();
    // Once as it is; once without what the last gate found; once without what the parser found.
    for _ in 0..3 {
        let reader = Reader::new(id, source, mends.clone());
        let failures = match reader.document() {
            Ok(document) => {
                return (Document { nodes: reader.nodes(&document), is_whole: problems.is_empty() }, problems);
            }
            Err(failures) => failures,
        };
        let mut spans: Vec<Range<usize>> = Vec::new();
        for failure in failures {
            // Errors that follow from another touch it; the first says where.
            let is_known = spans.iter().any(|known| known.start <= failure.at.end && failure.at.start <= known.end);
            if !is_known && problems.len() < PROBLEMS_MAX {
                problems.push(failure.problem(id));
                spans.push(failure.at);
            }
        }
        mends = without_nodes(source, &reader, mends, &spans);
    }
    (Document::default(), problems)
}

/// A part of the file that cannot be read.
struct Failure {
    at: Range<usize>,
    message: String,
    help: Option<String>,
}

impl Failure {
    fn problem(&self, id: SourceId) -> Problem {
        let at = Place::new(id, self.at.start, self.at.end);
        Problem::error("L006", at, format!("the file cannot be read here: {}", self.message)).label("not KDL").help(
            self.help.as_deref().unwrap_or("a node is a name, then values and properties, then a block in `{ … }`"),
        )
    }
}

/// Replacements that also take away the top-level nodes in which something could not be read.
fn without_nodes(source: &str, reader: &Reader<'_>, mut mends: Vec<Mend>, spans: &[Range<usize>]) -> Vec<Mend> {
    let mut depth = 0_usize;
    let mut start = 0;
    let mut ends = Vec::new();
    for token in &reader.tokens {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            TokenKind::Newline | TokenKind::Semicolon if depth == 0 => ends.push(token.start),
            _ => {}
        }
    }
    ends.push(reader.mended.text.len());
    for end in ends {
        let node = reader.mended.original(start..end);
        start = end;
        if spans.iter().any(|span| span.start < node.end.max(node.start + 1) && node.start <= span.end) {
            mends.retain(|mend| mend.at.end <= node.start || mend.at.start >= node.end);
            mends.push(Mend { at: node.start..node.end.min(source.len()), with: "\n".into(), value: None });
        }
    }
    mends
}

struct Reader<'a> {
    id: SourceId,
    source: &'a str,
    mended: Mended,
    /// Of the mended text.
    tokens: Vec<Token>,
}

impl<'a> Reader<'a> {
    fn new(id: SourceId, source: &'a str, mends: Vec<Mend>) -> Self {
        let mended = Mended::new(source, mends);
        let tokens = tokens(&mended.text, usize::MAX);
        Reader { id, source, mended, tokens }
    }

    /// What the parser makes of the text, or why it cannot or must not read it.
    fn document(&self) -> Result<KdlDocument, Vec<Failure>> {
        let misplaced = sound::misplaced(&self.mended.text, &self.tokens);
        if !misplaced.is_empty() {
            let failure = |index: usize| {
                let token = self.tokens[index];
                let at = self.mended.original(token.start..token.end);
                Failure { message: format!("`{}` cannot stand here", &self.source[at.clone()]), at, help: None }
            };
            return Err(misplaced.into_iter().take(PROBLEMS_MAX).map(failure).collect());
        }
        KdlDocument::parse_v2(&self.mended.text)
            .map_err(|error| error.diagnostics.into_iter().map(|diagnostic| self.failure(diagnostic)).collect())
    }

    fn failure(&self, diagnostic: kdl::KdlDiagnostic) -> Failure {
        let start = diagnostic.span.offset();
        let mut message =
            diagnostic.message.unwrap_or_else(|| "this is not KDL".into()).trim_end_matches('.').to_owned();
        if let Some(first) = message.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        Failure { at: self.mended.original(start..start + diagnostic.span.len()), message, help: diagnostic.help }
    }

    fn place(&self, range: Range<usize>) -> Place {
        let range = self.mended.original(range);
        Place::new(self.id, range.start, range.end)
    }

    /// The tokens inside a span of the parser, without what is nothing for the tree.
    fn tokens_in(&self, span: miette::SourceSpan) -> impl Iterator<Item = Token> {
        let (start, end) = (span.offset(), span.offset() + span.len());
        let first = self.tokens.partition_point(|token| token.start < start);
        let last = self.tokens.partition_point(|token| token.start < end);
        self.tokens[first..last].iter().copied().filter(|token| !token.is_trivia())
    }

    fn nodes(&self, document: &KdlDocument) -> Vec<Node> {
        document.nodes().iter().map(|node| self.node(node)).collect()
    }

    fn node(&self, node: &KdlNode) -> Node {
        let span = node.span();
        let name_token = self.tokens_in(span).find(Token::is_value);
        let name = match name_token {
            Some(token) => Spanned::new(self.name(token, node.name().value()), self.place(token.start..token.end)),
            None => Spanned::new(node.name().value().to_owned(), self.place(span.offset()..span.offset() + span.len())),
        };
        let ends_it = |token: &Token| !matches!(token.kind, TokenKind::Newline | TokenKind::Semicolon);
        let end =
            self.tokens_in(span).filter(ends_it).last().map_or(name.at, |token| self.place(token.start..token.end));
        let mut read = Node { at: name.at.to(end), name, args: Vec::new(), props: Vec::new(), children: None };
        for entry in node.entries() {
            let value = self.value(entry);
            match entry.name() {
                None => read.args.push(value),
                Some(name) => {
                    let token = self.tokens_in(entry.span()).find(Token::is_value);
                    let name = match token {
                        Some(token) => Spanned::new(self.name(token, name.value()), self.place(token.start..token.end)),
                        None => Spanned::new(name.value().to_owned(), value.at),
                    };
                    read.props.push(Prop { name, value });
                }
            }
        }
        read.children = node.children().map(|document| self.nodes(document));
        read
    }

    /// A name, as it was meant when it had to be replaced.
    fn name(&self, token: Token, parsed: &str) -> String {
        match self.mended.meaning(token.start) {
            Some(Scalar::Text(text)) => text.value.clone(),
            Some(Scalar::Null | Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_)) => {
                let at = self.mended.original(token.start..token.end);
                self.source[at].to_owned()
            }
            None => parsed.to_owned(),
        }
    }

    fn value(&self, entry: &KdlEntry) -> Arg {
        let span = entry.span();
        let Some(token) = self.tokens_in(span).filter(Token::is_value).last() else {
            // The parser gives an entry without a value token only for a text that the mends cannot produce.
            return Arg {
                value: self.scalar(entry.value(), None),
                at: self.place(span.offset()..span.offset() + span.len()),
            };
        };
        let value = match self.mended.meaning(token.start) {
            Some(meaning) => meaning.clone(),
            None => self.scalar(entry.value(), Some(token)),
        };
        Arg { value, at: self.place(token.start..token.end) }
    }

    fn scalar(&self, value: &KdlValue, token: Option<Token>) -> Scalar {
        match value {
            KdlValue::String(parsed) => Scalar::Text(self.text(parsed, token)),
            KdlValue::Integer(number) => Scalar::Int(*number),
            KdlValue::Float(number) => Scalar::Float(*number),
            KdlValue::Bool(value) => Scalar::Bool(*value),
            KdlValue::Null => Scalar::Null,
        }
    }

    /// A text with the places of its characters. The parser's value counts: should ours differ, the whole place stands for all.
    fn text(&self, parsed: &str, token: Option<Token>) -> super::Text {
        let Some(token) = token else {
            return text::opaque(parsed, 0..0);
        };
        let at = self.mended.original(token.start..token.end);
        // A token that was not replaced stands in the file as it stands here.
        let written = Token { start: at.start, end: at.end, ..token };
        let ours = match token.kind {
            TokenKind::Text(kind) => text::decode(self.source, written, kind).text,
            _ => text::bare(self.source, at.clone()),
        };
        if ours.value == parsed { ours } else { text::opaque(parsed, at) }
    }
}
