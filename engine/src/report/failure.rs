//! A failed step, told once: what, where in the file, why, what to do.

use super::RunView;
use super::setting::Setting;
use super::step_view::StepView;

/// The whole story of one failed step.
pub fn text(step: &StepView, view: &RunView, setting: &Setting) -> String {
    unimplemented!("{step:?} {view:?} {setting:?}")
}
