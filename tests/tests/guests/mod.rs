//! Guests for tests over the real host: components made in this process or built by `steps/custom/build`, bound like those of a file.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use engine::wasm::testing::{Do, Guest};
use engine::wasm::{Bound, Compiler, Components, GrantUsage, Settings};
use serde_json::{Value, json};
use steps_sdk::grant::{Grants, GuestLimits, HttpGrant};
use steps_sdk::host::Host;
use steps_sdk::native::StepHandler;
use tempfile::TempDir;

/// One machine for all tests of a binary: each component is compiled once.
fn components() -> &'static Components {
    static COMPONENTS: OnceLock<(TempDir, Components)> = OnceLock::new();
    let (_, components) = COMPONENTS.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { cache: directory.path().join("cache"), compiler: Compiler::InProcess };
        let components = Components::new(settings).unwrap();
        (directory, components)
    });
    components
}

/// The first kind of a component, within these grants, over the host that the program has.
pub fn bound(component: &[u8], grants: Grants) -> Arc<dyn StepHandler> {
    bound_over(steps::host(), component, grants).remove(0)
}

/// All of its kinds, over a host of one's own.
pub fn bound_over(host: Host, component: &[u8], grants: Grants) -> Vec<Arc<dyn StepHandler>> {
    let used = Arc::<GrantUsage>::default();
    let bound = Bound { grants: Arc::new(grants), limits: GuestLimits::default(), host, used };
    components().component(component).unwrap().handlers("guest", bound)
}

/// A component of steps/custom; `None`, said loudly, when it was not built.
pub fn built(name: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../steps/custom/built/{name}.wasm"));
    let bytes = std::fs::read(path).ok();
    if bytes.is_none() {
        // Past the capture of the test harness; a test run whose standard error is closed has nobody to tell.
        let _ = writeln!(
            std::io::stderr(),
            "LEFT OUT: steps/custom/built/{name}.wasm is not there; steps/custom/build makes it"
        );
    }
    bytes
}

/// Everything on one origin of this machine.
pub fn http(origin: &str) -> Grants {
    let methods = ["GET", "POST", "PUT", "DELETE"].map(str::to_owned).to_vec();
    let grant = HttpGrant { origin: origin.to_owned(), methods, paths: Vec::new(), private: true, inject: None };
    Grants { http: vec![grant], ..Grants::default() }
}

pub fn call(interface: &'static str, function: &'static str, args: Vec<Value>) -> Do {
    Do::Call { interface, function, args, keep: Vec::new() }
}

pub fn request(method: &str, url: &str) -> Do {
    let request = json!({ "method": method, "url": url, "headers": [], "body": null, "timeout-ms": null });
    call("http", "send", vec![request])
}

/// Ends the verb when the answer to the last request has this status.
pub fn on_status(status: u64, answer: Value) -> Do {
    Do::AnswerIf { path: vec!["ok", "done", "status"], is: Some(status), answer }
}

pub fn done(summary: &str, same: bool) -> Value {
    json!({ "ok": { "outputs": "{}", "summary": summary, "same": same } })
}

/// What a guest answers to whatever it did not expect: it may be tried again.
pub fn transient() -> Value {
    json!({ "err": { "transient": {
        "code": "TEST01", "message": "the answer was none of those that are wanted", "help": null, "causes": [],
        "retry-after-ms": null, "not-started": false } } })
}

/// A guest whose verbs fail, transiently, unless something that they do answers first.
pub fn careful() -> Guest {
    Guest::new().answer("run", transient()).answer("undo", transient()).answer("release", transient())
}
