//! Text of a guest on its way to people and files: cut to a size, and without characters that a terminal would obey.

use engine_core::terminal::is_obeyed;

/// The text in one line of at most `bytes_max` bytes.
pub(super) fn line(text: &str, bytes_max: usize) -> String {
    let kept = cut(text, bytes_max);
    let mut line: String =
        kept.chars().map(|c| if c == '\n' || c == '\t' || c == '\r' { ' ' } else { shown(c) }).collect();
    if kept.len() < text.len() {
        line.push('…');
    }
    line
}

/// The text with its lines, each as [`line`] makes it.
pub(super) fn page(text: &str, bytes_max: usize) -> String {
    cut(text, bytes_max).split('\n').map(|part| line(part, bytes_max)).collect::<Vec<_>>().join("\n")
}

/// Whether a terminal would obey something in it.
pub(super) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || c == '\t' || shown(c) == c)
}

/// The longest beginning of the text that has at most `bytes_max` bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// What a terminal would obey would let a guest write over other lines.
fn shown(c: char) -> char {
    if is_obeyed(c) { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_guest_is_one_line_that_obeys_nothing() {
        assert_eq!(line("a\u{1b}[2Jb\nc\u{202e}d", 100), "a\u{fffd}[2Jb c\u{fffd}d");
        assert_eq!(line("äöü", 3), "ä…");
        assert_eq!(cut("äöü", 4), "äö");
        assert_eq!(page("one\n\u{7}two\n", 100), "one\n\u{fffd}two\n");
        assert_eq!(line("a\u{2028}error: b\u{2029}c", 100), "a\u{fffd}error: b\u{fffd}c");
        assert!(is_plain("one\n\ttwo ä") && !is_plain("\u{9b}2J") && !is_plain("\u{202e}") && !is_plain("\u{2028}"));
    }
}
