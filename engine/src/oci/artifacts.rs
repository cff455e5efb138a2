//! Components by their addresses: from this machine if they are here, else from their registry if that may be asked.

use std::path::PathBuf;
use std::time::Duration;

use engine_core::id::Digest;
use engine_core::workflow::{Address, ArtifactPlace, ArtifactVersion};

use super::cache::Cache;
use super::credentials::{self, Credentials};
use super::error::OciError;
use super::manifest::{self, Interfaces};
use super::pull::{Pull, Pulled};
use super::push;

pub(super) const USER_AGENT: &str = concat!("engine/", env!("CARGO_PKG_VERSION"));

/// All of a pull or a push: a registry that sends a byte now and then does not hold anybody for ever.
const TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// What artifacts are had with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where they are kept; made when the first one is.
    pub cache: PathBuf,
    /// docker's config.json, which may be absent.
    pub credentials: Option<PathBuf>,
    pub network: Network,
    /// The largest component that is taken.
    pub component_bytes_max: u64,
    /// Is told in a line what is about to be waited for.
    pub tell: fn(&str),
}

/// Whether a registry may be asked for what is not on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Allowed,
    Offline,
}

/// Components in registries, and those that were.
pub struct Artifacts {
    settings: Settings,
    cache: Cache,
}

/// A component, with the address that means these bytes and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub pinned: Address,
    /// Of the manifest.
    pub digest: Digest,
    pub bytes: Vec<u8>,
}

/// A component that is in a registry now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub pinned: Address,
    /// Of the manifest.
    pub digest: Digest,
}

impl Artifacts {
    pub fn new(settings: Settings) -> Artifacts {
        let cache = Cache::at(settings.cache.clone());
        Artifacts { settings, cache }
    }

    /// The component of a digest.
    ///
    /// Blocks while it is fetched, as everything here does: not for a task of the runtime.
    pub fn component(&self, place: &ArtifactPlace, digest: &Digest) -> Result<Artifact, OciError> {
        let pinned = place.pinned(digest.clone());
        match self.cache.component(digest, self.settings.component_bytes_max) {
            Some(bytes) => Ok(Artifact { pinned, digest: digest.clone(), bytes }),
            None => self.fetch(&pinned),
        }
    }

    /// The component that an address means now: a tag is looked up at the registry, whatever is known of it.
    pub fn pull(&self, address: &Address) -> Result<Artifact, OciError> {
        match &address.version {
            ArtifactVersion::Tag(_) => self.fetch(address),
            ArtifactVersion::Digest { digest, .. } => self.component(&address.place, digest),
        }
    }

    /// Puts a component into a registry, and keeps it here as if it had been pulled.
    pub fn publish(
        &self,
        place: &ArtifactPlace,
        tag: Option<&str>,
        component: &[u8],
        interfaces: &Interfaces,
    ) -> Result<Published, OciError> {
        let packed = manifest::pack(component, interfaces);
        let pinned = place.pinned(packed.digest.clone());
        in_time(place, async {
            let credentials = self.credentials(place).await?;
            push::push(place, tag, component, &packed, &credentials).await?;
            // Some registries rewrite manifests; then the digest that people are about to copy would lead nowhere.
            Pull::new(place, &credentials)?.manifest(&pinned.version).await
        })?;
        self.cache.keep(&packed.manifest, component)?;
        Ok(Published { pinned, digest: packed.digest })
    }

    fn fetch(&self, address: &Address) -> Result<Artifact, OciError> {
        if self.settings.network == Network::Offline {
            return Err(OciError::NotHere { address: address.clone() });
        }
        (self.settings.tell)(&format!("fetching {address} ...\n"));
        let Pulled { digest, manifest, layer } = in_time(&address.place, async {
            let credentials = self.credentials(&address.place).await?;
            Pull::new(&address.place, &credentials)?.all(address, self.settings.component_bytes_max).await
        })?;
        self.cache.keep(&manifest, &layer)?;
        Ok(Artifact { pinned: address.place.pinned(digest.clone()), digest, bytes: layer })
    }

    async fn credentials(&self, place: &ArtifactPlace) -> Result<Credentials, OciError> {
        credentials::read(self.settings.credentials.as_deref(), place.host()).await
    }
}

/// Waits for a conversation with a registry. It has a thread with a runtime of its own, since the caller may stand on one already.
fn in_time<T: Send>(
    place: &ArtifactPlace,
    conversation: impl Future<Output = Result<T, OciError>> + Send,
) -> Result<T, OciError> {
    std::thread::scope(|scope| {
        let talking = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| OciError::NotReady { reason: error.to_string() })?;
            match runtime.block_on(async { tokio::time::timeout(TIME_MAX, conversation).await }) {
                Ok(said) => said,
                Err(_late) => Err(OciError::Unreachable {
                    host: place.host().to_owned(),
                    reason: format!("it did not come to an end in {} minutes", TIME_MAX.as_secs() / 60),
                }),
            }
        });
        talking.join().expect("talking to a registry does not panic")
    })
}
