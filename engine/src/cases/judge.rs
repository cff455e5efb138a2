//! What came of a call against what the case expects.

use engine_core::diagnostic::Place;
use steps_sdk::outcome::Change;
use steps_sdk::{Outcome, Preview, StepError, Value, Verdict};

use super::call::{Ended, Happened};
use super::case::{Case, Expected, What, Word};
use super::kdl;
use super::mock::Told;

/// One way in which a case was not as expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    pub code: &'static str,
    /// Lower case, no full stop.
    pub message: String,
    /// Where the case says otherwise.
    pub at: Option<Place>,
    /// Both sides as KDL, where there are two.
    pub sides: Option<Sides>,
    /// Further lines: causes, or what to add.
    pub notes: Vec<String>,
    pub repair: Option<Repair>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    pub expected: String,
    pub found: String,
}

/// How the file would say what is the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    Replace { at: Place, text: String },
    Remove { at: Place },
}

impl Mismatch {
    fn new(code: &'static str, message: impl Into<String>) -> Mismatch {
        Mismatch { code, message: message.into(), at: None, sides: None, notes: Vec::new(), repair: None }
    }
}

/// Everything that is not as the case says.
pub fn judge(case: &Case, happened: &Happened, told: &Told) -> Vec<Mismatch> {
    let mut found = Vec::new();
    answer(case, happened, &mut found);
    for expected in &case.expected {
        found.extend(said(expected, happened));
    }
    for request in &told.unlisted {
        let mut mismatch = Mismatch::new("A104", format!("the case does not answer `{}`", kdl::asked(request)));
        mismatch.notes.push(format!("to answer it, add to `host`:\n{}", kdl::indented(&kdl::to_add(request))));
        found.push(mismatch);
    }
    for wrong in &told.wrong {
        let sides = Sides { expected: kdl::sends(&wrong.wanted), found: kdl::sends(&wrong.carried) };
        let mut mismatch = Mismatch::new("A106", format!("`{}` carried something else", kdl::asked(&wrong.asked)));
        mismatch.repair = Some(Repair::Replace { at: wrong.wanted.at, text: sides.found.clone() });
        mismatch.at = Some(wrong.wanted.at);
        mismatch.sides = Some(sides);
        found.push(mismatch);
    }
    for (at, request) in &told.unused {
        let mut mismatch = Mismatch::new("A105", format!("nobody asked for `{}`", kdl::asked(request)));
        mismatch.at = Some(*at);
        found.push(mismatch);
    }
    found
}

/// What the call answered, in the words of expectations: all of it, most important first.
pub fn answered(happened: &Happened) -> Vec<What> {
    let outcome = |outcome: &Outcome| {
        let mut words = Vec::new();
        if !outcome.outputs.is_null() {
            words.push(What::Outputs { value: outcome.outputs.clone(), partly: false });
        }
        words.push(What::Summary(outcome.summary.clone()));
        if outcome.same {
            words.push(What::Same);
        }
        words
    };
    let verdict = |word, reason_has| What::Verdict { word, reason_has };
    match &happened.ended {
        Err(error) => vec![failure(error)],
        Ok(Ended::Ran(ran)) => outcome(ran),
        Ok(Ended::Previewed(Preview::Changes(changes))) => vec![What::Changes(plain(changes))],
        Ok(Ended::Previewed(Preview::Later(words))) => vec![What::Later(words.clone())],
        Ok(Ended::Verified(Verdict::Done(done))) => {
            let mut words = vec![verdict(Word::Done, None)];
            words.extend(outcome(done));
            words
        }
        Ok(Ended::Verified(Verdict::Intact)) => vec![verdict(Word::Intact, None)],
        Ok(Ended::Verified(Verdict::Drifted(changes))) => {
            vec![verdict(Word::Drifted, None), What::Changes(plain(changes))]
        }
        Ok(Ended::Verified(Verdict::Gone(why))) => vec![verdict(Word::Gone, Some(why.clone()))],
        Ok(Ended::Verified(Verdict::Unknown(why))) => vec![verdict(Word::Unknown, Some(why.clone()))],
        Ok(Ended::Undone(words)) => vec![What::Undone(words.clone())],
        Ok(Ended::Released) => Vec::new(),
    }
}

fn failure(error: &StepError) -> What {
    What::Failure { class: Some(error.class), code: Some(error.code.clone()), message_has: Some(error.message.clone()) }
}

/// What a step cannot say is not compared.
fn plain(changes: &[Change]) -> Vec<Change> {
    changes.iter().map(|change| Change { waits_for: None, ..change.clone() }).collect()
}

/// Whether an expectation is about the call's answer; the others are about what the step said meanwhile.
fn is_about_answer(what: &What) -> bool {
    match what {
        What::Waiting(_) | What::Log(_) | What::Hold { .. } | What::Memo { .. } => false,
        What::Outputs { .. }
        | What::Summary(_)
        | What::Same
        | What::Failure { .. }
        | What::Changes(_)
        | What::Later(_)
        | What::Verdict { .. }
        | What::Undone(_) => true,
    }
}

fn answer(case: &Case, happened: &Happened, found: &mut Vec<Mismatch>) {
    let wanted: Vec<&Expected> = case.expected.iter().filter(|expected| is_about_answer(&expected.what)).collect();
    let is_failure = |expected: &&Expected| matches!(expected.what, What::Failure { .. });
    let facts = answered(happened);
    match (&happened.ended, wanted.iter().copied().find(is_failure)) {
        (Err(error), None) => found.extend(unexpected(error, &wanted, &facts)),
        (Ok(_), Some(expected)) => found.push(unfailed(expected, &facts)),
        (Ok(_), None) | (Err(_), Some(_)) => {
            found.extend(wanted.into_iter().filter_map(|expected| compare(expected, &facts)));
        }
    }
}

/// It failed, and nothing says that it should.
fn unexpected(error: &StepError, wanted: &[&Expected], facts: &[What]) -> Vec<Mismatch> {
    let mut mismatch = Mismatch::new("A101", format!("it failed with {}: {}", error.code, error.message));
    mismatch.notes.extend(error.causes.iter().map(|cause| format!("cause: {cause}")));
    mismatch.notes.extend(error.help.iter().map(|help| format!("help: {help}")));
    let mut all = vec![mismatch];
    if let ([first, rest @ ..], Some(fact)) = (wanted, facts.first()) {
        all[0].at = Some(first.at);
        all[0].repair = Some(Repair::Replace { at: first.at, text: kdl::expectation(fact) });
        // The rest speaks of an answer that there is not. One line says it; `--bless` takes them away together.
        for expected in rest {
            let mut gone = Mismatch::new("A103", "there is no answer to compare with");
            gone.at = Some(expected.at);
            gone.repair = Some(Repair::Remove { at: expected.at });
            all.push(gone);
        }
    }
    all
}

fn unfailed(expected: &Expected, facts: &[What]) -> Mismatch {
    let found: Vec<String> = facts.iter().map(kdl::expectation).collect();
    let mut mismatch = Mismatch::new("A102", "it did not fail");
    mismatch.at = Some(expected.at);
    mismatch.repair = Some(match found.is_empty() {
        true => Repair::Remove { at: expected.at },
        false => Repair::Replace { at: expected.at, text: found.join("\n") },
    });
    mismatch.sides = Some(Sides { expected: kdl::expectation(&expected.what), found: found.join("\n") });
    mismatch
}

fn compare(expected: &Expected, facts: &[What]) -> Option<Mismatch> {
    let same_kind = |fact: &&What| std::mem::discriminant(*fact) == std::mem::discriminant(&expected.what);
    let mut mismatch = Mismatch::new("A103", String::new());
    mismatch.at = Some(expected.at);
    let Some(fact) = facts.iter().find(same_kind) else {
        mismatch.message = match expected.what {
            What::Same => "it changed something".to_owned(),
            _ => "the call answered something else".to_owned(),
        };
        let found = facts.first().map(kdl::expectation).unwrap_or_default();
        mismatch.repair = Some(match (&expected.what, found.is_empty()) {
            (What::Same, _) | (_, true) => Repair::Remove { at: expected.at },
            _ => Repair::Replace { at: expected.at, text: found.clone() },
        });
        if !matches!(expected.what, What::Same) {
            mismatch.sides = Some(Sides { expected: kdl::expectation(&expected.what), found });
        }
        return Some(mismatch);
    };
    let seen = seen_through(&expected.what, fact);
    if seen == expected.what {
        return None;
    }
    mismatch.message = format!("{} differ", subject(&expected.what));
    if !matches!(expected.what, What::Outputs { .. } | What::Changes(_)) {
        mismatch.message = format!("{} differs", subject(&expected.what));
    }
    let sides = Sides { expected: kdl::expectation(&expected.what), found: kdl::expectation(&seen) };
    mismatch.repair = Some(Repair::Replace { at: expected.at, text: sides.found.clone() });
    mismatch.sides = Some(sides);
    Some(mismatch)
}

fn subject(what: &What) -> &'static str {
    match what {
        What::Outputs { .. } => "the outputs",
        What::Changes(_) => "the changes",
        What::Summary(_) => "the summary",
        What::Failure { .. } => "the failure",
        What::Verdict { .. } => "the verdict",
        What::Later(_) | What::Undone(_) | What::Same => "the answer",
        What::Waiting(_) | What::Log(_) | What::Hold { .. } | What::Memo { .. } => "what was said",
    }
}

/// A fact reduced to what the expectation looks at: of a part the part, and of words that contain the expected ones those.
fn seen_through(wanted: &What, fact: &What) -> What {
    let part = |wanted: &Option<String>, found: &Option<String>| match (wanted, found) {
        (None, _) => None,
        (Some(wanted), Some(found)) if found.contains(wanted.as_str()) => Some(wanted.clone()),
        (Some(_), found) => found.clone(),
    };
    match (wanted, fact) {
        (What::Outputs { value: wanted, partly: true }, What::Outputs { value, .. }) => {
            What::Outputs { value: projected(wanted, value), partly: true }
        }
        (
            What::Failure { class, code, message_has },
            What::Failure { class: found, code: found_code, message_has: message },
        ) => What::Failure {
            class: class.and(*found),
            code: code.as_ref().and(found_code.clone()),
            message_has: part(message_has, message),
        },
        (What::Verdict { reason_has, .. }, What::Verdict { word, reason_has: reason }) => {
            What::Verdict { word: *word, reason_has: part(reason_has, reason) }
        }
        (_, fact) => fact.clone(),
    }
}

/// Of a map the keys that the other one has.
fn projected(wanted: &Value, found: &Value) -> Value {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let kept = wanted.iter().filter_map(|(key, value)| Some((key.clone(), projected(value, found.get(key)?))));
            Value::Object(kept.collect())
        }
        (_, found) => found.clone(),
    }
}

/// Whether the step said something that was expected of it.
fn said(expected: &Expected, happened: &Happened) -> Option<Mismatch> {
    let missing = |message: String, heard: Vec<String>| {
        let mut mismatch = Mismatch::new("A107", message);
        mismatch.at = Some(expected.at);
        mismatch.notes = heard;
        Some(mismatch)
    };
    let differs = |found: What| {
        let sides = Sides { expected: kdl::expectation(&expected.what), found: kdl::expectation(&found) };
        let mut mismatch = Mismatch::new("A103", "what was said differs");
        mismatch.at = Some(expected.at);
        mismatch.repair = Some(Repair::Replace { at: expected.at, text: sides.found.clone() });
        mismatch.sides = Some(sides);
        Some(mismatch)
    };
    match &expected.what {
        What::Waiting(words) if !happened.waiting.iter().any(|reason| reason.contains(words.as_str())) => {
            let heard = happened.waiting.iter().map(|reason| format!("it waited for: {reason}")).collect();
            missing(format!("it never waited for `{words}`"), heard)
        }
        What::Log(words) if !happened.log.iter().any(|(_, line)| line.contains(words.as_str())) => {
            missing(format!("it never logged `{words}`"), Vec::new())
        }
        What::Hold { name, data } => match happened.holds.iter().find(|(taken, _)| taken == name) {
            None => missing(format!("it took no hold `{name}`"), Vec::new()),
            Some((_, found)) if found != data => differs(What::Hold { name: name.clone(), data: found.clone() }),
            Some(_) => None,
        },
        What::Memo { key, value } => match happened.memos.iter().rev().find(|(noted, _)| noted == key) {
            None => missing(format!("it noted no memo `{key}`"), Vec::new()),
            Some((_, found)) if found != value => differs(What::Memo { key: key.clone(), value: found.clone() }),
            Some(_) => None,
        },
        _ => None,
    }
}
