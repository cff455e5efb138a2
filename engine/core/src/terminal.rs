//! Which characters a terminal obeys instead of showing them. The only list of them: what guests, servers and files say is held to it
//! before a person sees it. What is put in their place is for whoever shows them.

/// Whether the character does something instead of showing something: it moves the cursor, sets a colour, begins a line of its own, or
/// turns the direction of writing, so that a line reads otherwise than it is.
pub fn is_obeyed(character: char) -> bool {
    character.is_control() || breaks_line(character) || turns_direction(character)
}

/// Line and paragraph separators, which are not control characters.
fn breaks_line(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}')
}

/// Unicode's `Bidi_Control`.
fn turns_direction(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_told_from_what_it_shows() {
        for obeyed in "\u{0}\u{7}\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}".chars() {
            assert!(is_obeyed(obeyed), "{obeyed:?}");
        }
        // The joiner is part of words and of emoji.
        for shown in " aä世\u{200d}👩\u{202f}\u{fffd}".chars() {
            assert!(!is_obeyed(shown), "{shown:?}");
        }
    }
}
