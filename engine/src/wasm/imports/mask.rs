//! Takes an injected secret out of what comes back: a server that repeats the request must not tell the guest what the host put in.
//!
//! This is a second line. The first is the grant: the secret goes to the server that the file names, and to no other.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use steps_sdk::context::SecretBytes;

const MASK: &[u8] = b"***";

/// The forms in which servers repeat what they were sent.
pub(super) struct Mask {
    forms: Vec<SecretBytes>,
}

impl Mask {
    pub(super) fn new(secret: &SecretBytes) -> Mask {
        let bytes = secret.expose();
        let quoted = serde_json::to_string(&String::from_utf8_lossy(bytes)).unwrap_or_default();
        let escaped: String = url::form_urlencoded::byte_serialize(bytes).collect();
        let mut forms = vec![
            bytes.to_vec(),
            hex::encode(bytes).into_bytes(),
            hex::encode_upper(bytes).into_bytes(),
            quoted.trim_matches('"').as_bytes().to_vec(),
            escaped.into_bytes(),
        ];
        for alphabet in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            forms.push(alphabet.encode(bytes).into_bytes());
        }
        forms.retain(|form| !form.is_empty());
        // Longer forms first: a form that holds another is masked whole.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Mask { forms: forms.into_iter().map(SecretBytes::new).collect() }
    }

    pub(super) fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.forms.iter().fold(bytes, |bytes, form| replaced(bytes, form.expose()))
    }

    pub(super) fn text(&self, text: String) -> String {
        String::from_utf8(self.bytes(text.into_bytes()))
            .unwrap_or_else(|odd| String::from_utf8_lossy(odd.as_bytes()).into_owned())
    }
}

fn replaced(bytes: Vec<u8>, form: &[u8]) -> Vec<u8> {
    let first = form[0];
    let mut kept = Vec::new();
    let mut rest = bytes.as_slice();
    // Most bodies hold nothing of it, and are handed on as they are.
    while let Some(at) = position(rest, form, first) {
        kept.extend_from_slice(&rest[..at]);
        kept.extend_from_slice(MASK);
        rest = &rest[at + form.len()..];
    }
    if kept.is_empty() && rest.len() == bytes.len() {
        return bytes;
    }
    kept.extend_from_slice(rest);
    kept
}

fn position(bytes: &[u8], form: &[u8], first: u8) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(form) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_the_forms_in_which_servers_repeat_it() {
        let secret = "tok\"en/+ 7";
        let mask = Mask::new(&SecretBytes::new(secret.into()));
        for form in [
            secret.to_owned(),
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
            hex::encode(secret),
            "tok\\\"en/+ 7".to_owned(),
            "tok%22en%2F%2B+7".to_owned(),
        ] {
            assert_eq!(mask.text(format!("a {form} b {form}")), "a *** b ***", "{form}");
        }
        assert_eq!(mask.text("nothing of it".into()), "nothing of it");
        assert_eq!(Mask::new(&SecretBytes::new(Vec::new())).text("x".into()), "x");
    }
}
