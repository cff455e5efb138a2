//! `wasi:random`: the same bytes as `random` of our contract.

use wasmtime::component::LinkerInstance;

use crate::wasm::guest::Guest;

pub(super) fn define(at: &mut LinkerInstance<'_, Guest>, interface: &str, member: &str) -> wasmtime::Result<bool> {
    match (interface, member) {
        ("random", "get-random-bytes") | ("insecure", "get-insecure-random-bytes") => {
            at.func_wrap(member, |mut store, (len,): (u64,)| {
                let guest = store.data_mut();
                guest.count_host_call()?;
                Ok((guest.random_bytes(u32::try_from(len).unwrap_or(u32::MAX))?,))
            })?;
        }
        ("random", "get-random-u64") | ("insecure", "get-insecure-random-u64") => {
            at.func_wrap(member, |mut store, (): ()| {
                let guest = store.data_mut();
                guest.count_host_call()?;
                Ok((random_u64(guest)?,))
            })?;
        }
        ("insecure-seed", "insecure-seed") => at.func_wrap(member, |mut store, (): ()| {
            let guest = store.data_mut();
            guest.count_host_call()?;
            Ok(((random_u64(guest)?, random_u64(guest)?),))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn random_u64(guest: &Guest) -> wasmtime::Result<u64> {
    let bytes = guest.random_bytes(8)?;
    Ok(u64::from_le_bytes(bytes.try_into().expect("as many bytes as were asked for")))
}
