//! Where a key and its certificates are kept: the engine's keystore, or a file.

use std::path::Path;

use steps_sdk::context::StepContext;
use steps_sdk::{Secret, StepError};

use super::bundle::Bundle;
use super::classify::Trouble;
use crate::file::replace::{self, Mode, look, put_if_absent, remove, replace};

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
}

/// What a place holds.
pub enum Found {
    Nothing,
    /// `as_wanted` is false when everything is there but its form is not ours: another file mode.
    Bundle {
        bundle: Box<Bundle>,
        as_wanted: bool,
    },
    Unreadable(String),
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
        }
    }

    /// Keeps a bundle where nothing is kept yet, and returns what is there then: if another attempt of this step was faster, its key
    /// is the one that counts.
    pub async fn create(&self, cx: &StepContext, bundle: &Bundle) -> Result<Box<Bundle>, StepError> {
        match self {
            Place::Keystore { .. } => self.write(cx, bundle).await?,
            Place::File { path, mode } => {
                put_if_absent(Path::new(path), bundle.to_pem(), *mode, &cx.call.owner).await?
            }
        }
        let (bundle, _) = self.read_own(cx).await?.ok_or_else(|| Trouble::Occupied {
            place: self.to_string(),
            reason: "what was written is gone again".to_owned(),
        })?;
        Ok(bundle)
    }

    /// Takes away what is there. A sealed entry stays: the keystore forgets nothing that might still be needed.
    pub async fn remove(&self, _cx: &StepContext) -> Result<(), StepError> {
        match self {
            Place::Keystore { .. } => Ok(()),
            Place::File { path, .. } => remove(Path::new(path)).await,
        }
    }

    /// Where another step finds what is kept here.
    pub fn secret(&self, cx: &StepContext) -> Secret {
        match self {
            Place::Keystore { name } => Secret::Sealed { owner: cx.call.owner.clone(), name: (*name).to_owned() },
            Place::File { path, .. } => Secret::File { path: path.clone() },
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Keystore { name } => write!(f, "the keystore's entry `{name}`"),
            Place::File { path, .. } => write!(f, "file {path}"),
        }
    }
}
