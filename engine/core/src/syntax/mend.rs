//! The text as it is handed to the KDL parser: everything that was already reported is replaced by something legal, so that the
//! parser reads the rest, and places found in the mended text can be told in the file.

use std::ops::Range;

use super::tree::Scalar;

/// One replacement. `value`: what the replaced part means, where a word or a value stands in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Mend {
    pub at: Range<usize>,
    pub with: String,
    pub value: Option<Scalar>,
}

impl Mend {
    /// Takes a part away.
    pub fn remove(at: Range<usize>) -> Mend {
        Mend { at, with: " ".into(), value: None }
    }

    /// Puts a word where a value was, and remembers what it means.
    pub fn value(at: Range<usize>, value: Scalar) -> Mend {
        Mend { at, with: "x".into(), value: Some(value) }
    }

    pub fn insert(at: usize, text: &str) -> Mend {
        Mend { at: at..at, with: text.into(), value: None }
    }
}

/// A text with its replacements made.
pub struct Mended {
    pub text: String,
    done: Vec<Done>,
}

struct Done {
    new: Range<usize>,
    old: Range<usize>,
    value: Option<Scalar>,
}

impl Mended {
    /// Replacements that overlap an earlier one are left out: the earlier one covers what they are about.
    pub fn new(source: &str, mut mends: Vec<Mend>) -> Mended {
        mends.sort_by_key(|mend| (mend.at.start, mend.at.end));
        let mut mended = Mended { text: String::with_capacity(source.len()), done: Vec::with_capacity(mends.len()) };
        let mut copied = 0;
        for mend in mends {
            if mend.at.start < copied {
                continue;
            }
            mended.text.push_str(&source[copied..mend.at.start]);
            let start = mended.text.len();
            mended.text.push_str(&mend.with);
            copied = mend.at.end;
            mended.done.push(Done { new: start..mended.text.len(), old: mend.at, value: mend.value });
        }
        mended.text.push_str(&source[copied..]);
        mended
    }

    /// A place of the mended text in the file. A replaced part counts as a whole.
    pub fn original(&self, range: Range<usize>) -> Range<usize> {
        let start = self.original_byte(range.start, |done| done.old.start);
        let end = self.original_byte(range.end, |done| done.old.end);
        start..end.max(start)
    }

    fn original_byte(&self, byte: usize, inside: impl Fn(&Done) -> usize) -> usize {
        let after = self.done.partition_point(|done| done.new.start < byte);
        match after.checked_sub(1).map(|index| &self.done[index]) {
            Some(done) if byte < done.new.end => inside(done),
            Some(done) => done.old.end + (byte - done.new.end),
            None => byte,
        }
    }

    /// What the replaced part that begins at this byte of the mended text means.
    pub fn meaning(&self, byte: usize) -> Option<&Scalar> {
        let index = self.done.partition_point(|done| done.new.start < byte);
        self.done.get(index).filter(|done| done.new.start == byte).and_then(|done| done.value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_the_mended_text_are_told_in_the_file() {
        let mends = vec![
            Mend::insert(9, "}"),
            Mend::value(2..5, Scalar::Null),
            Mend::value(3..4, Scalar::Null),
            Mend::remove(6..8),
        ];
        let mended = Mended::new("a 1.4 /- b c", mends);
        assert_eq!(mended.text, "a x   }b c");
        assert_eq!(mended.original(2..3), 2..5);
        assert_eq!(mended.meaning(2), Some(&Scalar::Null));
        let b = mended.text.find('b').unwrap();
        assert_eq!(mended.original(b..b + 1), 9..10);
        assert_eq!(mended.original(mended.text.len()..mended.text.len()), 12..12);
    }
}
