//! Whether a failed attempt is followed by another, and when.

use steps_sdk::{Effect, ErrorClass, StepError, Value};

use crate::expr::{Expr, Values};
use crate::id::Timestamp;
use crate::plan::{Backoff, RetryOn, RetryPolicy};

/// When the next attempt begins; `None`: the step has failed.
///
/// `jitter` is a random number in `0.0..1.0`: the wait lies between half and the whole of what the policy says, so that steps that
/// failed together do not come back together. A longer wait that the other side asked for is kept.
pub fn next_attempt(
    policy: &RetryPolicy,
    error: &StepError,
    attempt: u32,
    effect: Effect,
    now: Timestamp,
    jitter: f64,
) -> Option<Timestamp> {
    let may_repeat = effect != Effect::Once || error.not_started;
    if attempt >= policy.attempts
        || !may_repeat
        || error.class == ErrorClass::NeedsPerson
        || !is_covered(&policy.on, error)
    {
        return None;
    }
    let nominal = match policy.backoff {
        Backoff::Constant => policy.first_ms,
        Backoff::Exponential => policy.first_ms.saturating_mul(1_u64.checked_shl(attempt - 1).unwrap_or(u64::MAX)),
    }
    .min(policy.cap_ms);
    let jittered = nominal / 2 + ((nominal - nominal / 2) as f64 * jitter) as u64;
    Some(now.plus_ms(jittered.max(error.retry_after_ms.unwrap_or(0))))
}

/// A condition that cannot be evaluated covers nothing: the step fails with its own error, which says more than ours would.
fn is_covered(on: &RetryOn, error: &StepError) -> bool {
    match on {
        RetryOn::Transient => error.class == ErrorClass::Transient,
        RetryOn::Any => true,
        RetryOn::Condition(text) => condition_holds(text, error),
    }
}

fn condition_holds(text: &str, error: &StepError) -> bool {
    let Ok(fields) = serde_json::to_value(error) else {
        return false;
    };
    let values = Values::new().with("error", &fields);
    Expr::parse(text).is_ok_and(|condition| matches!(condition.evaluate(&values), Ok(Value::Bool(true))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn wait(policy: &RetryPolicy, attempt: u32, jitter: f64) -> Option<u64> {
        next_attempt(policy, &StepError::transient("K204", "busy"), attempt, Effect::Converge, NOW, jitter)
            .map(|at| at.since(NOW))
    }

    #[test]
    fn waits_double_up_to_the_cap_and_keep_half_of_it_at_least() {
        let policy = RetryPolicy { attempts: 70, first_ms: 1_000, cap_ms: 5_000, ..RetryPolicy::default() };
        assert_eq!(wait(&policy, 1, 0.0), Some(500));
        assert_eq!(wait(&policy, 1, 0.999_999), Some(999));
        assert_eq!(wait(&policy, 3, 0.0), Some(2_000));
        assert_eq!(wait(&policy, 4, 0.0), Some(2_500));
        assert_eq!(wait(&policy, 69, 0.0), Some(2_500), "no overflow");
        assert_eq!(wait(&policy, 70, 0.0), None, "the last attempt has no next");
        let constant = RetryPolicy { backoff: Backoff::Constant, attempts: 9, ..policy };
        assert_eq!(wait(&constant, 8, 0.0), Some(500));
    }

    #[test]
    fn only_what_the_policy_covers_is_tried_again() {
        let policy = |on| RetryPolicy { on, ..RetryPolicy::default() };
        let tried = |on, error: &StepError, effect| next_attempt(&policy(on), error, 1, effect, NOW, 0.0).is_some();
        let (transient, permanent) = (StepError::transient("A1", "x"), StepError::permanent("A2", "x"));
        assert!(tried(RetryOn::Transient, &transient, Effect::Converge));
        assert!(!tried(RetryOn::Transient, &permanent, Effect::Converge));
        assert!(tried(RetryOn::Any, &permanent, Effect::Pure));
        assert!(
            !tried(RetryOn::Any, &StepError::needs_person("A3", "x"), Effect::Pure),
            "a person is waited for, not raced"
        );
        assert!(!tried(RetryOn::Any, &transient, Effect::Once), "a once step that may have begun");
        assert!(tried(RetryOn::Any, &transient.clone().not_started(), Effect::Once));
        assert!(tried(RetryOn::Condition("error.code == 'A2'".into()), &permanent, Effect::Converge));
        assert!(!tried(RetryOn::Condition("error.code == 'A9'".into()), &permanent, Effect::Converge));
        assert!(!tried(RetryOn::Condition("error.absent".into()), &permanent, Effect::Converge));
    }

    #[test]
    fn a_longer_wait_that_was_asked_for_is_kept() {
        let mut error = StepError::transient("K204", "busy");
        error.retry_after_ms = Some(60_000);
        assert_eq!(
            next_attempt(&RetryPolicy::default(), &error, 1, Effect::Converge, NOW, 0.0),
            Some(NOW.plus_ms(60_000))
        );
    }
}
