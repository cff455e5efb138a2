//! Steps that issue certificates, without any service beside them.
//!
//! A key is generated once and then read from where it is kept; a certificate is issued anew only when none is kept, what is wanted
//! has changed, or it is about to expire. Otherwise a second run would change everything that contains it. Key and certificate
//! are kept together in one record and written whole, so that a kill leaves the old pair, the new pair, or none.
//!
//! In reading order: `bundle` is a key with its certificates; `certificate` reads them back; `issue` signs; `place` and `secret` are
//! where a pair is kept; `ca` and `leaf` are the steps, `wanted` is what a leaf should be; `classify` judges failures.

pub mod bundle;
pub mod ca;
pub mod certificate;
pub mod classify;
pub mod issue;
pub mod leaf;
pub mod place;
pub mod secret;
pub mod wanted;
