//! What the bytes and the types of a component must be before it is run: the checks that need no guest code.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::bindings;
use super::error::Refusal;
use super::limits::COMPONENT_BYTES_MAX;

const MAGIC: &[u8] = b"\0asm";
/// Version and layer of the two binary formats, after the magic.
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];
const COMPONENT: &[u8] = &[13, 0, 1, 0];

/// What its names say about a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contract {
    /// `engine:step@0.1.0`.
    pub(super) wit: String,
    pub(super) imports: Vec<String>,
}

/// Refuses what is no component, by its size and its first bytes.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(Refusal::TooLarge { bytes: bytes.len(), bytes_max: COMPONENT_BYTES_MAX });
    }
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(Refusal::Precompiled);
    }
    let not = |reason: &str| Err(Refusal::NotAComponent { reason: reason.to_owned() });
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return match bytes {
            [] => not("it is empty"),
            [b'\x7f', b'E', b'L', b'F', ..] => not("it is a program for this machine"),
            _ if std::str::from_utf8(bytes).is_ok_and(|text| text.trim_start().starts_with('(')) => {
                not("it is WebAssembly as text, which has to be packed first")
            }
            _ => not("it does not begin like WebAssembly"),
        };
    };
    match rest {
        _ if rest.starts_with(CORE_MODULE) => Err(Refusal::CoreModule),
        _ if rest.starts_with(COMPONENT) => Ok(()),
        _ if rest.len() < COMPONENT.len() => not("it ends after its first bytes"),
        _ => not("it is of a version of the format that is not known here"),
    }
}

/// Compares the contract that the component was built against with ours, and looks for what it has to export.
pub(super) fn contract(component: &Component) -> Result<Contract, Refusal> {
    let engine = component.engine();
    let ty = component.component_type();
    let mut imports = Vec::new();
    for (name, item) in ty.imports(engine) {
        if let Some((_, version)) = bindings::interface_of(name) {
            same_version(version)?;
        }
        if matches!(item.ty, ComponentItem::Component(_) | ComponentItem::Module(_)) {
            return Err(Refusal::Invalid { reason: format!("it imports code, `{name}`, which nobody can give it") });
        }
        imports.push(name.to_owned());
    }
    imports.sort();
    let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let handler = exports.iter().find_map(|name| bindings::interface_of(name).filter(|(part, _)| *part == "handler"));
    let Some((_, version)) = handler else {
        let (major, minor, patch) = bindings::VERSION;
        let wanted = format!("{}/handler@{major}.{minor}.{patch}", bindings::PACKAGE);
        return Err(Refusal::NoHandler { wanted, exports });
    };
    same_version(version)?;
    Ok(Contract { wit: format!("{}@{version}", bindings::PACKAGE), imports })
}

fn same_version(version: &str) -> Result<(), Refusal> {
    if bindings::speaks(version) {
        return Ok(());
    }
    let found = match version {
        "" => format!("{} without a version", bindings::PACKAGE),
        version => format!("{}@{version}", bindings::PACKAGE),
    };
    Err(Refusal::Version { found, spoken: bindings::spoken() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_component_are_told_apart() {
        let refused = |input: &[u8]| bytes(input).unwrap_err().to_string();
        assert!(refused(b"").contains("empty"));
        assert!(refused(b"\0asm").contains("ends after its first bytes"));
        assert!(refused(b"\0asm\x01\0\0\0").contains("core module"));
        assert!(refused(b"\0asm\x0d\0\x02\0").contains("version of the format"));
        assert!(refused(b"(component)").contains("as text"));
        assert!(refused(b"\x7fELF and more").contains("program for this machine"));
        assert!(refused(b"hello").contains("does not begin"));
        assert!(refused(&vec![0; COMPONENT_BYTES_MAX + 1]).contains("at most 33554432"));
        assert!(bytes(b"\0asm\x0d\0\x01\0").is_ok());
    }
}
