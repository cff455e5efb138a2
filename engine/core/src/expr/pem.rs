//! `pem`: the blocks of a PEM text (RFC 7468), for counting and comparing certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::val::Val;

/// One record a block: `label` (`CERTIFICATE`) and `der` (base64 in one line). A text without blocks is refused: it is no PEM. So is
/// a private key: its bytes do not belong in expressions.
pub fn blocks<'a>(text: &str) -> Result<Vec<Val<'a>>, String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        if label.ends_with("PRIVATE KEY") {
            return Err("the PEM text holds a private key, which expressions do not read".into());
        }
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        loop {
            match lines.next() {
                Some(line) if line == end => break,
                Some(line) => body.push_str(line),
                None => return Err(format!("the PEM text has no `{end}`")),
            }
        }
        let der = STANDARD.decode(&body).map_err(|_| format!("the block {label} of the PEM text is not base64"))?;
        let record = vec![("label".to_owned(), Val::text(label)), ("der".to_owned(), Val::text(STANDARD.encode(der)))];
        blocks.push(Val::Map(record.into()));
    }
    if blocks.is_empty() {
        return Err("the text has no PEM block, which begins with `-----BEGIN `".into());
    }
    Ok(blocks)
}
