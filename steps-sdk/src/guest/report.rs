//! What a step tells the person who waits.

use super::bindings::engine::step::report as wit;

pub use wit::Level;

/// A line in the step's log.
pub fn log(level: Level, message: &str) {
    wit::log(level, message, &[]);
}

/// A line in the step's log, with named values.
pub fn log_with(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<(String, String)> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    wit::log(level, message, &fields);
}

/// The reason for waiting now; shown in the step's lane with its age. Names object, condition and reason.
pub fn waiting(reason: &str) {
    wit::waiting(reason);
}
