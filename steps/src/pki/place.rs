//! Where a key and its certificates are kept: the engine's keystore, a file, or a Secret on a cluster.
//!
//! Wherever a pair goes, it is sealed in the keystore first: of two attempts that overlap, because a request of an abandoned one is
//! still on its way, both then write the same pair.

use std::path::Path;

use rcgen::KeyPair;
use steps_sdk::context::StepContext;
use steps_sdk::{Certainty, Change, ChangeAction, Secret, StepError};

use super::bundle::{Bundle, new_key};
use super::classify::Trouble;
use super::secret::TlsSecret;
use crate::file::replace::{self, Mode, look, remove, replace};

/// One place for one bundle, always read and written whole.
pub enum Place {
    /// Sealed under the step's owner key and this name.
    Keystore {
        name: &'static str,
    },
    File {
        path: String,
        mode: Mode,
    },
    Secret(TlsSecret),
}

/// What a place holds.
pub enum Found {
    Nothing,
    /// `as_wanted` is false when everything is there but its form is not ours: another file mode, no `ca.crt`.
    Bundle {
        bundle: Box<Bundle>,
        as_wanted: bool,
    },
    Unreadable(String),
}

/// What has to be done to have the wanted pair.
pub enum Pair {
    /// It is there: at its place, or sealed by an attempt that did not come further.
    There(Box<Bundle>),
    /// A certificate has to be issued over this key.
    ToIssue(Box<KeyPair>),
}

impl Place {
    pub async fn read(&self, cx: &StepContext) -> Result<Found, StepError> {
        let parsed = |pem: &[u8], as_wanted| match Bundle::from_pem(pem) {
            Ok(bundle) => Found::Bundle { bundle: Box::new(bundle), as_wanted },
            Err(reason) => Found::Unreadable(reason),
        };
        match self {
            Place::Keystore { name } => {
                Ok(cx.secrets.kept(name).await?.map_or(Found::Nothing, |bytes| parsed(bytes.expose(), true)))
            }
            Place::File { path, mode } => Ok(match look(Path::new(path)).await? {
                replace::Found::Nothing => Found::Nothing,
                replace::Found::File { bytes, mode: actual } => parsed(bytes.expose(), actual == *mode),
                replace::Found::Other(what) => Found::Unreadable(format!("it is {what}")),
            }),
            Place::Secret(secret) => secret.read(cx).await,
        }
    }

    /// What is there if it can be used, nothing, or a refusal: a key that somebody else put there is never overwritten.
    pub async fn read_own(&self, cx: &StepContext) -> Result<Option<(Box<Bundle>, bool)>, StepError> {
        match self.read(cx).await? {
            Found::Nothing => Ok(None),
            Found::Bundle { bundle, as_wanted } => Ok(Some((bundle, as_wanted))),
            Found::Unreadable(reason) => Err(Trouble::Occupied { place: self.to_string(), reason }.into()),
        }
    }

    pub async fn write(&self, cx: &StepContext, bundle: &Bundle) -> Result<(), StepError> {
        match self {
            Place::Keystore { name } => cx.secrets.keep(name, bundle.to_pem()).await,
            Place::File { path, mode } => replace(Path::new(path), bundle.to_pem(), *mode, &cx.call.owner).await,
            Place::Secret(secret) => secret.write(cx, bundle).await,
        }
    }

    /// Takes away what is there, and says so. A sealed entry stays: the keystore forgets nothing that might still be needed.
    pub async fn remove(&self, cx: &StepContext) -> Result<String, StepError> {
        match self {
            Place::Keystore { .. } => Ok(format!("{self} stays")),
            Place::File { path, .. } => remove(Path::new(path)).await.map(|()| format!("{self} deleted")),
            Place::Secret(secret) => secret.remove(cx).await,
        }
    }

    /// Where another step finds the key that is kept here. A relative path would start elsewhere for a step of another directory.
    pub fn key(&self, cx: &StepContext) -> Result<Secret, StepError> {
        match self {
            Place::Keystore { name } => Ok(Secret::Sealed { owner: cx.call.owner.clone(), name: (*name).to_owned() }),
            Place::File { path, .. } => {
                let absolute = std::path::absolute(path)
                    .map_err(|e| crate::file::classify::file_error("find", Path::new(path), &e))?;
                Ok(Secret::File { path: absolute.to_string_lossy().into_owned() })
            }
            Place::Secret(secret) => Ok(secret.key()),
        }
    }

    /// Marks a new thing as one for later, if what must be there before it is not there yet.
    pub async fn later(&self, cx: &StepContext, mut change: Change) -> Result<Change, StepError> {
        if let Place::Secret(secret) = self
            && change.action == ChangeAction::Create
            && let Some(missing) = secret.missing_namespace(cx).await?
        {
            (change.certainty, change.waits_for) = (Certainty::Later, Some(missing));
        }
        Ok(change)
    }
}

/// Looks for the wanted pair at its place (`found`) and in the keystore. If there is none, says over which key it is to be issued:
/// the one that is in use, else the sealed one, else a new one.
pub async fn settle(
    cx: &StepContext,
    kept: &Place,
    found: Option<Box<Bundle>>,
    is_wanted: &(dyn Fn(&Bundle) -> bool + Sync),
) -> Result<Pair, StepError> {
    let found = match found {
        Some(bundle) if is_wanted(&bundle) => return Ok(Pair::There(bundle)),
        other => other,
    };
    let sealed = kept.read_own(cx).await?.map(|(bundle, _)| bundle);
    match (found, sealed) {
        (_, Some(bundle)) if is_wanted(&bundle) => Ok(Pair::There(bundle)),
        (Some(bundle), _) | (None, Some(bundle)) => Ok(Pair::ToIssue(Box::new(bundle.key))),
        (None, None) => match new_key() {
            Ok(key) => Ok(Pair::ToIssue(Box::new(key))),
            Err(error) => Err(Trouble::Signing { about: "a new key".to_owned(), error }.into()),
        },
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Keystore { name } => write!(f, "the keystore's entry `{name}`"),
            Place::File { path, .. } => write!(f, "file {path}"),
            Place::Secret(secret) => secret.fmt(f),
        }
    }
}
