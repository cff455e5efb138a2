//! Between the contract's types and the engine's: JSON is read within limits, texts are cleaned, enums are matched.

use steps_sdk::outcome::FieldChange;
use steps_sdk::{Certainty, Change, ChangeAction, ErrorClass, Outcome, Preview, StepError, Value, Verdict};

use super::bindings::types;
use super::limits::{ANSWER_BYTES_MAX, Bytes, CHANGES_MAX, LINE_BYTES_MAX};
use super::words;

/// Values in one JSON text: each costs many times its own bytes in memory.
const JSON_VALUES_MAX: usize = 1 << 18;
/// A code of a component's own.
const CODE_BYTES_MAX: usize = 32;
const CAUSES_MAX: usize = 20;

/// JSON of a guest. `what` reads after "the guest's": `outputs`.
pub(super) fn json(what: &str, text: &str) -> Result<Value, StepError> {
    if text.len() > ANSWER_BYTES_MAX {
        let (size, limit) = (Bytes(text.len() as u64), Bytes(ANSWER_BYTES_MAX as u64));
        return Err(StepError::permanent("W106", format!("its {what} have {size}, the limit is {limit}"))
            .help("write large results to a file or an object, and put its name into the outputs"));
    }
    let values = text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > JSON_VALUES_MAX {
        return Err(StepError::permanent("W106", format!("its {what} hold more than {JSON_VALUES_MAX} values"))
            .help("write large results to a file or an object, and put its name into the outputs"));
    }
    serde_json::from_str(text).map_err(|error| {
        StepError::permanent("W109", format!("its {what} are not JSON")).cause(error).help(TELL_AUTHOR)
    })
}

const TELL_AUTHOR: &str = "this is a mistake in the component; tell its author";

pub(super) fn outcome(outcome: types::Outcome) -> Result<Outcome, StepError> {
    Ok(Outcome {
        outputs: json("outputs", &outcome.outputs)?,
        summary: words::line(&outcome.summary, LINE_BYTES_MAX),
        same: outcome.same,
    })
}

pub(super) fn preview(previewed: types::Previewed) -> Result<Preview, StepError> {
    Ok(match previewed {
        types::Previewed::Changes(listed) => Preview::Changes(changes(listed)?),
        types::Previewed::Later(why) => Preview::Later(words::line(&why, LINE_BYTES_MAX)),
    })
}

pub(super) fn verdict(verdict: types::Verdict) -> Result<Verdict, StepError> {
    Ok(match verdict {
        types::Verdict::Done(done) => Verdict::Done(outcome(done)?),
        types::Verdict::Intact => Verdict::Intact,
        types::Verdict::Drifted(listed) => Verdict::Drifted(changes(listed)?),
        types::Verdict::Gone(why) => Verdict::Gone(words::line(&why, LINE_BYTES_MAX)),
        types::Verdict::Unknown(why) => Verdict::Unknown(words::line(&why, LINE_BYTES_MAX)),
    })
}

/// A failure that the guest reports; its words are its own, cleaned.
pub(super) fn failure(failure: types::Failure) -> StepError {
    let (class, problem) = match failure {
        types::Failure::Transient(problem) => (ErrorClass::Transient, problem),
        types::Failure::Permanent(problem) => (ErrorClass::Permanent, problem),
        types::Failure::NeedsPerson(problem) => (ErrorClass::NeedsPerson, problem),
    };
    let is_code = (1..=CODE_BYTES_MAX).contains(&problem.code.len())
        && problem.code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    StepError {
        class,
        code: if is_code { problem.code } else { "W120".to_owned() },
        message: words::line(&problem.message, LINE_BYTES_MAX),
        causes: problem.causes.iter().take(CAUSES_MAX).map(|cause| words::line(cause, LINE_BYTES_MAX)).collect(),
        help: problem.help.map(|help| words::line(&help, LINE_BYTES_MAX)),
        not_started: problem.not_started,
        retry_after_ms: problem.retry_after_ms,
    }
}

fn changes(listed: Vec<types::Change>) -> Result<Vec<Change>, StepError> {
    if listed.len() > CHANGES_MAX {
        return Err(StepError::permanent(
            "W106",
            format!("it lists {} changes, the limit is {CHANGES_MAX}", listed.len()),
        )
        .help("let the component sum up what belongs together"));
    }
    listed.into_iter().map(change).collect()
}

fn change(change: types::Change) -> Result<Change, StepError> {
    let certainty = match change.certainty {
        types::Certainty::Server => Certainty::Server,
        types::Certainty::Schema => Certainty::Schema,
        types::Certainty::Later => Certainty::Later,
    };
    let action = match change.action {
        types::ChangeAction::Create => ChangeAction::Create,
        types::ChangeAction::Update => ChangeAction::Update,
        types::ChangeAction::Same => ChangeAction::Same,
        types::ChangeAction::Delete => ChangeAction::Delete,
        types::ChangeAction::Run => ChangeAction::Run,
        types::ChangeAction::Unknown => ChangeAction::Unknown,
    };
    let fields = change
        .fields
        .into_iter()
        .map(|field| {
            let value = |text: Option<String>| text.map(|text| json("changed fields", &text)).transpose();
            Ok(FieldChange {
                path: words::line(&field.path, LINE_BYTES_MAX),
                before: value(field.before)?,
                after: value(field.after)?,
            })
        })
        .collect::<Result<_, StepError>>()?;
    Ok(Change {
        object: words::line(&change.object, LINE_BYTES_MAX),
        action,
        certainty,
        fields,
        conflict: change.conflict.map(|conflict| words::line(&conflict, LINE_BYTES_MAX)),
        waits_for: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_a_guest_is_read_within_limits() {
        assert_eq!(json("outputs", "{\"a\":1}").unwrap(), serde_json::json!({ "a": 1 }));
        let code = |text: &str| json("outputs", text).unwrap_err().code;
        assert_eq!(code("{"), "W109");
        assert_eq!(code(&"[".repeat(10_000)), "W109");
        assert_eq!(code(&format!("[{}1]", "1,".repeat(JSON_VALUES_MAX))), "W106");
        assert_eq!(code(&" ".repeat(ANSWER_BYTES_MAX + 1)), "W106");
    }

    #[test]
    fn a_failure_keeps_its_own_code_if_it_is_one() {
        let problem = |code: &str| types::Problem {
            code: code.into(),
            message: "no\nzone".into(),
            help: None,
            causes: vec!["\u{1b}[31m".into(); 100],
            retry_after_ms: Some(5),
            not_started: true,
        };
        let error = failure(types::Failure::Transient(problem("CDN01")));
        assert_eq!(
            (error.code.as_str(), error.message.as_str(), error.class),
            ("CDN01", "no zone", ErrorClass::Transient)
        );
        assert_eq!((error.causes.len(), error.retry_after_ms, error.not_started), (CAUSES_MAX, Some(5), true));
        for odd in ["", "two words", "\u{1b}", &"X".repeat(33)] {
            assert_eq!(failure(types::Failure::Permanent(problem(odd))).code, "W120");
        }
    }
}
