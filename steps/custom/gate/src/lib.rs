//! `healthy`: waits until a URL answers as it should, several times in a row.
//!
//! One good answer is not health: a server that is starting, or one of several that is not, answers well now and then. What was
//! wrong with the last answer is the reason that is shown while this waits, and the error when the time is up.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::grant::{Ask, Permission};
use steps_sdk::guest::http::{self, Request, Response};
use steps_sdk::guest::{About, Call, Done, GuestStep, clock, report};
use steps_sdk::spec::TimeLimit;
use steps_sdk::value::{Span, Url};
use steps_sdk::{Certainty, Change, ChangeAction, Preview, StepError, Verdict};

/// Kept back from the wait, to say what was seen last before the engine ends the call.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// No answer is waited for longer than this.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Waits for health.
pub struct Healthy;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["url"]))]
pub struct Inputs {
    /// What is asked, with GET.
    url: Url,
    /// The status that is wanted.
    #[serde(default = "ok")]
    status: u16,
    /// A text that the answer must contain.
    #[serde(default)]
    contains: Option<String>,
    /// The answer may take this long, as `500ms`.
    #[serde(default)]
    latency_max: Option<Span>,
    /// How many good answers in a row are health.
    #[serde(default = "three")]
    times: u32,
    /// The pause between two questions.
    #[serde(default = "two_seconds")]
    every: Span,
}

fn ok() -> u16 {
    200
}

fn three() -> u32 {
    3
}

fn two_seconds() -> Span {
    Span(Duration::from_secs(2))
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The status of the last answer.
    status: u16,
    /// How long the slowest of the good answers took, in milliseconds.
    latency_ms: u64,
    /// How many questions it took.
    questions: u32,
}

impl GuestStep for Healthy {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about() -> About {
        let doc = "Waits until a URL answers as it should, several times in a row.\n\n\
            An answer is good when it has the status, contains the text, and came soon enough. One bad answer starts the count again.";
        let what = Permission::Http { origin: None, methods: vec!["GET".into()], path: None };
        About {
            time_limit: TimeLimit::Wait { for_ms: 2 * 60_000 },
            asks: vec![Ask { what, why: "to ask the URL that the step names".into() }],
            ..About::pure("healthy", doc)
        }
    }

    fn preview(_call: &Call, inputs: Inputs) -> Result<Preview, StepError> {
        Ok(Preview::Changes(vec![probe(&inputs, None)]))
    }

    fn run(call: &Call, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let began = clock::now_ms();
        let (mut good, mut questions, mut slowest) = (0, 0, 0);
        loop {
            questions += 1;
            let reason = match ask(&inputs)? {
                Ok(latency) => {
                    good += 1;
                    slowest = slowest.max(latency);
                    if good >= inputs.times {
                        let outputs = Outputs { status: inputs.status, latency_ms: slowest, questions };
                        let summary =
                            format!("{} is healthy: {good} good answers in a row, at most {slowest} ms", inputs.url);
                        return Ok(Done::same(outputs, summary));
                    }
                    format!("{}: {good} of {} good answers in a row", inputs.url, inputs.times)
                }
                Err(reason) => {
                    (good, slowest) = (0, 0);
                    format!("{}: {reason}", inputs.url)
                }
            };
            let elapsed = Duration::from_millis(clock::now_ms().saturating_sub(began));
            if elapsed + inputs.every.0 + LAST_WORDS > call.remaining {
                return Err(StepError::permanent("GATE01", format!("{} did not become healthy in time", inputs.url))
                    .cause(format!("last seen: {reason}"))
                    .help("see what the server answers; when that is solved, or with a longer `wait for=…`, resume"));
            }
            report::waiting(&reason);
            clock::sleep(inputs.every.0)?;
        }
    }

    fn verify(_call: &Call, inputs: Inputs, _outputs: Option<Outputs>) -> Result<Verdict, StepError> {
        Ok(match ask(&inputs)? {
            Ok(_) => Verdict::Intact,
            Err(reason) => Verdict::Drifted(vec![probe(&inputs, Some(reason))]),
        })
    }

    fn undo(_call: &Call, _inputs: Inputs, _outputs: Option<Outputs>) -> Result<String, StepError> {
        Ok("nothing outside was changed".into())
    }
}

/// One question: how many milliseconds a good answer took, or what is wrong. The outer error is one that waiting does not change.
fn ask(inputs: &Inputs) -> Result<Result<u64, String>, StepError> {
    let began = clock::now_ms();
    match Request::get(inputs.url.as_str()).timeout(ANSWER_MAX).send() {
        Ok(http::Answer::Done(response)) => {
            let latency = clock::now_ms().saturating_sub(began);
            Ok(judge(inputs, &response, latency).map(|()| latency))
        }
        Ok(http::Answer::WouldDo) => Ok(Err("not asked in a preview".into())),
        Err(error @ (http::Error::NotGranted(_) | http::Error::TooLarge(_) | http::Error::Other(_))) => {
            Err(error.into())
        }
        // No connection, no name yet, a certificate that is about to be replaced: what a gate waits for.
        Err(error) => Ok(Err(StepError::from(error).message)),
    }
}

fn judge(inputs: &Inputs, response: &Response, latency: u64) -> Result<(), String> {
    if response.status != inputs.status {
        return Err(format!("it answers {}, wanted is {}", response.status, inputs.status));
    }
    if let Some(text) = &inputs.contains
        && !String::from_utf8_lossy(&response.body).contains(text)
    {
        return Err(format!("its answer does not contain `{text}`"));
    }
    match inputs.latency_max {
        Some(limit) if u128::from(latency) > limit.0.as_millis() => {
            Err(format!("its answer took {latency} ms, at most {limit} are wanted"))
        }
        _ => Ok(()),
    }
}

fn probe(inputs: &Inputs, conflict: Option<String>) -> Change {
    Change {
        object: format!("GET {}", inputs.url),
        action: ChangeAction::Run,
        certainty: Certainty::Schema,
        fields: Vec::new(),
        conflict,
        waits_for: None,
    }
}

steps_sdk::export!(Healthy);

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(json: serde_json::Value) -> Inputs {
        serde_json::from_value(json).expect("inputs")
    }

    fn answer(status: u16, body: &str) -> Response {
        Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn an_answer_is_good_when_everything_that_is_wanted_holds() {
        let plain = inputs(serde_json::json!({ "url": "https://a.example/" }));
        assert_eq!((plain.times, plain.every.0.as_secs(), plain.status), (3, 2, 200));
        assert_eq!(judge(&plain, &answer(200, ""), 9_000), Ok(()));
        assert_eq!(judge(&plain, &answer(503, ""), 1), Err("it answers 503, wanted is 200".into()));
        let strict = inputs(serde_json::json!({
            "url": "https://a.example/", "status": 204, "contains": "ready", "latency-max": "250ms"
        }));
        assert_eq!(judge(&strict, &answer(204, "all ready"), 250), Ok(()));
        assert!(judge(&strict, &answer(204, "all ready"), 251).is_err_and(|reason| reason.contains("251 ms")));
        assert!(judge(&strict, &answer(204, "starting"), 1).is_err_and(|reason| reason.contains("`ready`")));
    }
}
