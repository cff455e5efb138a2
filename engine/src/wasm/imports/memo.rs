//! `memo`: durable notes of the step. Verbs that only look read them and write none.

use engine_core::limits::MEMO_BYTES_MAX;
use steps_sdk::Value;

use crate::wasm::bindings::memo::Host;
use crate::wasm::guest::{Guest, Writes};
use crate::wasm::limits::Bytes;

/// A key is a name, not a value.
const KEY_BYTES_MAX: usize = 256;

impl Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(self.step("memo.get")?.cx.memo.get(&key).map(|value| value.to_string()))
    }

    async fn put(&mut self, key: String, value: String) -> wasmtime::Result<Result<(), String>> {
        self.count_host_call()?;
        let verb = self.verb;
        let cx = &self.step("memo.put")?.cx;
        if verb.writes() != Writes::Done {
            return Ok(Err(format!("`{}` writes no memo", verb.word())));
        }
        match note(&key, &value) {
            Ok(value) => Ok(cx.memo.put(&key, value).await.map_err(|error| error.message)),
            Err(refused) => Ok(Err(refused)),
        }
    }
}

/// What can be noted, for memos and holds alike.
pub(super) fn note(key: &str, value: &str) -> Result<Value, String> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(format!("the name has {} bytes, 1 to {KEY_BYTES_MAX} are allowed", key.len()));
    }
    if key.chars().any(char::is_control) {
        return Err("the name holds a control character".to_owned());
    }
    if value.len() > MEMO_BYTES_MAX {
        return Err(format!("the value has {} bytes, the limit is {}", value.len(), Bytes(MEMO_BYTES_MAX as u64)));
    }
    serde_json::from_str(value).map_err(|error| format!("the value is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_json_of_limited_size_under_a_name() {
        assert_eq!(note("zone", "{\"id\":7}").unwrap(), serde_json::json!({ "id": 7 }));
        assert!(note("", "1").unwrap_err().contains("1 to 256"));
        assert!(note(&"k".repeat(257), "1").unwrap_err().contains("257"));
        assert!(note("a\nb", "1").unwrap_err().contains("control"));
        assert!(note("k", "nope").unwrap_err().contains("not JSON"));
        assert!(note("k", &format!("\"{}\"", "x".repeat(MEMO_BYTES_MAX))).unwrap_err().contains("64 KiB"));
    }
}
