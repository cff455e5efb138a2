//! Every WASM component that this repository can make on this machine, with its cases.
//!
//! Three sorts: the guests that we ship (`steps/custom`), what `engine step new` makes of each template, and the conformance suite
//! (`steps/custom/conformance`): one step in every language, one set of cases. The suite is made of the templates too: only the
//! source of the step is laid over what `engine step new` wrote, so that neither can change without the other.
//!
//! ```text
//!  suite.rs     what is built and tried, and how it is told
//!  language.rs  the tools of each language, brought into the cache
//! ```
//!
//! `src/bin/guests.rs` runs [`try_all`].

mod language;
mod suite;

pub use suite::{Tally, try_all};
