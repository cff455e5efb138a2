//! The seal key: 32 random bytes in a file outside the state directory, and what is done with keys derived from it.
//!
//! The bytes of the file never seal anything themselves: one key for sealing, one for fingerprints and the key's id are derived from
//! them, so that none of the three says anything about the others.

use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::rand_core::RngCore as _;
use chacha20poly1305::aead::{Aead as _, OsRng, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use steps_sdk::context::SecretBytes;
use zeroize::Zeroizing;

use super::SealError;
use crate::disk;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// More cannot be a key file, whatever was named.
const FILE_BYTES_MAX: u64 = 1024;
const FILE_NAME: &str = "seal.key";

/// Where the seal key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealKeySource {
    /// The file that a person named. It is never made.
    File(PathBuf),
    /// `seal.key` in this directory, made once when it is first needed.
    Default { directory: PathBuf },
}

/// A seal key in memory, as the keys derived from it.
pub struct SealKey {
    id: String,
    cipher: XChaCha20Poly1305,
    fingerprint: Zeroizing<[u8; KEY_BYTES]>,
}

impl SealKeySource {
    pub fn path(&self) -> PathBuf {
        match self {
            SealKeySource::File(path) => path.clone(),
            SealKeySource::Default { directory } => directory.join(FILE_NAME),
        }
    }

    /// The key, if the file is there.
    pub(super) fn read(&self) -> Result<Option<SealKey>, SealError> {
        read(&self.path())
    }
}

impl SealKey {
    /// Names the key without telling anything about it.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn seal(&self, owner: &str, name: &str, bytes: &SecretBytes) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        OsRng.try_fill_bytes(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let payload = Payload { msg: bytes.expose(), aad: &associated(owner, name) };
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.expect("the cipher refuses only what is larger than memory");
        Ok([&nonce[..], &sealed].concat())
    }

    /// `None`: this is not what was sealed with this key under this owner and name.
    pub(super) fn open(&self, owner: &str, name: &str, sealed: &[u8]) -> Option<SecretBytes> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
        let payload = Payload { msg: sealed, aad: &associated(owner, name) };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).ok().map(SecretBytes::new)
    }

    pub(super) fn fingerprint(&self, bytes: &SecretBytes) -> String {
        hex::encode(keyed(&self.fingerprint, bytes.expose()))
    }

    fn of(bytes: &[u8; KEY_BYTES]) -> SealKey {
        let sealing = Zeroizing::new(keyed(bytes, b"engine seal 1: sealing"));
        SealKey {
            id: hex::encode(&keyed(bytes, b"engine seal 1: id")[..8]),
            cipher: XChaCha20Poly1305::new((&*sealing).into()),
            fingerprint: Zeroizing::new(keyed(bytes, b"engine seal 1: fingerprints")),
        }
    }
}

/// Makes a key at `path`, unless another process was quicker: then that one's key is returned, and `false`.
pub(super) fn make(path: &Path) -> Result<(SealKey, bool), SealError> {
    let failed = |source| SealError::Io { path: path.to_owned(), verb: "written", source };
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    OsRng.try_fill_bytes(&mut *bytes).map_err(|_| SealError::NoRandomness)?;
    let text = Zeroizing::new(format!("{}\n", Zeroizing::new(hex::encode(bytes.as_slice())).as_str()));
    disk::make_directory(disk::parent_of(path)).map_err(failed)?;
    match disk::create(path, text.as_bytes()) {
        Ok(()) => Ok((SealKey::of(&bytes), true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let theirs = read(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            Ok((theirs, false))
        }
        Err(error) => Err(failed(error)),
    }
}

fn read(path: &Path) -> Result<Option<SealKey>, SealError> {
    let failed = |source| SealError::Io { path: path.to_owned(), verb: "read", source };
    let unusable = |reason| SealError::KeyUnusable { path: path.to_owned(), reason };
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    // A group may be meant to read a mounted key; the world never is.
    if file.metadata().map_err(failed)?.mode() & 0o027 != 0 {
        return Err(unusable("others can read or write it"));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(FILE_BYTES_MAX).expect("a small number")));
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    hex::decode_to_slice(text.trim_ascii(), &mut *bytes)
        .map_err(|_| unusable("it does not hold 64 hexadecimal digits"))?;
    Ok(Some(SealKey::of(&bytes)))
}

/// What is authenticated beside the bytes. The lengths keep owner and name apart.
fn associated(owner: &str, name: &str) -> Vec<u8> {
    format!("engine seal 1:{}:{owner}:{}:{name}", owner.len(), name.len()).into_bytes()
}

fn keyed(key: &[u8; KEY_BYTES], message: &[u8]) -> [u8; KEY_BYTES] {
    let mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}
