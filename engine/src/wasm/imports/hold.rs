//! `hold`: something taken away that must be given back. A preview takes nothing.

use super::memo::note;
use crate::wasm::bindings::hold::Host;
use crate::wasm::guest::{Guest, Verb};

impl Host for Guest {
    async fn take(&mut self, name: String, data: String) -> wasmtime::Result<Result<(), String>> {
        self.count_host_call()?;
        let verb = self.verb;
        let cx = &self.step("hold.take")?.cx;
        if verb != Verb::Run {
            return Ok(Err(format!("only `run` takes holds, this is `{}`", verb.word())));
        }
        match note(&name, &data) {
            Ok(data) => Ok(cx.holds.take(&name, data).await.map_err(|error| error.message)),
            Err(refused) => Ok(Err(refused)),
        }
    }
}
