//! Numbers, times and lengths in words: durations, ages, counts, clock times; and texts made fit for a terminal.
//!
//! No fake precision: a duration names at most two units, a percentage is a whole number, and only a finished whole is 100.

use std::borrow::Cow;

use engine_core::id::Timestamp;
use engine_core::terminal::is_obeyed;
use jiff::tz::TimeZone;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `45ms`, `0.4s`, `44.8s`, `1m52s`, `2h05m`, `3d04h`: two units at most, tenths only below a minute.
pub fn duration(ms: u64) -> String {
    match ms {
        0..100 => format!("{ms}ms"),
        // Truncated like everything below: 59.97 s are not yet a minute.
        100..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        _ => age(ms),
    }
}

/// Like [`duration`] in whole seconds, for times that still run: `0s`, `58s`, `1m01s`.
pub fn age(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `1 step`, `3 steps`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Whole percent, rounded down: 999 of 1000 is 99.
pub fn percent(part: usize, whole: usize) -> usize {
    (part * 100).checked_div(whole).unwrap_or(100)
}

/// `14:02:15Z`.
pub fn clock(at: Timestamp) -> String {
    format_utc(at, "%H:%M:%SZ")
}

/// `2026-11-24 14:02:15Z`.
pub fn date_time(at: Timestamp) -> String {
    format_utc(at, "%Y-%m-%d %H:%M:%SZ")
}

/// `2026-11-24 14:02`, for tables whose head says what it is.
pub fn minute(at: Timestamp) -> String {
    format_utc(at, "%Y-%m-%d %H:%M")
}

/// RFC 3339 with milliseconds, for machines: `2026-11-24T14:02:15.123Z`.
pub fn rfc3339(at: Timestamp) -> String {
    format_utc(at, "%Y-%m-%dT%H:%M:%S.%3fZ")
}

fn format_utc(at: Timestamp, format: &str) -> String {
    let instant = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    match instant {
        Some(instant) => instant.to_zoned(TimeZone::UTC).strftime(format).to_string(),
        // Beyond the year 9999: a damaged record, shown as the number that it is.
        None => format!("{}ms", at.0),
    }
}

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text in at most `columns`, cut at a character and ended with `ellipsis` when something was left out.
pub fn fit<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let ellipsis = if width(ellipsis) <= columns { ellipsis } else { "" };
    let room = columns - width(ellipsis);
    Cow::Owned(format!("{}{ellipsis}", &text[..prefix_of_width(text, room)]))
}

/// Bytes of the longest prefix that takes at most `columns`.
pub fn prefix_of_width(text: &str, columns: usize) -> usize {
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        taken += character.width().unwrap_or(0);
        if taken > columns {
            return at;
        }
    }
    text.len()
}

/// The text filled with spaces to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Spaces first: numbers and durations align on the right.
pub fn pad_left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// One line without control characters. What steps and servers say must not be able to move the cursor, set colours or forge a
/// line of ours.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    for word in text.split(char::is_whitespace).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !is_obeyed(*c)));
    }
    Cow::Owned(line)
}

/// Breaks a text at spaces into lines of at most `columns`; a longer word stays whole on a line of its own, so that a command or
/// an address can be copied.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// `5 same, 1 failed`: the counts that are not zero, each with its name.
pub fn tally(counts: impl IntoIterator<Item = (usize, &'static str)>) -> String {
    let parts: Vec<String> =
        counts.into_iter().filter(|(number, _)| *number > 0).map(|(number, name)| format!("{number} {name}")).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_name_at_most_two_units() {
        for (ms, text) in [
            (0, "0ms"),
            (45, "45ms"),
            (400, "0.4s"),
            (999, "0.9s"),
            (44_820, "44.8s"),
            (59_999, "59.9s"),
            (60_000, "1m00s"),
            (112_000, "1m52s"),
            (7_500_000, "2h05m"),
            (273_600_000, "3d04h"),
        ] {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(age(999), "0s");
        assert_eq!(age(61_000), "1m01s");
    }

    #[test]
    fn counts_and_percentages_do_not_overstate() {
        assert_eq!((count(1, "step"), count(0, "step")), ("1 step".to_owned(), "0 steps".to_owned()));
        assert_eq!((percent(999, 1_000), percent(1_000, 1_000), percent(0, 0)), (99, 100, 100));
    }

    #[test]
    fn times_are_utc() {
        let at = Timestamp(1_795_528_935_123);
        assert_eq!(rfc3339(at), "2026-11-24T14:02:15.123Z");
        assert_eq!(clock(at), "14:02:15Z");
        assert_eq!(date_time(at), "2026-11-24 14:02:15Z");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "18446744073709551615ms");
    }

    #[test]
    fn texts_fit_their_columns_whatever_they_are_made_of() {
        assert_eq!(fit("short", 5, "…"), "short");
        assert_eq!(fit("longer", 5, "…"), "long…");
        assert_eq!(fit("世界世界", 5, "…"), "世界…");
        assert_eq!(fit("世界世界", 4, "…"), "世…");
        assert_eq!(fit("abcdef", 2, "..."), "ab");
        assert_eq!(fit("abc", 0, "…"), "");
        assert_eq!(pad("世", 4), "世  ");
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_as_a_command() {
        assert_eq!(clean("two\nlines\tand \u{1b}[2Jmore"), "two lines and [2Jmore");
        assert_eq!(clean("a\u{202e}b"), "ab");
        assert_eq!(clean("as  it is"), "as  it is");
    }

    #[test]
    fn wrapping_keeps_long_words_whole() {
        assert_eq!(wrap("a bb ccc\n\nd", 4), ["a bb", "ccc", "", "d"]);
        assert_eq!(wrap("see https://example.org/long now", 8), ["see", "https://example.org/long", "now"]);
    }
}
