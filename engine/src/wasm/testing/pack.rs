//! A core module, as text or bytes, becomes a component for the world `step`.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::contract::Contract;
use super::guest::Guest;

/// The component, or why the module does not fit the world.
///
/// # Errors
/// In words of the tools: for whoever writes a test guest.
pub fn pack(module: &[u8]) -> Result<Vec<u8>, String> {
    pack_for(&Contract::new(), module)
}

/// The same for the world of a contract that is not ours: ours, edited.
///
/// # Errors
/// As of [`pack`].
pub fn pack_edited(guest: &Guest, edit: impl FnOnce(String) -> String) -> Result<Vec<u8>, String> {
    let contract = Contract::edited(edit);
    pack_for(&contract, guest.module(&contract).as_bytes())
}

pub(super) fn pack_for(contract: &Contract, module: &[u8]) -> Result<Vec<u8>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let mut module = wat::parse_bytes(module).map_err(|error| words(&error))?.into_owned();
    embed_component_metadata(&mut module, &contract.resolve, contract.world, StringEncoding::UTF8)
        .map_err(|error| format!("{error:#}"))?;
    let mut encoder = ComponentEncoder::default().module(&module).map_err(|error| format!("{error:#}"))?;
    encoder.encode().map_err(|error| format!("{error:#}"))
}
