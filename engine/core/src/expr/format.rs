//! `format`: values put into a text by `%` verbs.

use super::val::Val;

/// `%s` takes any scalar, `%d` a whole number, `%f` a number (`%.2f`: with two digits), `%x` a whole number in hex, `%%` is `%`.
pub fn format(text: &str, values: &[Val<'_>]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut left = values.iter();
    let mut rest = text;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (digits, after) = precision(rest)?;
        let verb = after.chars().next().ok_or("the text of `format` ends with `%`; write `%%` for the sign itself")?;
        rest = &after[verb.len_utf8()..];
        let value =
            left.next().ok_or_else(|| format!("`format` has more verbs than values: {} values", values.len()))?;
        out.push_str(&formatted(verb, digits, value)?);
    }
    match left.count() {
        0 => Ok(out + rest),
        more => Err(format!("`format` has {more} more values than verbs")),
    }
}

/// `.2` before a verb.
fn precision(rest: &str) -> Result<(Option<usize>, &str), String> {
    let Some(after) = rest.strip_prefix('.') else { return Ok((None, rest)) };
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let digits = after[..end].parse().ok().filter(|digits| *digits <= 20);
    match digits {
        Some(digits) => Ok((Some(digits), &after[end..])),
        None => Err("after `%.` the number of digits must follow, 0 to 20".into()),
    }
}

fn formatted(verb: char, digits: Option<usize>, value: &Val<'_>) -> Result<String, String> {
    let wrong = |wanted: &str| Err(format!("`%{verb}` takes {wanted}, not {}", value.kind()));
    match (verb, value) {
        ('s', _) => match value.scalar_text() {
            Some(text) => Ok(text.into_owned()),
            None => wrong("a string, number or bool"),
        },
        ('d', Val::Int(number)) => Ok(number.to_string()),
        ('x', Val::Int(number)) => Ok(format!("{number:x}")),
        ('d' | 'x', _) => wrong("a whole number"),
        ('f', Val::Float(number)) => Ok(format!("{number:.*}", digits.unwrap_or(6))),
        ('f', Val::Int(number)) => Ok(format!("{:.*}", digits.unwrap_or(6), *number as f64)),
        ('f', _) => wrong("a number"),
        _ => Err(format!("`%{verb}` is not a verb of `format`; there are `%s`, `%d`, `%f`, `%x` and `%%`")),
    }
}
