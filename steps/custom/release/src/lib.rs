//! `resolves` and `record`: what a rollout ends with. First the name leads to the new place, at its zone's own servers; then the
//! cluster says which version it runs.
//!
//! Two kinds in one component, because a file that uses one mostly uses the other; each asks only for what it needs itself.

mod record;
mod resolves;

pub use record::Record;
pub use resolves::Resolves;

steps_sdk::export!(Record, Resolves);

/// A call for tests of the kinds.
#[cfg(test)]
fn call() -> steps_sdk::guest::Call {
    steps_sdk::guest::Call {
        step: "web".into(),
        run: "r1".into(),
        owner_key: "engine/shop/web".into(),
        once_key: "once".into(),
        attempt: 1,
        remaining: std::time::Duration::from_secs(60),
        on: Some("eu".into()),
        clusters: vec!["eu".into()],
    }
}
