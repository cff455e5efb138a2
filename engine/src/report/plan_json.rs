//! `engine.plan/v1`.

use engine_core::plan::Forecast;
use steps_sdk::Value;

/// The whole forecast.
pub fn json(forecast: &Forecast) -> Value {
    unimplemented!("{forecast:?}")
}
