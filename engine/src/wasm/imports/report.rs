//! `report`: log lines and the reason for waiting.

use steps_sdk::context::LogLevel;

use crate::wasm::bindings::report::{Host, Level};
use crate::wasm::guest::Guest;

impl Host for Guest {
    fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.count_host_call()?;
        let level = match level {
            Level::Error => LogLevel::Error,
            Level::Warn => LogLevel::Warn,
            Level::Info => LogLevel::Info,
            Level::Debug => LogLevel::Debug,
        };
        if fields.is_empty() {
            self.speech.log(level, &message);
            return Ok(());
        }
        let mut line = message;
        for (name, value) in fields {
            line.push(' ');
            line.push_str(&name);
            line.push('=');
            line.push_str(&value);
        }
        self.speech.log(level, &line);
        Ok(())
    }

    fn waiting(&mut self, reason: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.speech.waiting(&reason);
        Ok(())
    }
}
