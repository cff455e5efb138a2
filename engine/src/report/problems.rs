//! Problems in a workflow, all at once, as text and as `engine.check/v1`.

use engine_core::diagnostic::{Problem, Source};
use steps_sdk::Value;

use super::look::Look;

/// One workflow that was checked, with the files it is made of.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a> {
    pub problems: &'a [Problem],
    /// The workflow itself first.
    pub sources: &'a [Source],
}

/// All problems, then the sum of them in one line.
pub fn text(checked: &[Checked<'_>], look: &Look) -> String {
    unimplemented!("{checked:?} {look:?}")
}

/// `engine.check/v1`.
pub fn json(checked: &[Checked<'_>]) -> Value {
    unimplemented!("{checked:?}")
}
