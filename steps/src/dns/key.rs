//! The key that signs updates, from the text of a secret: `ALGORITHM:NAME:BASE64`, or `NAME:BASE64` for hmac-sha256.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, TSigner};
use steps_sdk::StepError;
use steps_sdk::context::SecretBytes;

use super::classify::Trouble;

/// How many seconds the two clocks may differ: what RFC 8945 §10 recommends.
const FUDGE: u16 = 300;

/// No error shows any part of the secret.
pub fn signer(secret: &SecretBytes) -> Result<TSigner, StepError> {
    read(secret).map_err(|reason| Trouble::Key { reason }.into())
}

fn read(secret: &SecretBytes) -> Result<TSigner, &'static str> {
    let text = std::str::from_utf8(secret.expose()).map_err(|_| "it is not text")?.trim();
    let parts: Vec<&str> = text.split(':').collect();
    let (algorithm, name, key) = match parts.as_slice() {
        [name, key] => ("hmac-sha256", *name, *key),
        [algorithm, name, key] => (*algorithm, *name, *key),
        _ => return Err("it does not have two or three parts with colons between"),
    };
    let algorithm = match algorithm.to_ascii_lowercase().as_str() {
        "hmac-sha256" => TsigAlgorithm::HmacSha256,
        "hmac-sha384" => TsigAlgorithm::HmacSha384,
        "hmac-sha512" => TsigAlgorithm::HmacSha512,
        _ => return Err("its algorithm is not hmac-sha256, hmac-sha384 or hmac-sha512"),
    };
    let name = Name::from_ascii(name).ok().filter(|name| name.num_labels() > 0).ok_or("its name is not a DNS name")?;
    let key = STANDARD.decode(key).ok().filter(|key| !key.is_empty()).ok_or("its last part is not base64")?;
    TSigner::new(key, algorithm, name, FUDGE).map_err(|_| "its algorithm is not supported")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TSigner, StepError> {
        signer(&SecretBytes::new(text.into()))
    }

    #[test]
    fn both_forms_are_read() {
        for (text, name, algorithm) in [
            ("hmac-sha256:zone-key:c2VjcmV0", "zone-key.", TsigAlgorithm::HmacSha256),
            ("zone-key:c2VjcmV0\n", "zone-key.", TsigAlgorithm::HmacSha256),
            ("HMAC-SHA512:a.b.:c2VjcmV0", "a.b.", TsigAlgorithm::HmacSha512),
        ] {
            let signer = parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!((signer.signer_name().to_string().as_str(), signer.algorithm()), (name, &algorithm), "{text}");
            assert_eq!(signer.key(), b"secret");
        }
    }

    #[test]
    fn a_wrong_form_is_refused_without_showing_the_secret() {
        for text in ["", "c2VjcmV0", "hmac-md5:k:c2VjcmV0", "k:c2VjcmV0!", "k:", ":c2VjcmV0", "a:b:c2VjcmV0:d"] {
            let Err(error) = parse(text) else { panic!("{text} must be refused") };
            assert_eq!(error.code, "D304");
            assert!(!format!("{error:?}").contains("c2VjcmV0"), "{error:?}");
        }
    }
}
