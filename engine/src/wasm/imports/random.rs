//! `random`: bytes of the system's generator. In `describe` they are zeros, so that the answer is always the same.

use rustix::rand::{GetRandomFlags, getrandom};
use steps_sdk::StepError;

use crate::wasm::bindings::random::Host;
use crate::wasm::guest::{Guest, Verb};
use crate::wasm::limits::{Exceeded, RANDOM_BYTES_MAX};

impl Host for Guest {
    fn bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        self.count_host_call()?;
        self.random_bytes(len)
    }
}

impl Guest {
    pub(in crate::wasm) fn random_bytes(&self, len: u32) -> wasmtime::Result<Vec<u8>> {
        if len > RANDOM_BYTES_MAX {
            return Err(Exceeded::RandomBytes { wanted: len }.into());
        }
        let mut bytes = vec![0; len as usize];
        if self.verb == Verb::Describe {
            return Ok(bytes);
        }
        let mut filled = 0;
        while filled < bytes.len() {
            filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty()).map_err(|error| {
                StepError::transient("S017", "got no random bytes from the system").caused_by(&error)
            })?;
        }
        Ok(bytes)
    }
}
