//! What a run would do, as text.

use engine_core::plan::Forecast;

use super::look::Look;
use super::setting::Identity;
use super::suggest::Suggest;

/// What a plan's text needs beside the forecast.
#[derive(Debug, Clone)]
pub struct PlanSetting {
    pub look: Look,
    pub suggest: Suggest,
    pub identities: Vec<Identity>,
    /// The file, as the person named it.
    pub file: String,
    /// Every step and every field; otherwise the view is kept to a screen.
    pub full: bool,
}

/// Each step with its change and how sure it is, totals, and the command that does it.
pub fn text(forecast: &Forecast, setting: &PlanSetting) -> String {
    unimplemented!("{forecast:?} {setting:?}")
}
