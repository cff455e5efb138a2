//! `clock`: the time, and sleep that ends when the step is asked to stop. In `describe` there is no time, so that the answer is always
//! the same.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::wasm::bindings::clock::Host;
use crate::wasm::guest::{Guest, Verb};

impl Host for Guest {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.count_host_call()?;
        Ok(u64::try_from(self.time().as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep_ms(&mut self, duration: u64) -> wasmtime::Result<bool> {
        self.count_host_call()?;
        let cx = &self.step("clock.sleep-ms")?.cx;
        Ok(cx.clock.sleep(Duration::from_millis(duration), &cx.cancel).await.is_ok())
    }
}

impl Guest {
    /// Since 1970.
    pub(in crate::wasm) fn time(&self) -> Duration {
        if self.verb == Verb::Describe {
            return Duration::ZERO;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a guest that asks for the time is outside, and nothing of ours depends on it"
        )]
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
