//! `exec.run`: runs a program to its end, once, with surroundings that the file states.
//!
//! What happens twice depends on the program, so the file says it (`effect`), and unless it does, a run that was interrupted is not
//! repeated unasked. Before the program begins, its process is written down; a later attempt ends what still runs of an earlier one
//! before it starts another.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::context::{LogLevel, StepContext};
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::{Certainty, Change, ChangeAction, Effect, EffectOf, Outcome, Preview, StepError, Value, Verdict};

use super::child::{Gated, Program};
use super::classify::Trouble;
use super::kubeconfig::{self, Lent};
use super::output::{KEPT_MAX, Said};
use super::process::Group;

/// The note of the process that was started.
const CHILD: &str = "child";

/// The note of an outcome that may not be lost.
const ENDED: &str = "ended";

/// An outcome that is longer is not noted: if the engine is killed at that very moment, a person is asked.
const NOTED_MAX: usize = 32 << 10;

/// How long a stream may stay open after the whole process group has ended.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Runs a program.
pub struct Run;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The program and its arguments, without a shell between.
    program: ProgramInput,
    /// Variables beside the inherited PATH, HOME, LANG and our ENGINE_RUN_ID, ENGINE_STEP; with `on=` also ENGINE_CLUSTER, KUBECONFIG.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// The directory in which it starts; without it, the one in which the engine was started.
    dir: Option<String>,
    /// What it reads on its standard input.
    stdin: Option<String>,
    /// What may happen when it runs twice.
    #[serde(default)]
    effect: EffectInput,
    /// The exit code that counts as success.
    #[serde(default)]
    expect_exit: i32,
}

/// A program.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("x-kdl-args" = ["command", "args"]))]
pub struct ProgramInput {
    /// A name that is looked for in PATH, or a path.
    command: String,
    /// Its arguments. Everybody on the machine can see them: no secrets here.
    #[serde(default)]
    args: Vec<String>,
    /// Its standard output is JSON and becomes the output `value`.
    #[serde(default)]
    json: bool,
}

/// What may happen when a program runs twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EffectInput {
    /// It touches nothing outside.
    Pure,
    /// Any number of runs lead to the same.
    Converge,
    /// It must not run twice.
    #[default]
    Once,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// What it said on standard output, without a final line break; at most 1 MiB.
    stdout: String,
    /// What it said on standard error, without a final line break; at most 1 MiB.
    stderr: String,
    exit_code: i32,
    /// With `json=#true`: its standard output as a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

/// The outcome of one process, noted before the engine records it.
#[derive(Serialize, Deserialize)]
struct Ended {
    child: Group,
    outcome: Outcome,
}

#[async_trait]
impl Step for Run {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Runs a program.\n\n\
            It gets a process group of its own: when the step is stopped, or the program has ended, what still runs of the group is asked to \
            end and after five seconds made to. Say `effect converge` if it may run twice; else it is never repeated without a word from you.";
        let effects = [("pure", Effect::Pure), ("converge", Effect::Converge), ("once", Effect::Once)];
        let effects = effects.into_iter().map(|(word, effect)| (word.to_owned(), effect)).collect();
        About {
            effect: EffectOf::FromInput { input: "effect".to_owned(), effects },
            on: OnCluster::Optional,
            ..About::converging("exec.run", doc)
        }
    }

    async fn preview(&self, _cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let object = format!("program {}", inputs.program.command);
        Ok(Preview::Changes(vec![Change {
            object,
            action: ChangeAction::Run,
            certainty: Certainty::Schema,
            fields: Vec::new(),
            conflict: None,
            waits_for: None,
        }]))
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let name = inputs.program.command.clone();
        end_earlier(cx, &name).await.map_err(StepError::not_started)?;
        let lent = cx.call.on.as_ref().map(|_| Lent::new(cx, cx.on()?).map_err(StepError::not_started)).transpose()?;
        let gated = program(cx, &inputs, lent.as_ref()).start()?;
        let child = gated.group().clone();
        let noted = serde_json::to_value(&child).expect("a process has only numbers and text");
        cx.memo.put(CHILD, noted).await.map_err(StepError::not_started)?;
        let heard = see_through(cx, gated, inputs.stdin.unwrap_or_default().as_bytes(), &name).await?;
        let outputs = heard.outputs(&name, inputs.expect_exit, inputs.program.json)?;
        let summary = format!("`{name}` ended with exit code {}", outputs.exit_code);
        if inputs.effect == EffectInput::Once {
            note_end(cx, child, &outputs, &summary).await?;
        }
        Ok(Done { outputs, summary, same: inputs.effect == EffectInput::Pure })
    }

    /// What a program did cannot be seen from here; what is known is whether it was begun, and whether its end was noted.
    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let name = inputs.program.command;
        if recorded.is_some() {
            return Ok(Verdict::Unknown(format!("what `{name}` did cannot be seen from here")));
        }
        let Some(child) = earlier(cx) else {
            return Ok(Verdict::Gone(format!("`{name}` was never begun")));
        };
        let ended = cx.memo.get(ENDED).and_then(|noted| serde_json::from_value::<Ended>(noted).ok());
        if let Some(ended) = ended.filter(|ended| ended.child == child) {
            return Ok(Verdict::Done(ended.outcome));
        }
        let members =
            child.members().map_err(|error| Trouble::System { deed: "look for the program's processes", error })?;
        Ok(Verdict::Unknown(match members.first() {
            Some(pid) => format!("`{name}` still runs as process {pid}"),
            None => format!("`{name}` was begun, and how it ended is not recorded"),
        }))
    }
}

fn program(cx: &StepContext, inputs: &Inputs, lent: Option<&Lent>) -> Program {
    let mut env: BTreeMap<String, OsString> =
        inputs.env.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    env.insert("ENGINE_RUN_ID".to_owned(), cx.call.run.clone().into());
    env.insert("ENGINE_STEP".to_owned(), cx.call.step.clone().into());
    if let Some((cluster, lent)) = cx.call.on.as_ref().zip(lent) {
        env.insert("ENGINE_CLUSTER".to_owned(), cluster.0.clone().into());
        env.insert("KUBECONFIG".to_owned(), lent.path().into());
    }
    Program {
        name: inputs.program.command.clone(),
        args: inputs.program.args.clone(),
        env,
        dir: inputs.dir.as_ref().map(PathBuf::from),
    }
}

/// The process of an earlier attempt of this run, if there was one.
fn earlier(cx: &StepContext) -> Option<Group> {
    cx.memo.get(CHILD).and_then(|noted| serde_json::from_value(noted).ok())
}

/// Ends what still runs of an earlier attempt: two of a kind at the same time is what nobody expects.
async fn end_earlier(cx: &StepContext, name: &str) -> Result<(), StepError> {
    if cx.call.on.is_some() {
        kubeconfig::take_back(cx)?;
    }
    let Some(child) = earlier(cx) else {
        return Ok(());
    };
    let system = |error| Trouble::System { deed: "end what runs of an earlier attempt", error };
    if child.members().map_err(system)?.is_empty() {
        return Ok(());
    }
    cx.progress.log(
        LogLevel::Warn,
        format!("`{name}` of an earlier attempt still runs as process {}; it is ended first", child.pid),
    );
    cx.progress.waiting(format!("`{name}` of an earlier attempt has to end (process {})", child.pid));
    match child.end().await.map_err(system)? {
        None => Ok(()),
        Some(pid) => Err(Trouble::Survivor { program: name.to_owned(), pid }.into()),
    }
}

/// What a program said, and how it ended.
struct Heard {
    stdout: Said,
    stderr: Said,
    status: ExitStatus,
}

/// Opens the gate and stays until the program, and whatever it has started in its group, has ended.
async fn see_through(cx: &StepContext, gated: Gated, input: &[u8], name: &str) -> Result<Heard, StepError> {
    let system = |error| StepError::from(Trouble::System { deed: "follow the program", error });
    let (mut stdout, mut stderr) = (Said::default(), Said::default());
    let status = {
        let (mut running, talk) = gated.open(input, &mut stdout, &mut stderr, &cx.progress);
        let mut talk = pin!(talk);
        let mut is_silent = false;
        let status = loop {
            tokio::select! {
                status = running.ended() => break Some(status.map_err(system)?),
                heard = &mut talk, if !is_silent => { heard.map_err(system)?; is_silent = true; }
                () = cx.cancel.cancelled() => break None,
            }
        };
        let mut ending = pin!(running.end_group());
        let (left, survivor) = loop {
            tokio::select! {
                ended = &mut ending => break ended.map_err(system)?,
                heard = &mut talk, if !is_silent => { heard.map_err(system)?; is_silent = true; }
            }
        };
        if !is_silent && tokio::time::timeout(DRAIN_MAX, talk).await.is_err() {
            cx.progress.log(
                LogLevel::Warn,
                format!("a process outside of the group of `{name}` keeps its output open; what it says is not heard"),
            );
        }
        if let Some(pid) = survivor {
            return Err(Trouble::Survivor { program: name.to_owned(), pid }.into());
        }
        let Some(status) = status else {
            return Err(Trouble::Stopped { program: name.to_owned() }.into());
        };
        if left > 0 {
            cx.progress.log(LogLevel::Warn, format!("`{name}` left {left} processes behind; they were ended"));
        }
        status
    };
    Ok(Heard { stdout, stderr, status })
}

impl Heard {
    fn outputs(self, name: &str, expected: i32, is_json: bool) -> Result<Outputs, StepError> {
        let Heard { stdout, stderr, status } = self;
        let program = name.to_owned();
        let last_words = match stderr.last_lines() {
            none if none.is_empty() => stdout.last_lines(),
            lines => lines,
        };
        let Some(code) = status.code() else {
            return Err(Trouble::Signal { program, signal: status.signal().unwrap_or_default(), last_words }.into());
        };
        if code != expected {
            return Err(Trouble::Exit { program, code, expected, last_words }.into());
        }
        let value = match is_json {
            false => None,
            true if stdout.is_clipped => return Err(Trouble::TooLong { program, limit: KEPT_MAX }.into()),
            true => Some(serde_json::from_slice(stdout.bytes()).map_err(|error| Trouble::NotJson { program, error })?),
        };
        Ok(Outputs { stdout: clipped(&stdout), stderr: clipped(&stderr), exit_code: code, value })
    }
}

/// Says so at the end when not everything is there.
fn clipped(said: &Said) -> String {
    match said.is_clipped {
        true => format!("{}\n[the first {KEPT_MAX} bytes; the rest is in the step's log]", said.text()),
        false => said.text(),
    }
}

/// If the engine is killed before it has recorded this outcome, `verify` finds it here.
async fn note_end(cx: &StepContext, child: Group, outputs: &Outputs, summary: &str) -> Result<(), StepError> {
    let outputs = serde_json::to_value(outputs).expect("outputs are text, a number and JSON");
    let ended = Ended { child, outcome: Outcome { outputs, summary: summary.to_owned(), same: false } };
    let noted = serde_json::to_value(ended).expect("an outcome is JSON");
    if noted.to_string().len() > NOTED_MAX {
        return Ok(());
    }
    cx.memo.put(ENDED, noted).await
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::exec::process::GRACE;
    use crate::testing::{Rig, eventually};
    use serde_json::json;
    use steps_sdk::ErrorClass;
    use steps_sdk::context::{ClusterHandle, Clusters};
    use steps_sdk::native::StepHandler as _;
    use tempfile::TempDir;

    fn shell(script: &str) -> Value {
        json!({ "program": { "command": "sh", "args": ["-c", script] } })
    }

    fn room() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    /// Whether this process does anything.
    fn runs(pid: i32) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
    }

    fn number_in(file: &Path) -> Option<i32> {
        fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))?.trim().parse().ok()
    }

    #[test]
    fn the_effect_is_what_the_file_says_and_once_if_it_says_nothing() {
        let spec = Run.describe().unwrap();
        for (inputs, effect) in [
            (json!({ "effect": "pure" }), Effect::Pure),
            (json!({ "effect": "converge" }), Effect::Converge),
            (json!({}), Effect::Once),
        ] {
            assert_eq!(spec.effect.for_inputs(&inputs), effect);
        }
    }

    #[tokio::test]
    async fn what_a_program_says_comes_out_and_is_logged() {
        let rig = Rig::new();
        let outcome = rig.run(&Run, &shell("echo out; echo err >&2; printf last")).await.unwrap();
        assert_eq!(outcome.outputs, json!({ "stdout": "out\nlast", "stderr": "err", "exit_code": 0 }));
        let mut log = rig.log();
        log.sort();
        assert_eq!(log, ["err", "last", "out"]);
        assert!(!outcome.same);
    }

    #[tokio::test]
    async fn json_becomes_a_value_and_the_input_is_all_the_programs_own() {
        let mut inputs = json!({ "program": { "command": "cat", "json": true }, "stdin": "{ \"a\": [1, null] }\n", "effect": "pure" });
        let outcome = Rig::new().run(&Run, &inputs).await.unwrap();
        assert_eq!(outcome.outputs["value"], json!({ "a": [1, null] }));
        assert!(outcome.same);
        inputs["stdin"] = json!("no json");
        assert_eq!(Rig::new().run(&Run, &inputs).await.unwrap_err().code, "X513");
        // A program that does not read its input is within its rights.
        let unread = json!({ "program": { "command": "true" }, "stdin": "x".repeat(1 << 20) });
        Rig::new().run(&Run, &unread).await.unwrap();
    }

    #[tokio::test]
    async fn the_environment_is_what_is_stated_and_nothing_else() {
        let room = room();
        let inputs = json!({ "program": { "command": "env" }, "env": { "MINE": "a b=c" }, "dir": room.path() });
        let outcome = Rig::new().run(&Run, &inputs).await.unwrap();
        let stdout = outcome.outputs["stdout"].as_str().unwrap();
        let names: Vec<&str> = stdout.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(
            stdout.contains("MINE=a b=c") && stdout.contains("ENGINE_RUN_ID=r1") && stdout.contains("ENGINE_STEP=step"),
            "{stdout}"
        );
        for name in &names {
            assert!(
                ["PATH", "HOME", "LANG", "MINE", "ENGINE_RUN_ID", "ENGINE_STEP", "_"].contains(name),
                "{name} was passed on"
            );
        }
        let outcome =
            Rig::new().run(&Run, &json!({ "program": { "command": "pwd" }, "dir": room.path() })).await.unwrap();
        assert_eq!(outcome.outputs["stdout"], json!(room.path().canonicalize().unwrap()));
    }

    #[tokio::test]
    async fn a_cluster_is_lent_for_as_long_as_the_program_runs() {
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        let handle = ClusterHandle::new("eu".into(), "uid".into(), client, Arc::new(|| Ok("of eu alone\n".to_owned())));
        let rig = Rig::of_step("lent").with_clusters(Clusters::new([handle])).on("eu");
        let left_behind = rig
            .answering(async |cx| {
                Lent::new(cx, cx.on().unwrap()).map(|lent| {
                    let path = lent.path().to_owned();
                    std::mem::forget(lent);
                    path
                })
            })
            .await
            .unwrap();
        let outcome = rig
            .run(&Run, &shell("echo $KUBECONFIG $ENGINE_CLUSTER; cat $KUBECONFIG; stat -c %a $KUBECONFIG"))
            .await
            .unwrap();
        let lines: Vec<&str> = outcome.outputs["stdout"].as_str().unwrap().lines().collect();
        assert_eq!(lines, [&format!("{} eu", left_behind.display()), "of eu alone", "600"]);
        assert!(!left_behind.exists());
    }

    #[tokio::test]
    async fn each_bad_end_has_its_own_code_and_repeats_the_last_words() {
        let mut expects = shell("echo why >&2; exit 3");
        let error = Rig::new().run(&Run, &expects).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.class, error.not_started), ("X511", ErrorClass::Permanent, false));
        assert!(error.message.contains("exit code 3") && error.causes == ["why"], "{error:?}");
        expects["expect-exit"] = json!(3);
        assert_eq!(Rig::new().run(&Run, &expects).await.unwrap().outputs["exit_code"], 3);
        let error = Rig::new().run(&Run, &shell("kill -9 $$")).await.unwrap_err();
        assert!(error.code == "X512" && error.message.contains("signal 9"), "{error:?}");
        let long = json!({ "program": { "command": "head", "args": ["-c", "1100000", "/dev/zero"], "json": true } });
        assert_eq!(Rig::new().run(&Run, &long).await.unwrap_err().code, "X514");
    }

    #[tokio::test]
    async fn what_cannot_be_started_has_not_begun() {
        let room = room();
        fs::write(room.path().join("no-program"), "#!/bin/sh\n").unwrap();
        for inputs in [
            json!({ "program": { "command": "no-such-program-anywhere" } }),
            json!({ "program": { "command": "./no-such" } }),
            json!({ "program": { "command": "./no-program" }, "dir": room.path() }),
            json!({ "program": { "command": "true" }, "dir": "/no/such/directory" }),
        ] {
            let rig = Rig::new();
            let error = rig.run(&Run, &inputs).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.not_started), ("X510", true), "{inputs}: {error:?}");
            assert!(rig.note(CHILD).is_none());
        }
    }

    #[tokio::test]
    async fn the_gate_stays_shut_until_the_process_is_written_down() {
        let room = room();
        let touched = room.path().join("touched");
        let rig = Rig::new().failing_at(1);
        let error = rig.run(&Run, &shell(&format!("touch {}", touched.display()))).await.unwrap_err();
        assert!(error.code == "E000" && error.not_started, "{error:?}");
        assert!(!touched.exists());
        assert!(matches!(rig.verify(&Run, &shell(""), None).await.unwrap(), Verdict::Gone(_)));
        rig.run(&Run, &shell(&format!("touch {}", touched.display()))).await.unwrap();
        assert!(touched.exists());
    }

    #[tokio::test]
    async fn a_stop_asks_the_whole_group_to_end_and_waits_for_it() {
        let room = room();
        let (child, asked) = (room.path().join("child"), room.path().join("asked"));
        // The inner shell takes notice of TERM; the outer one waits for it.
        let script = format!(
            "sh -c 'trap \"touch {}; exit 0\" TERM; echo $$ > {}; while :; do sleep 0.05; done' & wait",
            asked.display(),
            child.display()
        );
        let rig = Rig::new();
        let inputs = shell(&script);
        let stop = async {
            eventually("the child runs", || number_in(&child).is_some()).await;
            rig.cancel.cancel();
        };
        let (outcome, ()) = tokio::join!(rig.run(&Run, &inputs), stop);
        assert_eq!(outcome.unwrap_err().code, "X516");
        assert!(asked.exists(), "it was asked before it was made to");
        assert!(!runs(number_in(&child).unwrap()));
    }

    #[tokio::test]
    async fn who_does_not_listen_is_made_to_end_after_the_grace() {
        let room = room();
        let child = room.path().join("child");
        let rig = Rig::new();
        let inputs = shell(&format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.05; done", child.display()));
        let stop = async {
            eventually("the child runs", || number_in(&child).is_some()).await;
            rig.cancel.cancel();
        };
        let began = std::time::Instant::now();
        let (outcome, ()) = tokio::join!(rig.run(&Run, &inputs), stop);
        assert_eq!(outcome.unwrap_err().code, "X516");
        assert!(began.elapsed() >= GRACE && !runs(number_in(&child).unwrap()));
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_in_its_group_is_ended() {
        let room = room();
        let child = room.path().join("child");
        let rig = Rig::new();
        let outcome =
            rig.run(&Run, &shell(&format!("sleep 600 & echo $! > {}; echo done", child.display()))).await.unwrap();
        assert_eq!(outcome.outputs["stdout"], "done");
        assert!(!runs(number_in(&child).unwrap()));
        assert!(rig.log().iter().any(|line| line.contains("left 1 processes behind")), "{:?}", rig.log());
    }

    #[tokio::test]
    async fn an_abandoned_call_leaves_no_process() {
        let room = room();
        let child = room.path().join("child");
        let (rig, inputs) = (Rig::new(), shell(&format!("echo $$ > {}; exec sleep 600", child.display())));
        tokio::select! {
            ended = rig.run(&Run, &inputs) => panic!("{ended:?}"),
            () = eventually("the child runs", || number_in(&child).is_some()) => {}
        }
        let pid = number_in(&child).unwrap();
        eventually("it is gone", || !runs(pid)).await;
    }

    #[tokio::test]
    async fn a_later_attempt_ends_what_a_killed_engine_left_running() {
        let room = room();
        let child = room.path().join("child");
        // Stands in for an engine that was killed: a process group of its own that nobody watches, and its note.
        let mut orphan = std::process::Command::new("sleep");
        let mut orphan = std::os::unix::process::CommandExt::process_group(&mut orphan, 0).arg("600").spawn().unwrap();
        let group = Group::led_by(orphan.id()).unwrap();
        let rig = Rig::new().with_note(CHILD, serde_json::to_value(&group).unwrap());
        let verdict = rig.verify(&Run, &shell(""), None).await.unwrap();
        assert!(matches!(&verdict, Verdict::Unknown(why) if why.contains("still runs")), "{verdict:?}");
        rig.run(&Run, &shell(&format!("echo $$ > {}", child.display()))).await.unwrap();
        assert!(!runs(group.pid), "the first was ended before the second began");
        assert!(rig.log().iter().any(|line| line.contains("earlier attempt")), "{:?}", rig.log());
        orphan.wait().unwrap();
    }

    #[tokio::test]
    async fn an_outcome_that_the_engine_did_not_record_is_found() {
        let room = room();
        let count = room.path().join("count");
        let rig = Rig::new();
        let inputs = shell(&format!("echo once >> {}; echo 42", count.display()));
        let outcome = rig.run(&Run, &inputs).await.unwrap();
        match rig.verify(&Run, &inputs, None).await.unwrap() {
            Verdict::Done(found) => assert_eq!((found.outputs, found.summary), (outcome.outputs, outcome.summary)),
            other => panic!("{other:?}"),
        }
        // A second attempt that was killed: the first one's outcome is not taken for its own.
        let another = serde_json::to_value(Group::led_by(std::process::id()).unwrap()).unwrap();
        let rig = rig.with_note(CHILD, another);
        assert!(matches!(rig.verify(&Run, &inputs, None).await.unwrap(), Verdict::Unknown(_)));
        assert_eq!(fs::metadata(&count).unwrap().size(), 5, "it ran once");
    }
}
