//! Guests that mean harm. Each case is a component and what has to come of it: a typed failure that names the limit or the grant,
//! with the engine alive and everybody else on time.
//!
//! ```text
//!  code.rs      loops, memory, tables, stack, traps
//!  answers.rs   answers that break the contract, or are too large
//!  requests.rs  URLs, headers, objects and names; what is not granted
//!  floods.rs    storms of calls and lines; waits that never end; runtimes that look for a system
//!  files.rs     files that are no components, or not ours
//!  claims.rs    lies in what a component says of itself
//! ```

mod answers;
mod claims;
mod code;
mod files;
mod floods;
mod requests;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use miette::Diagnostic as _;
use steps_sdk::native::StepHandler;
use steps_sdk::{Preview, StepError, Value};
use tempfile::TempDir;

use super::testing::World;
use super::{Compiler, Components, Settings, WasmError};

/// How late others may be. The house allows 50 ms; the rest is for a debug build on a machine that runs other tests too.
const LATE_MAX: Duration = Duration::from_millis(50 + 950);

struct Case {
    name: String,
    attack: Attack,
    outcome: Outcome,
}

enum Attack {
    /// The file is loaded.
    Load(Vec<u8>),
    /// `run` of its first kind.
    Run(Vec<u8>, World),
    Preview(Vec<u8>, World),
    Verify(Vec<u8>, World),
}

/// What has to come of it. Words stand in the message, its causes or its help.
enum Outcome {
    /// It is refused when it is loaded.
    Refused(&'static str, &'static str),
    /// The step fails.
    Fails(&'static str, &'static str),
    /// The guest is told no, in these words, and nothing arrived outside.
    Denied(&'static str),
    /// The guest gets this, and nothing that holds these words is seen or logged.
    Harmless { gets: &'static str, hides: &'static str },
    /// Any typed end.
    Survived,
}

fn case(name: impl Into<String>, attack: Attack, outcome: Outcome) -> Case {
    Case { name: name.into(), attack, outcome }
}

/// One machine for all cases: what one guest does must not matter to the next.
fn components() -> &'static Components {
    static COMPONENTS: OnceLock<(TempDir, Components)> = OnceLock::new();
    let (_, components) = COMPONENTS.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { cache: directory.path().join("cache"), compiler: Compiler::InProcess };
        let components = Components::new(settings).unwrap();
        (directory, components)
    });
    components
}

/// Runs the cases one after the other; one that fails does not hide the next.
fn check(cases: Vec<Case>) {
    let failed = |case: &Case| std::panic::catch_unwind(AssertUnwindSafe(|| case.check())).is_err();
    let names: Vec<String> = cases.into_iter().filter(failed).map(|case| case.name).collect();
    assert!(names.is_empty(), "{} failed: {names:#?}", names.len());
}

/// Polls the call on a runtime of one thread, where whoever does not yield stops everybody, and sees how late others get their turn.
fn beside_a_heart<T>(calling: impl Future<Output = T>) -> (T, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let latest = Arc::new(AtomicU64::new(0));
        let mut heart = tokio::task::JoinSet::new();
        heart.spawn(beat(Arc::clone(&latest)));
        let answer = calling.await;
        heart.shutdown().await;
        (answer, Duration::from_millis(latest.load(Ordering::Relaxed)))
    })
}

async fn beat(latest: Arc<AtomicU64>) {
    const BEAT: Duration = Duration::from_millis(5);
    loop {
        let before = Instant::now();
        tokio::time::sleep(BEAT).await;
        let late = before.elapsed().saturating_sub(BEAT);
        latest.fetch_max(u64::try_from(late.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Case {
    fn check(&self) {
        let name = &self.name;
        let (component, world) = match &self.attack {
            Attack::Load(component) => (component, None),
            Attack::Run(component, world) | Attack::Preview(component, world) | Attack::Verify(component, world) => {
                (component, Some(world))
            }
        };
        let loaded = components().component(component);
        let (Some(world), Ok(loaded)) = (world, &loaded) else {
            return match (&self.outcome, loaded) {
                (Outcome::Refused(code, word), Err(error)) => assert_refused(name, &error, code, word),
                (Outcome::Survived, _) => {}
                (_, Ok(_)) => panic!("{name}: it was loaded"),
                (_, Err(error)) => panic!("{name}: {error:?}"),
            };
        };
        let step = loaded.handlers("evil", world.bound()).remove(0);
        let began = Instant::now();
        let (answer, late) = beside_a_heart(self.call(&step, world));
        assert!(late <= LATE_MAX, "{name}: others were {late:?} late");
        let limit = Duration::from_millis(world.limits.wall_ms) + LATE_MAX;
        assert!(began.elapsed() <= limit, "{name}: it took {:?}", began.elapsed());
        self.judge(answer, world);
    }

    async fn call(&self, step: &Arc<dyn StepHandler>, world: &World) -> Result<String, StepError> {
        let inputs = Value::Object(serde_json::Map::new());
        world
            .call(async |cx| match self.attack {
                Attack::Load(_) | Attack::Run(..) => step.run(cx, inputs).await.map(|outcome| outcome.summary),
                Attack::Preview(..) => step.preview(cx, inputs).await.map(|preview| match preview {
                    Preview::Later(why) => why,
                    Preview::Changes(changes) => {
                        changes.iter().map(|change| format!("{} {:?}\n", change.object, change.action)).collect()
                    }
                }),
                Attack::Verify(..) => step.verify(cx, inputs, None).await.map(|verdict| format!("{verdict:?}")),
            })
            .await
    }

    fn judge(&self, answer: Result<String, StepError>, world: &World) {
        let name = &self.name;
        match (&self.outcome, answer) {
            (Outcome::Survived, _) => {}
            (Outcome::Fails(code, word), Err(error)) => {
                let words = words_of(&error);
                assert_eq!(&error.code, code, "{name}: {words}");
                assert!(words.contains(word), "{name}: `{word}` is not in: {words}");
                let is_stopped_before = ["W113", "W201", "W202", "W203"].contains(code);
                assert!(!is_stopped_before || world.host.seen().is_empty(), "{name}: {:?}", world.host.seen());
            }
            (Outcome::Denied(word), Ok(told)) => {
                assert!(told.contains(word), "{name}: `{word}` is not in: {told}");
                assert_eq!(world.host.seen(), Vec::<String>::new(), "{name}");
            }
            (Outcome::Harmless { gets, hides }, Ok(told)) => {
                assert!(told.contains(gets), "{name}: `{gets}` is not in: {told}");
                let said = world.said().join("\n");
                assert!(hides.is_empty() || !told.contains(hides) && !said.contains(hides), "{name}: {told}\n{said}");
            }
            (_, Ok(told)) => panic!("{name}: it ran and got `{told}`"),
            (_, Err(error)) => panic!("{name}: {}", words_of(&error)),
        }
    }
}

fn assert_refused(name: &str, error: &WasmError, code: &str, word: &str) {
    let found = error.code().map(|code| code.to_string()).unwrap_or_default();
    let help = error.help().map(|help| help.to_string()).unwrap_or_default();
    let words = format!("{error} {help} {error:?}");
    assert_eq!(found, code, "{name}: {words}");
    assert!(words.contains(word), "{name}: `{word}` is not in: {words}");
}

fn words_of(error: &StepError) -> String {
    format!(
        "{} [{}] {} | {}",
        error.code,
        error.message,
        error.causes.join(" | "),
        error.help.as_deref().unwrap_or_default()
    )
}

#[test]
fn guests_whose_code_means_harm() {
    check(code::cases());
}

#[test]
fn answers_that_mean_harm() {
    check(answers::cases());
}

#[test]
fn requests_that_mean_harm() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = runtime.block_on(async { requests::cases() });
    check(cases);
}

#[test]
fn floods_and_waits_that_mean_harm() {
    check(floods::cases());
}

#[test]
fn files_that_mean_harm() {
    check(files::cases());
}

#[test]
fn claims_that_are_lies() {
    check(claims::cases());
}

#[test]
fn there_are_enough_of_them() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let requests = runtime.block_on(async { requests::cases().len() });
    let count = code::cases().len() + answers::cases().len() + floods::cases().len() + files::cases().len();
    let count = count + claims::cases().len() + requests;
    assert!(count >= 150, "{count}");
}
