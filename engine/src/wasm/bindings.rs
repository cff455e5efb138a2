//! The contract in Rust: types and traits that wasmtime makes of `steps-sdk/wit/step.wit`, and the version that we speak.
//!
//! Host functions may trap, which ends the call; those that wait are asynchronous for us, never for the guest.

wasmtime::component::bindgen!({
    world: "step",
    path: "../steps-sdk/wit",
    imports: {
        "engine:step/report": trappable,
        "engine:step/random": trappable,
        "engine:step/clock.now-ms": trappable,
        "engine:step/memo.get": trappable,
        default: async | trappable,
    },
    exports: { default: async },
});

pub(super) use self::engine::step::{clock, dns, hold, http, kubernetes, memo, random, report, types};
pub(super) use self::exports::engine::step::handler;

/// The package of the contract, and the version that is built in.
pub(super) const PACKAGE: &str = "engine:step";
pub(super) const VERSION: (u64, u64, u64) = (0, 1, 0);

/// `engine:step@0.1.0`.
pub(super) fn spoken() -> String {
    let (major, minor, patch) = VERSION;
    format!("{PACKAGE}@{major}.{minor}.{patch}")
}

/// Splits `engine:step/handler@0.1.0` into interface and version; `None` for names of other packages.
pub(super) fn interface_of(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

/// Whether a component that was built against this version can be called: below 1.0 a new minor version changes what was there.
pub(super) fn speaks(version: &str) -> bool {
    let mut parts = version.splitn(3, '.').map(str::parse::<u64>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => {
            (major, minor) == (VERSION.0, VERSION.1) && patch <= VERSION.2
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_contract_and_older_patches_of_it() {
        assert_eq!(interface_of("engine:step/handler@0.1.0"), Some(("handler", "0.1.0")));
        assert_eq!(interface_of("engine:step/handler"), Some(("handler", "")));
        assert_eq!(interface_of("engine:steps/handler@0.1.0"), None);
        assert!(speaks("0.1.0"));
        for other in ["0.2.0", "1.1.0", "0.1.1", "0.1", "", "0.1.0-rc1"] {
            assert!(!speaks(other), "{other}");
        }
        let contract = include_str!("../../../steps-sdk/wit/step.wit");
        assert!(contract.contains(&format!("package {};", spoken())), "the constants and step.wit differ");
    }
}
