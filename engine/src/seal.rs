//! Secret values that must persist: sealed before they are written anywhere, and kept under the owner key of the step that made them.
//!
//! ```text
//!  seal/key.rs    the seal key: where it comes from, and what it does to bytes
//!  seal.rs        Keystore: one file per kept value
//! ```
//!
//! The seal key never lies in the state directory: whoever copies the state has nothing. An entry says which key sealed it, so that
//! a missing or wrong key is named. What an entry is called is part of what is authenticated: an entry moved to another name
//! does not open. Private keys of a CA are kept here over many runs, which is why an entry is replaced whole or not at all.

mod key;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use engine_core::id::Digest;
use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use steps_sdk::context::SecretBytes;
use thiserror::Error;

use crate::disk;

pub use key::{SealKey, SealKeySource};

/// Values kept sealed, by owner key and name.
pub struct Keystore {
    directory: PathBuf,
    source: SealKeySource,
    /// Told the path of a seal key that had to be made.
    made: Box<dyn Fn(&Path) + Send + Sync>,
    /// Read when it is first needed, and again after a failure.
    key: Mutex<Option<SealKey>>,
}

/// A failure to seal, open or keep. No message ever holds secret bytes.
#[derive(Debug, Error, Diagnostic)]
pub enum SealError {
    #[error("the seal key {wanted} is missing: there is no file {}", path.display())]
    #[diagnostic(
        code(S010),
        help(
            "put the key back, or name the file that holds it: --seal-key FILE or ENGINE_SEAL_KEY; nothing was changed"
        )
    )]
    KeyMissing { wanted: String, path: PathBuf },

    #[error("`{name}` of {owner} was sealed with key {sealed_with}, but the key at hand is {at_hand}")]
    #[diagnostic(
        code(S011),
        help("name the file of the key that sealed it: --seal-key FILE or ENGINE_SEAL_KEY; nothing was changed")
    )]
    WrongKey { owner: String, name: String, sealed_with: String, at_hand: String },

    #[error("the kept value `{name}` of {owner} is damaged: {reason}")]
    #[diagnostic(code(S012), help("restore {} from a backup, or remove it so that the step makes a new value", path.display()))]
    Damaged { owner: String, name: String, path: PathBuf, reason: &'static str },

    #[error("the seal key in {} cannot be used: {reason}", path.display())]
    #[diagnostic(
        code(S013),
        help(
            "a seal key is a file of 64 hexadecimal digits that only you can read: (umask 077; openssl rand -hex 32 > FILE)"
        )
    )]
    KeyUnusable { path: PathBuf, reason: &'static str },

    #[error("there is no seal key file {}", path.display())]
    #[diagnostic(
        code(S014),
        help("make one: (umask 077; openssl rand -hex 32 > FILE), or leave --seal-key out to have one made")
    )]
    NoSuchFile { path: PathBuf },

    #[error("{} could not be {verb}", path.display())]
    #[diagnostic(code(S015), help("check that the directory belongs to you and that the disk is not full"))]
    Io {
        path: PathBuf,
        verb: &'static str,
        #[source]
        source: io::Error,
    },

    #[error("`{name}` of {owner} was kept by a newer version of engine (format {found})")]
    #[diagnostic(code(S016), help("use that version; nothing was changed"))]
    Newer { owner: String, name: String, found: u32 },

    #[error("the operating system gave no random bytes")]
    #[diagnostic(code(S017), help("without them nothing can be sealed; this is a fault of the machine"))]
    NoRandomness,
}

/// Raised when an entry can no longer be read as before.
const ENTRY_FORMAT: u32 = 1;

/// One kept value on disk. Owner and name stand in it for people and for `kept`, and are authenticated with the value.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    format: u32,
    /// The id of the key that sealed it.
    key: String,
    owner: String,
    name: String,
    /// Nonce and sealed bytes, in hexadecimal.
    sealed: String,
}

impl Keystore {
    /// Nothing is read or made yet. `made` is told the path if a seal key has to be made, so that a person can be told once.
    pub fn new(directory: PathBuf, source: SealKeySource, made: impl Fn(&Path) + Send + Sync + 'static) -> Keystore {
        Keystore { directory, source, made: Box::new(made), key: Mutex::new(None) }
    }

    /// Seals the bytes and keeps them in place of what was kept before. Durable on return.
    pub fn keep(&self, owner: &str, name: &str, bytes: &SecretBytes) -> Result<(), SealError> {
        let (key, sealed) = self.with_key(|key| Ok((key.id().to_owned(), key.seal(owner, name, bytes)?)))?;
        let entry =
            Entry { format: ENTRY_FORMAT, key, owner: owner.into(), name: name.into(), sealed: hex::encode(sealed) };
        let path = self.path(owner, name);
        let text = serde_json::to_vec_pretty(&entry).expect("an entry is made of texts and numbers");
        let written = disk::make_directory(&self.directory).and_then(|()| disk::replace(&path, &text));
        written.map_err(|source| SealError::Io { path, verb: "written", source })
    }

    /// What is kept, if anything.
    pub fn kept(&self, owner: &str, name: &str) -> Result<Option<SecretBytes>, SealError> {
        let path = self.path(owner, name);
        let Some(text) = read_if_there(&path)? else {
            return Ok(None);
        };
        let damaged =
            |reason| SealError::Damaged { owner: owner.into(), name: name.into(), path: path.clone(), reason };
        let entry: Entry = serde_json::from_slice(&text).map_err(|_| damaged("it is not an entry"))?;
        if entry.format > ENTRY_FORMAT {
            return Err(SealError::Newer { owner: owner.into(), name: name.into(), found: entry.format });
        }
        if (entry.owner.as_str(), entry.name.as_str()) != (owner, name) {
            return Err(damaged("it belongs to another owner or name"));
        }
        let sealed = hex::decode(&entry.sealed).map_err(|_| damaged("its bytes are not hexadecimal"))?;
        self.with_key(|key| {
            if key.id() != entry.key {
                let (sealed_with, at_hand) = (entry.key.clone(), key.id().to_owned());
                return Err(SealError::WrongKey { owner: owner.into(), name: name.into(), sealed_with, at_hand });
            }
            key.open(owner, name, &sealed).ok_or_else(|| damaged("it was changed after it was sealed"))
        })
        .map(Some)
    }

    /// Tells whether two secrets are the same without telling what they are: equal for equal bytes under one seal key, and
    /// worthless without it.
    pub fn fingerprint(&self, bytes: &SecretBytes) -> Result<String, SealError> {
        self.with_key(|key| Ok(key.fingerprint(bytes)))
    }

    /// Whether what is kept can be opened, before anything is begun. Makes no key.
    pub fn check(&self) -> Result<(), SealError> {
        match self.any_key_id()? {
            // A file that a person named is there, or they are told before anything is begun.
            None => match (&self.source, self.source.read()?) {
                (SealKeySource::File(path), None) => Err(SealError::NoSuchFile { path: path.clone() }),
                _ => Ok(()),
            },
            Some(wanted) => match self.source.read()? {
                Some(_) => Ok(()),
                None => Err(SealError::KeyMissing { wanted, path: self.source.path() }),
            },
        }
    }

    fn with_key<T>(&self, work: impl FnOnce(&SealKey) -> Result<T, SealError>) -> Result<T, SealError> {
        // A panic while the lock was held leaves either no key or a whole one.
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        match &*key {
            Some(key) => work(key),
            None => work(key.insert(self.read_or_make()?)),
        }
    }

    /// The key of the source. One is made only where nothing was sealed before: a new key beside old entries would hide that the
    /// old key is gone.
    fn read_or_make(&self) -> Result<SealKey, SealError> {
        if let Some(key) = self.source.read()? {
            return Ok(key);
        }
        let path = self.source.path();
        match (&self.source, self.any_key_id()?) {
            (_, Some(wanted)) => Err(SealError::KeyMissing { wanted, path }),
            (SealKeySource::File(_), None) => Err(SealError::NoSuchFile { path }),
            (SealKeySource::Default { .. }, None) => {
                let (key, created) = key::make(&path)?;
                if created {
                    (self.made)(&path);
                }
                Ok(key)
            }
        }
    }

    /// The id of a key that sealed something here, if anything was.
    fn any_key_id(&self) -> Result<Option<String>, SealError> {
        let failed = |source| SealError::Io { path: self.directory.clone(), verb: "read", source };
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            // What is not an entry, such as the rest of an interrupted write, says nothing about keys.
            let text = read_if_there(&path)?.unwrap_or_default();
            if let Ok(Entry { key, .. }) = serde_json::from_slice(&text) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    fn path(&self, owner: &str, name: &str) -> PathBuf {
        let (owner, name) = (Digest::of_bytes(owner.as_bytes()), Digest::of_bytes(name.as_bytes()));
        self.directory.join(format!("{owner}-{}", &name.as_str()[..16]))
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, SealError> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|source| SealError::Io { path: path.to_owned(), verb: "read", source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    const OWNER: &str = "engine/kcp_zheng/region[alpha].leaf";

    struct Place {
        dir: tempfile::TempDir,
        made: Arc<Mutex<Vec<PathBuf>>>,
    }

    impl Place {
        fn new() -> Place {
            Place { dir: tempfile::tempdir().unwrap(), made: Arc::default() }
        }

        fn data(&self) -> PathBuf {
            self.dir.path().join("data/engine")
        }

        /// As one process after another would open it.
        fn keystore(&self) -> Keystore {
            self.keystore_with(SealKeySource::Default { directory: self.data() })
        }

        fn keystore_with(&self, source: SealKeySource) -> Keystore {
            let made = Arc::clone(&self.made);
            Keystore::new(self.dir.path().join("keys"), source, move |path| made.lock().unwrap().push(path.to_owned()))
        }

        fn key_file(&self, name: &str, content: &str, mode: u32) -> SealKeySource {
            let path = self.dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            SealKeySource::File(path)
        }

        fn entry(&self) -> PathBuf {
            let mut entries = std::fs::read_dir(self.dir.path().join("keys")).unwrap();
            entries.next().unwrap().unwrap().path()
        }
    }

    fn bytes(text: &str) -> SecretBytes {
        SecretBytes::new(text.as_bytes().to_vec())
    }

    #[test]
    fn what_is_kept_is_found_by_a_later_process_and_replaced_whole() {
        let place = Place::new();
        assert_eq!(place.keystore().kept(OWNER, "key").unwrap(), None);
        assert!(place.made.lock().unwrap().is_empty(), "a look makes no key");

        place.keystore().keep(OWNER, "key", &bytes("first")).unwrap();
        place.keystore().keep(OWNER, "key", &bytes("second")).unwrap();
        place.keystore().keep(OWNER, "other", &bytes("")).unwrap();
        assert_eq!(place.keystore().kept(OWNER, "key").unwrap(), Some(bytes("second")));
        assert_eq!(place.keystore().kept(OWNER, "other").unwrap(), Some(bytes("")));
        assert_eq!(place.keystore().kept("another", "key").unwrap(), None);
        assert_eq!(*place.made.lock().unwrap(), [place.data().join("seal.key")], "a person is told once");
    }

    #[test]
    fn neither_the_bytes_nor_the_key_lie_in_the_state() {
        let place = Place::new();
        place.keystore().keep(OWNER, "key", &bytes("-----BEGIN PRIVATE KEY-----")).unwrap();
        let text = std::fs::read_to_string(place.entry()).unwrap();
        assert!(!text.contains("BEGIN") && !text.contains(&hex::encode("BEGIN")), "{text}");
        let key = std::fs::read_to_string(place.data().join("seal.key")).unwrap();
        assert!(!text.contains(key.trim()));
        assert_eq!(place.entry().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(place.data().join("seal.key").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_missing_key_is_named_and_none_is_made_in_its_place() {
        let place = Place::new();
        place.keystore().keep(OWNER, "key", &bytes("secret")).unwrap();
        place.keystore().check().unwrap();
        let id = place.keystore().with_key(|key| Ok(key.id().to_owned())).unwrap();
        std::fs::remove_file(place.data().join("seal.key")).unwrap();
        let before = std::fs::read(place.entry()).unwrap();

        let keystore = place.keystore();
        let attempts = [
            keystore.kept(OWNER, "key").map(drop),
            keystore.keep(OWNER, "key", &bytes("new")),
            keystore.keep("another", "key", &bytes("new")),
            keystore.check(),
        ];
        for attempt in attempts {
            assert!(matches!(attempt, Err(SealError::KeyMissing { wanted, .. }) if wanted == id));
        }
        assert!(!place.data().join("seal.key").exists());
        assert_eq!(std::fs::read(place.entry()).unwrap(), before);
    }

    #[test]
    fn a_wrong_key_says_which_key_sealed_it() {
        let place = Place::new();
        let (right, wrong) =
            (place.key_file("right", &"ab".repeat(32), 0o600), place.key_file("wrong", &"cd".repeat(32), 0o400));
        place.keystore_with(right.clone()).keep(OWNER, "key", &bytes("secret")).unwrap();
        let id = |source: SealKeySource| source.read().unwrap().unwrap().id().to_owned();
        match place.keystore_with(wrong.clone()).kept(OWNER, "key").unwrap_err() {
            SealError::WrongKey { sealed_with, at_hand, .. } => {
                assert_eq!((sealed_with, at_hand), (id(right), id(wrong)));
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_key_file_that_cannot_be_trusted_is_refused_before_it_is_used() {
        let place = Place::new();
        let cases = [
            ("short", "abcd".to_owned(), 0o600, "it does not hold 64 hexadecimal digits"),
            ("text", "x".repeat(64), 0o600, "it does not hold 64 hexadecimal digits"),
            ("open", "ab".repeat(32), 0o644, "others can read or write it"),
        ];
        for (name, content, mode, expected) in cases {
            let error =
                place.keystore_with(place.key_file(name, &content, mode)).keep(OWNER, "key", &bytes("x")).unwrap_err();
            assert!(matches!(error, SealError::KeyUnusable { reason, .. } if reason == expected), "{name}: {error}");
        }
        let nowhere = SealKeySource::File(place.dir.path().join("nowhere"));
        let error = place.keystore_with(nowhere).keep(OWNER, "key", &bytes("x")).unwrap_err();
        assert!(matches!(error, SealError::NoSuchFile { .. }), "{error}");
        assert!(!place.dir.path().join("keys").exists(), "nothing was kept");
    }

    #[test]
    fn many_processes_that_need_the_first_key_end_up_with_one() {
        let place = Place::new();
        std::thread::scope(|scope| {
            for i in 0..8 {
                let place = &place;
                scope.spawn(move || place.keystore().keep(&format!("owner-{i}"), "key", &bytes("secret")).unwrap());
            }
        });
        for i in 0..8 {
            assert_eq!(place.keystore().kept(&format!("owner-{i}"), "key").unwrap(), Some(bytes("secret")));
        }
        assert_eq!(place.made.lock().unwrap().len(), 1);
    }

    #[test]
    fn any_change_of_an_entry_is_found() {
        let place = Place::new();
        place.keystore().keep(OWNER, "key", &bytes("secret")).unwrap();
        let whole = std::fs::read(place.entry()).unwrap();
        let text = String::from_utf8(whole.clone()).unwrap();
        let sealed_at = text.find("\"sealed\"").unwrap() + "\"sealed\": \"".len();
        for at in sealed_at..text.rfind('"').unwrap() {
            let mut changed = whole.clone();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            std::fs::write(place.entry(), &changed).unwrap();
            assert!(matches!(place.keystore().kept(OWNER, "key"), Err(SealError::Damaged { .. })), "digit {at}");
        }
        for (from, to) in [("region[alpha]", "region[beta]"), ("\"key\",\n", "\"other\",\n"), ("{", "")] {
            std::fs::write(place.entry(), text.replacen(from, to, 1)).unwrap();
            assert!(matches!(place.keystore().kept(OWNER, "key"), Err(SealError::Damaged { .. })), "{from}");
        }
        std::fs::write(place.entry(), text.replace("\"format\": 1", "\"format\": 2")).unwrap();
        assert!(matches!(place.keystore().kept(OWNER, "key"), Err(SealError::Newer { found: 2, .. })));
    }

    #[test]
    fn fingerprints_tell_equal_from_different_and_depend_on_the_key() {
        let place = Place::new();
        let keystore = place.keystore_with(place.key_file("a", &"ab".repeat(32), 0o600));
        let other = place.keystore_with(place.key_file("b", &"cd".repeat(32), 0o600));
        let fingerprint = keystore.fingerprint(&bytes("one")).unwrap();
        assert_eq!(fingerprint, keystore.fingerprint(&bytes("one")).unwrap());
        assert_ne!(fingerprint, keystore.fingerprint(&bytes("two")).unwrap());
        assert_ne!(fingerprint, other.fingerprint(&bytes("one")).unwrap());
        assert_ne!(fingerprint, Digest::of_bytes(b"one").to_string());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_under_any_name_come_back(owner: String, name: String, content: Vec<u8>) {
            let place = Place::new();
            let keystore = place.keystore();
            keystore.keep(&owner, &name, &SecretBytes::new(content.clone())).unwrap();
            prop_assert_eq!(keystore.kept(&owner, &name).unwrap(), Some(SecretBytes::new(content)));
            prop_assert_eq!(keystore.kept(&format!("{owner}{name}+"), "").unwrap(), None);
        }
    }
}
