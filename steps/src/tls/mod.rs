//! Steps that look at TLS endpoints. They verify what is shown, and when it does not hold they say what was shown instead.
//!
//! `handshake` shakes hands once, `classify` puts what went wrong into words, `check` is the step.

pub mod check;
pub mod classify;
pub mod handshake;
