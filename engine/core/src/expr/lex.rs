//! Cuts an expression into tokens.

use std::ops::Range;

use super::ExprError;

#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: TokenKind,
    pub range: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TokenKind {
    Name(String),
    /// The digits of a whole number without its sign, which decides whether it fits.
    Int(u64),
    Float(f64),
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Longer signs first, so that `<=` is not read as `<`.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}",
];

pub fn tokens(text: &str) -> Result<Vec<Token>, ExprError> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if text[at..].starts_with("//") {
            // CEL has comments; in one line of a workflow they would swallow the rest.
            return Err(ExprError::syntax(at..text.len(), "`//` begins a comment, which expressions do not have")
                .help("write `/` for a division"));
        }
        let Some(c) = text[at..].chars().next() else {
            out.push(Token { kind: TokenKind::End, range: text.len()..text.len() });
            return Ok(out);
        };
        let (kind, end) = match c {
            '"' | '\'' => text_token(text, at, false)?,
            'r' | 'R' if text[at + 1..].starts_with(['"', '\'']) => text_token(text, at, true)?,
            'b' | 'B' if text[at + 1..].starts_with(['"', '\'']) => {
                return Err(ExprError::syntax(at..at + 2, "bytes are not a type of expressions")
                    .help("write the text without `b`"));
            }
            '0'..='9' => number(text, at)?,
            '.' if text[at + 1..].starts_with(|c: char| c.is_ascii_digit()) => number(text, at)?,
            'a'..='z' | 'A'..='Z' | '_' => {
                let end =
                    at + text[at..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len() - at);
                (TokenKind::Name(text[at..end].to_owned()), end)
            }
            _ => sign(text, at, c)?,
        };
        out.push(Token { kind, range: at..end });
        at = end;
    }
}

fn sign(text: &str, at: usize, c: char) -> Result<(TokenKind, usize), ExprError> {
    if let Some(sign) = SIGNS.into_iter().find(|sign| text[at..].starts_with(sign)) {
        return Ok((TokenKind::Sign(sign), at + sign.len()));
    }
    let range = at..at + c.len_utf8();
    let error = ExprError::syntax(range, format!("`{c}` has no meaning in an expression"));
    Err(match c {
        '=' => error.help("two values are compared with `==`"),
        '&' => error.help("both conditions: `a && b`"),
        '|' => error.help("one of the conditions: `a || b`"),
        '$' => error.help("inside an expression names are written without `$`: `inputs.zone`"),
        '`' => error.help("a field with other characters than letters is written `a[\"b-c\"]`"),
        ';' => error.help("an expression is one value; there are no statements"),
        _ => error.help("text goes in quotes: 'like this'"),
    })
}

fn number(text: &str, at: usize) -> Result<(TokenKind, usize), ExprError> {
    let digits = |from: usize| from + text[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - from);
    if let Some(hex) = text[at..].strip_prefix("0x").or_else(|| text[at..].strip_prefix("0X")) {
        let len = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let end = at + 2 + len;
        return whole(u64::from_str_radix(&hex[..len], 16).ok(), text, at..end);
    }
    let mut end = digits(at);
    let mut is_whole = true;
    if text[end..].strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        end = digits(end + 1);
        is_whole = false;
    }
    if let Some(rest) = text[end..].strip_prefix(['e', 'E']) {
        let exponent = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        if exponent.starts_with(|c: char| c.is_ascii_digit()) {
            end = digits(text.len() - exponent.len());
            is_whole = false;
        }
    }
    if is_whole {
        return whole(text[at..end].parse().ok(), text, at..end);
    }
    check_end(text, &(at..end))?;
    match text[at..end].parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((TokenKind::Float(number), end)),
        _ => {
            Err(ExprError::syntax(at..end, format!("`{}` is out of range", &text[at..end]))
                .help("write a smaller number"))
        }
    }
}

fn whole(value: Option<u64>, text: &str, range: Range<usize>) -> Result<(TokenKind, usize), ExprError> {
    check_end(text, &range)?;
    match value {
        Some(value) => Ok((TokenKind::Int(value), range.end)),
        None => Err(ExprError::syntax(range.clone(), format!("`{}` is out of range", &text[range]))
            .help("whole numbers have 64 bits")),
    }
}

/// A number must not run into a word: `5m`, `1u`.
fn check_end(text: &str, range: &Range<usize>) -> Result<(), ExprError> {
    let rest = &text[range.end..];
    let tail = &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())];
    if tail.is_empty() {
        return Ok(());
    }
    let at = range.start..range.end + tail.len();
    let error = ExprError::syntax(at.clone(), format!("`{}` is not a number", &text[at.clone()]));
    Err(match tail {
        "u" | "U" => error.help(format!("all whole numbers are of one type: write `{}`", &text[range.clone()])),
        _ => error.help(format!("durations and sizes are text: '{}'", &text[at])),
    })
}

fn text_token(text: &str, at: usize, is_raw: bool) -> Result<(TokenKind, usize), ExprError> {
    let open = at + usize::from(is_raw);
    let quote = &text[open..open + 1];
    let close = if text[open..].starts_with(&quote.repeat(3)) { quote.repeat(3) } else { quote.to_owned() };
    let mut from = open + close.len();
    let mut value = String::new();
    loop {
        let rest = &text[from..];
        if rest.starts_with(&close) {
            return Ok((TokenKind::Text(value), from + close.len()));
        }
        match rest.chars().next() {
            None => return Err(unclosed(at, text.len(), &close)),
            Some('\n' | '\r') if close.len() == 1 => return Err(unclosed(at, from, &close)),
            Some('\\') if !is_raw => {
                let (c, len) = escape(rest).ok_or_else(|| {
                    let end = from + rest.chars().take(2).map(char::len_utf8).sum::<usize>();
                    ExprError::syntax(from..end, format!("`{}` is not an escape", &text[from..end]))
                        .help("double the backslash, or write the text raw: r'…'")
                })?;
                value.push(c);
                from += len;
            }
            Some(c) => {
                value.push(c);
                from += c.len_utf8();
            }
        }
    }
}

fn unclosed(start: usize, end: usize, close: &str) -> ExprError {
    ExprError::syntax(start..end, "the text is not closed").help(format!("close it with `{close}`"))
}

/// The character of an escape and the number of bytes it takes, from its `\`.
fn escape(rest: &str) -> Option<(char, usize)> {
    let kind = rest[1..].chars().next()?;
    let simple = match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '?' | '"' | '\'' | '`' => kind,
        'x' | 'X' => return coded(rest, 2, 2, 16),
        'u' => return coded(rest, 2, 4, 16),
        'U' => return coded(rest, 2, 8, 16),
        '0'..='3' => return coded(rest, 1, 3, 8),
        _ => return None,
    };
    Some((simple, 2))
}

fn coded(rest: &str, skip: usize, len: usize, radix: u32) -> Option<(char, usize)> {
    let digits = rest.get(skip..skip + len)?;
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let c = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)?;
    Some((c, skip + len))
}
