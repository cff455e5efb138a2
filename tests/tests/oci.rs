//! Components in a real registry, by the real program: published, pulled, used in a workflow; and what happens when the registry, the
//! cache or a tag is not what it was.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::wasm::testing::{Guest, kind};
use engine_tests::lab::shared::say_left_out;
use engine_tests::registry::{Access, PASSWORD, Registry, USER};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A folder with a guest, and a home of its own.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        place.write("greet.wasm", greeting("one"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A workflow that uses a component from a registry.
    fn write_workflow(&self, source: &str) {
        self.write("w.kdl", format!("workflow w\nuse \"{source}\" as=greet\nstep hello uses=greet.test\n"));
    }

    fn engine(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(engine_tests::program());
        command.env_clear().env("HOME", self.folder.path()).env("PATH", "/usr/bin:/bin");
        command.current_dir(self.folder.path()).args(arguments).output().unwrap()
    }

    /// Ends well; gives standard output.
    fn well(&self, arguments: &[&str]) -> String {
        let output = self.engine(arguments);
        assert!(output.status.success(), "{arguments:?}\n{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends with this code, and says these things.
    fn refused(&self, arguments: &[&str], exit: i32, parts: &[&str]) {
        let output = self.engine(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}\n{said}");
        // Texts are broken into lines; what they say is compared.
        let said = said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: no `{part}` in\n{said}");
        }
    }

    /// Publishes the guest; gives the pinned address.
    fn publish(&self, to: &str) -> String {
        pinned(&self.well(&["step", "publish", "greet.wasm", to]))
    }

    fn forget_what_was_pulled(&self) {
        std::fs::remove_dir_all(self.cache()).unwrap();
    }

    fn cache(&self) -> PathBuf {
        self.path(".cache/engine/oci")
    }

    fn cached(&self, ending: &str) -> PathBuf {
        let files = std::fs::read_dir(self.cache()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }
}

/// A component with one kind, `test`; each text makes another one.
fn greeting(text: &str) -> Vec<u8> {
    let mut kind = kind("test");
    kind["doc"] = json!(format!("Says {text}."));
    Guest::new().kinds(json!([kind])).pack()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The address of the line to paste.
fn pinned(printed: &str) -> String {
    let line = printed.lines().find(|line| line.starts_with("use \"")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// `None`, said loudly, when the registry was not built.
fn registry(access: Access) -> Option<Registry> {
    match Registry::start(access) {
        Ok(registry) => Some(registry),
        Err(missing) => {
            say_left_out(&missing);
            None
        }
    }
}

#[test]
fn what_is_published_is_pulled_and_used_by_its_digest() {
    let Some(mut registry) = registry(Access::Everybody) else { return };
    let (author, user) = (Place::new(), Place::new());
    let address = format!("oci://{}/steps/greet", registry.host());
    let printed = author.well(&["step", "publish", "greet.wasm", &format!("{address}:v1")]);
    for part in ["kinds", "greet.test", "nothing: it computes", "size", &format!("{address}:v1"), "as=greet"] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    let pin = pinned(&printed);
    assert!(pin.starts_with(&format!("{address}@sha256:")), "{pin}");
    assert_eq!(author.publish(&format!("{address}:v1")), pin, "the same bytes have the same digest");
    assert_eq!(author.publish(&format!("{address}:again")), pin);

    let pulled = user.well(&["step", "pull", &format!("{address}:v1"), "-o", "pulled.wasm"]);
    assert_eq!(pinned(&pulled), pin);
    assert_eq!(std::fs::read(user.path("pulled.wasm")).unwrap(), greeting("one"));
    user.forget_what_was_pulled();

    user.write_workflow(&pin);
    user.refused(
        &["check", "w.kdl", "--offline"],
        3,
        &["W015", "is not on this machine", "engine step pull", "w.kdl:2:5"],
    );
    user.refused(&["run", "w.kdl", "--offline"], 3, &["W015"]);
    user.refused(&["plan", "w.kdl", "--offline"], 3, &["W015"]);
    let checked = user.engine(&["check", "w.kdl"]);
    assert!(checked.status.success() && stderr(&checked).contains(&format!("fetching {pin}")), "{}", stderr(&checked));
    assert!(user.well(&["plan", "w.kdl"]).contains("greet.*"), "a plan says what custom steps may do");
    let ran = user.engine(&["run", "w.kdl", "--id", "one"]);
    assert!(ran.status.success(), "{}", stderr(&ran));
    assert!(!stderr(&ran).contains("fetching"), "it is on this machine since `check`");

    registry.stop();
    user.well(&["check", "w.kdl"]);
    user.well(&["run", "w.kdl", "--id", "two"]);
    user.forget_what_was_pulled();
    user.refused(&["run", "w.kdl", "--id", "three"], 3, &["W016", "cannot be reached", "refused"]);
    user.refused(&["step", "pull", &pin], 4, &["W016", "cannot be reached"]);
    user.refused(&["step", "publish", "greet.wasm", &address], 4, &["W016", "cannot be reached"]);
}

#[test]
fn a_resume_asks_no_registry() {
    let Some(mut registry) = registry(Access::Everybody) else { return };
    let place = Place::new();
    let pin = place.publish(&format!("oci://{}/greet:v1", registry.host()));
    place.write(
        "w.kdl",
        format!(
            "workflow w\nuse \"{pin}\" as=greet\n\
             step gate uses=exec.run {{ program \"test\" \"-e\" \"ready\"; effect converge; retry attempts=1 }}\n\
             step hello uses=greet.test needs=gate\n"
        ),
    );
    place.refused(&["run", "w.kdl", "--id", "r"], 5, &["engine resume r"]);
    registry.stop();
    place.forget_what_was_pulled();
    place.write("ready", "");
    place.well(&["resume", "r"]);
    let status = place.well(&["status", "r", "-o", "json"]);
    assert!(status.contains("\"hello\"") && status.contains("\"outcome\":\"succeeded\""), "{status}");
}

#[test]
fn other_bytes_than_those_of_the_digest_are_refused() {
    let Some(registry) = registry(Access::Everybody) else { return };
    let place = Place::new();
    let pin = place.publish(&format!("oci://{}/greet:v1", registry.host()));
    let component = greeting("one");
    place.write_workflow(&pin);

    // A copy on this machine that was changed is fetched again.
    std::fs::write(place.cached("wasm"), greeting("two")).unwrap();
    place.refused(&["check", "w.kdl", "--offline"], 3, &["W015"]);
    let checked = place.engine(&["check", "w.kdl"]);
    assert!(checked.status.success() && stderr(&checked).contains("fetching"), "{}", stderr(&checked));
    assert_eq!(std::fs::read(place.cached("wasm")).unwrap(), component);
    std::fs::write(place.cached("manifest"), "{}").unwrap();
    place.refused(&["check", "w.kdl", "--offline"], 3, &["W015"]);

    // Of the same size, so that only the digest can tell.
    let mut other = component.clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(registry.blob(&digest(&component)), other).unwrap();
    place.forget_what_was_pulled();
    place.refused(&["check", "w.kdl"], 3, &["W019", "other bytes"]);
    place.refused(&["step", "pull", &pin, "-o", "out.wasm"], 4, &["W019", "other bytes"]);
    assert!(!place.path("out.wasm").exists() && !place.cache().exists(), "nothing of it was kept");

    // More than the manifest says, at which reading stops.
    std::fs::write(registry.blob(&digest(&component)), vec![0; component.len() + 1]).unwrap();
    place.refused(&["step", "pull", &pin], 4, &["W021", "sends more than"]);

    let manifest = pin.split('@').nth(1).unwrap();
    let whole = std::fs::read_to_string(registry.blob(manifest)).unwrap();
    std::fs::write(registry.blob(manifest), whole.replace("schemaVersion\":2", "schemaVersion\":1")).unwrap();
    let output = place.engine(&["step", "pull", &pin]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(!place.cache().exists());
}

#[test]
fn a_tag_means_what_the_lock_says_until_it_is_updated() {
    let Some(registry) = registry(Access::Everybody) else { return };
    let place = Place::new();
    let tag = format!("oci://{}/steps/greet:stable", registry.host());
    let first = place.publish(&tag);
    place.write_workflow(&tag);
    place.refused(&["check", "w.kdl"], 3, &["W025", "is a tag", "engine lock", "w.kdl:2:5"]);
    place.refused(&["run", "w.kdl"], 3, &["W025"]);

    assert!(place.well(&["lock"]).contains("added"));
    let locked = place.read("engine.lock");
    assert!(locked.starts_with("// ") && locked.contains(&tag), "{locked}");
    assert!(locked.contains(first.split('@').nth(1).unwrap()), "{locked}");
    place.well(&["check", "w.kdl"]);
    place.well(&["run", "w.kdl", "--id", "one"]);

    place.write("greet.wasm", greeting("two"));
    let second = place.publish(&tag);
    assert_ne!(first, second);
    place.forget_what_was_pulled();
    assert!(place.well(&["lock", "w.kdl"]).contains("kept"));
    assert_eq!(place.read("engine.lock"), locked, "a tag that was moved is not followed");
    let checked = place.engine(&["check", "w.kdl"]);
    assert!(stderr(&checked).contains(&format!("fetching {first}")), "{}", stderr(&checked));

    let updated = place.well(&["lock", "update"]);
    assert!(updated.contains("moved") && updated.contains(first.split('@').nth(1).unwrap()), "{updated}");
    assert!(place.read("engine.lock").contains(second.split('@').nth(1).unwrap()));

    place.write_workflow(&second);
    assert!(place.well(&["lock"]).contains("removed"));
    assert!(!place.path("engine.lock").exists());
    assert!(place.well(&["lock"]).contains("nothing to lock"));

    place.write_workflow(&tag);
    place.write("engine.lock", "component \"oci://h.example/greet:v1\"\n");
    place.refused(&["check", "w.kdl"], 3, &["W026", "line 1", "engine lock"]);
    place.refused(&["lock"], 3, &["W026", "line 1"]);
}

#[test]
fn what_is_not_there_or_no_component_is_told_apart() {
    let Some(registry) = registry(Access::Everybody) else { return };
    let place = Place::new();
    let address = format!("oci://{}/greet", registry.host());
    place.publish(&format!("{address}:v1"));
    place.refused(&["step", "pull", &format!("{address}:v2")], 4, &["W018", "there is no"]);
    place.refused(&["step", "pull", &format!("{}x:v1", address)], 4, &["W018"]);
    place.refused(&["step", "pull", &address], 2, &["which of the artifacts", ":TAG"]);
    place.refused(&["step", "pull", "h.example/greet:v1"], 2, &["oci://"]);

    place.write("core.wasm", b"\0asm\x01\0\0\0");
    place.write("text.wasm", "(component)");
    place.write(
        "old.wasm",
        engine::wasm::testing::pack_edited(&Guest::new(), |wit| wit.replace("@0.1.0", "@9.0.0")).unwrap(),
    );
    for (file, code) in [("core.wasm", "W003"), ("text.wasm", "W004"), ("old.wasm", "W005")] {
        place.refused(&["step", "publish", file, &format!("{address}:bad")], 3, &[code]);
    }
    place.refused(&["step", "publish", "lost.wasm", &address], 2, &["W014"]);
    place.refused(&["step", "pull", &format!("{address}:bad")], 4, &["W018"]);
}

#[test]
fn credentials_are_those_of_docker() {
    let Some(registry) = registry(Access::User) else { return };
    let place = Place::new();
    let address = format!("oci://{}/greet:v1", registry.host());
    let sign_in = |name: &str, password: &str| {
        let auth = STANDARD.encode(format!("{name}:{password}"));
        let config = json!({ "auths": { registry.host(): { "auth": auth } } });
        place.write(".docker/config.json", config.to_string());
    };
    place.refused(
        &["step", "publish", "greet.wasm", &address],
        4,
        &["W017", "somebody without credentials", "docker login"],
    );
    sign_in(USER, "wrong");
    place.refused(&["step", "publish", "greet.wasm", &address], 4, &["W017", &format!("`{USER}`"), "write"]);
    sign_in(USER, PASSWORD);
    let pin = place.publish(&address);
    place.forget_what_was_pulled();
    place.write_workflow(&pin);
    place.well(&["check", "w.kdl"]);
    place.forget_what_was_pulled();
    sign_in(USER, "wrong");
    place.refused(&["check", "w.kdl"], 3, &["W017", &format!("`{USER}`"), "read"]);

    // A helper goes before the file.
    let helper = place.path("bin/docker-credential-test");
    place.write(
        "bin/docker-credential-test",
        format!(
            "#!/bin/sh\nread host\n[ \"$1 $host\" = \"get {}\" ] || {{ echo credentials not found in native keychain; exit 1; }}\n\
             echo '{{ \"ServerURL\": \"x\", \"Username\": \"{USER}\", \"Secret\": \"{PASSWORD}\" }}'\n",
            registry.host()
        ),
    );
    make_executable(&helper);
    place.write(".docker/config.json", json!({ "credsStore": "test" }).to_string());
    place.refused(&["check", "w.kdl"], 3, &["W023", "docker-credential-test"]);
    let with_helper = Command::new(engine_tests::program())
        .env_clear()
        .env("HOME", place.folder.path())
        .env("PATH", format!("{}:/usr/bin:/bin", place.path("bin").display()))
        .current_dir(place.folder.path())
        .args(["check", "w.kdl"])
        .output()
        .unwrap();
    assert!(with_helper.status.success(), "{}", stderr(&with_helper));
    for file in walk(place.folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let has_secret = bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
        assert!(!has_secret || file == helper, "{} has the secret", file.display());
    }
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
