//! The contract in Rust, generated from `wit/step.wit`.

/// What the generated code calls; by this path it is found from the crate of an author too.
pub use wit_bindgen::rt as runtime;

wit_bindgen::generate!({
    path: "wit",
    world: "step",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "steps_sdk::guest::bindings",
    runtime_path: "::steps_sdk::guest::bindings::runtime",
});
