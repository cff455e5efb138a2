//! `dns.records`: records of a zone, written through its name server.
//!
//! Read, compare, swap: the step reads what is there, and sends one update that the server applies only if that is still so. An
//! update whose answer was lost is not sent again blindly; the step reads again and finds it applied, or not.

use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::Message;
use hickory_proto::rr::TSigner;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::Hostname;
use steps_sdk::{ChangeAction, ErrorClass, Preview, Secret, StepError, UndoDefault, Verdict};
use time::OffsetDateTime;

use super::classify::Trouble;
use super::client::{Client, Sent};
use super::held::{self, Zone, mark, set_of};
use super::key;
use super::swap;
use super::wanted::{RecordInput, Wanted, plain};

/// How often others may come between reading and writing before the step gives up for now.
const SWAPS_MAX: u32 = 5;

/// For how long names may take to resolve when the file does not say `wait for=`.
const RESOLVE_MAX: Duration = Duration::from_secs(5 * 60);

const RESOLVE_EVERY: Duration = Duration::from_millis(500);

/// Kept back from a wait, to say what was seen last before the engine ends the call.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Writes records. The clock is a field because signatures carry the time.
pub struct Records {
    pub now: fn() -> OffsetDateTime,
}

impl Default for Records {
    fn default() -> Self {
        Records { now: OffsetDateTime::now_utc }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The zone and who serves it.
    zone: ZoneInput,
    /// A record; repeats. Several records of one name and type are one set.
    record: Vec<RecordInput>,
    /// What has to be so before the step is done.
    #[serde(default)]
    wait: Option<WaitInput>,
}

/// A zone.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["name"]))]
pub struct ZoneInput {
    /// The zone's name.
    name: Hostname,
    /// Its primary server: `ADDRESS` or `ADDRESS:PORT`, asked over TCP.
    server: String,
    /// The key that signs updates; the secret's text is `hmac-sha256:NAME:BASE64` or `NAME:BASE64`.
    key: Secret,
}

/// What is waited for after the records are written.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaitInput {
    /// The server, and each `resolver`, answers with exactly these records.
    #[serde(default)]
    resolves: bool,
    /// A resolver that must know the records too: `ADDRESS` or `ADDRESS:PORT`; repeats.
    #[serde(default)]
    resolver: Vec<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The zone's serial number after the records were written.
    serial: u32,
    /// The names that have records.
    names: Vec<String>,
}

#[async_trait]
impl Step for Records {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Writes records of a DNS zone, by signed dynamic update (RFC 2136).\n\n\
            Each name gets a record `_engine-owner.NAME` that says whose it is; a name that has records of somebody else is left alone \
            and reported. `undo delete` takes away what this step wrote and nothing else.";
        About { on: OnCluster::Refused, undo: UndoDefault::Delete, ..About::converging("dns.records", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let (wanted, zone) = look(cx, &inputs).await?;
        Ok(Preview::Changes(swap::changes(&wanted, &zone, &mark(&cx.call.owner))))
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let wanted = Wanted::of(&inputs.zone.name, &inputs.record)?;
        let mark = mark(&cx.call.owner);
        let mut client = Client::new(cx, &inputs.zone.server);
        let signer = key::signer(&cx.secrets.open(&inputs.zone.key).await?)?;
        let changed = self.swap(&mut client, &wanted, &signer, |zone| swap::towards(&wanted, zone, &mark)).await?;
        let serial = held::serial(&mut client, &wanted.zone).await?;
        if let Some(wait) = inputs.wait.filter(|wait| wait.resolves || !wait.resolver.is_empty()) {
            cx.clock.begin_wait(RESOLVE_MAX).await;
            for server in std::iter::once(&inputs.zone.server).chain(&wait.resolver) {
                resolves(cx, server, &wanted).await?;
            }
        }
        let names: Vec<String> = wanted.names.keys().map(plain).collect();
        let summary = format!("{} in zone {}", names.join(", "), inputs.zone.name);
        let outputs = Outputs { serial, names };
        Ok(if changed { Done::changed(outputs, format!("{summary} written")) } else { Done::same(outputs, summary) })
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, _recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let (wanted, zone) = look(cx, &inputs).await?;
        let changes = swap::changes(&wanted, &zone, &mark(&cx.call.owner));
        if changes.iter().all(|change| change.action == ChangeAction::Same && change.conflict.is_none()) {
            return Ok(Verdict::Intact);
        }
        if zone.values().all(|held| held.sets.is_empty() && held.marks.is_empty()) {
            return Ok(Verdict::Gone(format!("the zone {} has none of the records", inputs.zone.name)));
        }
        Ok(Verdict::Drifted(changes))
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, _recorded: Option<Outputs>) -> Result<String, StepError> {
        let wanted = Wanted::of(&inputs.zone.name, &inputs.record)?;
        let mark = mark(&cx.call.owner);
        let mut client = Client::new(cx, &inputs.zone.server);
        let signer = key::signer(&cx.secrets.open(&inputs.zone.key).await?)?;
        let changed = self.swap(&mut client, &wanted, &signer, |zone| swap::away(&wanted, zone, &mark)).await?;
        let names: Vec<String> = wanted.names.keys().map(plain).collect();
        Ok(match changed {
            true => format!("records of {} deleted", names.join(", ")),
            false => format!("the zone {} has no records of this step", inputs.zone.name),
        })
    }
}

impl Records {
    /// Reads, lets `next` say what is to be sent, sends it, and reads again, until nothing is left to send. Whether anything changed.
    async fn swap(
        &self,
        client: &mut Client<'_>,
        wanted: &Wanted,
        signer: &TSigner,
        next: impl Fn(&Zone) -> Result<Option<Message>, StepError>,
    ) -> Result<bool, StepError> {
        held::serial(client, &wanted.zone).await?;
        let mut changed = false;
        let mut unanswered = None;
        let mut refused: Option<Message> = None;
        for _ in 0..SWAPS_MAX {
            let zone = held::read(client, wanted).await?;
            let Some(update) = next(&zone)? else {
                return Ok(changed);
            };
            if refused
                .as_ref()
                .is_some_and(|refused| refused.answers == update.answers && refused.authorities == update.authorities)
            {
                return Err(Trouble::Hidden { server: client.server.clone() }.into());
            }
            match client.update(update.clone(), signer, (self.now)()).await? {
                Sent::Applied => changed = true,
                Sent::PrerequisiteFailed => refused = Some(update),
                // If the next reading finds it applied, it was ours.
                Sent::Unknown(error) => {
                    changed = true;
                    unanswered = Some(error);
                }
            }
        }
        Err(unanswered.unwrap_or_else(|| Trouble::Contended { server: client.server.clone() }.into()))
    }
}

async fn look(cx: &StepContext, inputs: &Inputs) -> Result<(Wanted, Zone), StepError> {
    let wanted = Wanted::of(&inputs.zone.name, &inputs.record)?;
    let mut client = Client::new(cx, &inputs.zone.server);
    held::serial(&mut client, &wanted.zone).await?;
    let zone = held::read(&mut client, &wanted).await?;
    Ok((wanted, zone))
}

/// Asks until the server answers with exactly the wanted records, or time is up.
async fn resolves(cx: &StepContext, server: &str, wanted: &Wanted) -> Result<(), StepError> {
    let mut client = Client::new(cx, server);
    loop {
        let seen = match missing(&mut client, wanted).await {
            Ok(None) => return Ok(()),
            Ok(Some(seen)) => seen,
            Err(error) if error.class == ErrorClass::Transient && !cx.cancel.is_cancelled() => error.message,
            Err(error) => return Err(error),
        };
        cx.progress.waiting(seen.clone());
        if cx.clock.remaining() < RESOLVE_EVERY + LAST_WORDS {
            return Err(Trouble::Unresolved { seen }.into());
        }
        cx.clock.sleep(RESOLVE_EVERY, &cx.cancel).await?;
    }
}

/// The first set that the server does not answer with; `None` when it knows all.
async fn missing(client: &mut Client<'_>, wanted: &Wanted) -> Result<Option<String>, StepError> {
    for (name, sets) in &wanted.names {
        for (of_type, set) in sets {
            let found = set_of(client.set(name, *of_type).await?);
            if !found.as_ref().is_some_and(|found| found.has_values_of(set)) {
                let answer = found.map_or_else(|| "nothing".to_owned(), |found| found.text());
                return Ok(Some(format!("{} answers {of_type} {} with {answer}", client.server, plain(name))));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::faulty::Faulty;
    use crate::testing::{
        Failing, Rig, World, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice,
    };
    use hickory_proto::rr::RecordType;
    use sandbox::dns::{Zone as Served, ZoneSettings};
    use serde_json::{Value, json};
    use steps_sdk::{ChangeAction, Outcome};

    /// A real name server, and before it a line that can break.
    struct Outside {
        zone: Served,
        line: Faulty,
    }

    impl Failing for Outside {
        const WAYS: usize = Faulty::WAYS;

        fn fail(&self, number: usize, way: usize) {
            self.line.fail(number, way);
        }

        fn calls(&self) -> usize {
            self.line.calls()
        }
    }

    fn key() -> Secret {
        Secret::Env { name: "DNS_KEY".to_owned() }
    }

    async fn world(records: Value) -> World<Outside> {
        let zone = Served::serve(ZoneSettings::new("demo.test")).await.unwrap();
        let line = Faulty::before(zone.address()).await;
        let rig = Rig::new().with_secret(key(), zone.key().as_bytes());
        let inputs = json!({ "zone": { "name": "demo.test", "server": line.address().to_string(), "key": key() }, "record": records });
        World { rig, inputs, outside: Outside { zone, line } }
    }

    fn two() -> Value {
        json!([
            { "type": "auto", "name": "api.demo.test", "value": "127.0.0.1", "ttl": 60 },
            { "type": "auto", "name": "root.demo.test", "value": "lb.cloud.example", "ttl": 60 },
        ])
    }

    /// Records beside the zone's own, without their TTL and class.
    async fn held(world: &World<Outside>) -> Vec<String> {
        let lines = world.outside.zone.records().await;
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut held: Vec<String> = lines
            .iter()
            .map(|line| words(line))
            .filter(|words| words[0] != "demo.test." && words[0] != "ns.demo.test.")
            .map(|words| format!("{} {} {}", words[0], words[3], words[4..].join(" ")))
            .collect();
        held.sort();
        held
    }

    const TWO: [&str; 4] = [
        "_engine-owner.api.demo.test. TXT engine/test/step",
        "_engine-owner.root.demo.test. TXT engine/test/step",
        "api.demo.test. A 127.0.0.1",
        "root.demo.test. CNAME lb.cloud.example.",
    ];

    #[tokio::test]
    async fn records_and_their_owner_are_written_once() {
        let world = world(two()).await;
        let outcome = runs_twice(&Records::default(), &world).await;
        assert_eq!(held(&world).await, TWO);
        assert_eq!(outcome.outputs, json!({ "serial": 2, "names": ["api.demo.test", "root.demo.test"] }));
        assert_eq!(
            world.rig.verify(&Records::default(), &world.inputs, Some(&outcome.outputs)).await.unwrap(),
            Verdict::Intact
        );
    }

    #[tokio::test]
    async fn a_changed_value_type_or_ttl_is_swapped() {
        let mut world = world(two()).await;
        world.rig.run(&Records::default(), &world.inputs).await.unwrap();
        for (value, ttl, expected) in [
            ("127.0.0.2", 60, "A 127.0.0.2"),
            ("lb.cloud.example", 60, "CNAME lb.cloud.example."),
            ("::1", 60, "AAAA ::1"),
            ("::1", 5, "AAAA ::1"),
        ] {
            world.inputs["record"] = json!([{ "type": "auto", "name": "api.demo.test", "value": value, "ttl": ttl }]);
            let changes = match world.rig.preview(&Records::default(), &world.inputs).await.unwrap() {
                Preview::Changes(changes) => changes,
                later => panic!("{later:?}"),
            };
            assert!(changes.iter().any(|change| change.action != ChangeAction::Same), "{value}: {changes:?}");
            assert!(!world.rig.run(&Records::default(), &world.inputs).await.unwrap().same, "{value} {ttl}");
            let api: Vec<String> = held(&world).await.into_iter().filter(|line| line.starts_with("api.")).collect();
            assert_eq!(api, [format!("api.demo.test. {expected}")]);
            assert!(world.rig.run(&Records::default(), &world.inputs).await.unwrap().same, "{value} {ttl}");
        }
    }

    #[tokio::test]
    async fn a_name_of_somebody_else_is_refused_and_left_alone() {
        let world = world(two()).await;
        let other = world.rig.beside("other");
        let theirs = json!([{ "type": "A", "name": "api.demo.test", "value": "127.0.0.9" }]);
        let mut inputs = world.inputs.clone();
        inputs["record"] = theirs;
        other.run(&Records::default(), &inputs).await.unwrap();
        let before = held(&world).await;
        let error = world.rig.run(&Records::default(), &world.inputs).await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.class, error.not_started),
            ("D308", ErrorClass::NeedsPerson, true),
            "{error:?}"
        );
        assert!(
            error.causes[0].contains("engine/test/other")
                && error.help.as_ref().unwrap().contains("_engine-owner.api.demo.test"),
            "{error:?}"
        );
        assert_eq!(held(&world).await, before, "nothing was written, not even the name that was free");
        let preview = world.rig.preview(&Records::default(), &world.inputs).await.unwrap();
        assert!(matches!(&preview, Preview::Changes(changes) if changes[0].conflict.is_some()), "{preview:?}");
    }

    /// Writes a record past the step: unsigned by any owner.
    async fn plant(world: &World<Outside>, name: &str, of_type: RecordType, value: &str) {
        let input = json!([{ "type": of_type.to_string(), "name": name, "value": value }]);
        let records: Vec<RecordInput> = serde_json::from_value(input).unwrap();
        let wanted = Wanted::of(&"demo.test".parse().unwrap(), &records).unwrap();
        let zone = wanted.names.keys().map(|name| (name.clone(), held::Held::default())).collect();
        let mut update = swap::towards(&wanted, &zone, "nobody").unwrap().unwrap();
        update.answers.clear();
        update.authorities.retain(|record| !record.name.to_string().starts_with("_engine-owner"));
        let sent = world
            .rig
            .answering(async |cx| {
                let signer = key::signer(&cx.secrets.open(&key()).await.unwrap()).unwrap();
                Client::new(cx, &world.outside.line.address().to_string())
                    .update(update, &signer, OffsetDateTime::now_utc())
                    .await
            })
            .await;
        assert!(matches!(sent, Ok(Sent::Applied)), "{sent:?}");
    }

    #[tokio::test]
    async fn a_record_without_an_owner_is_somebody_elses() {
        let world = world(two()).await;
        plant(&world, "api.demo.test", RecordType::A, "127.0.0.1").await;
        let error = world.rig.run(&Records::default(), &world.inputs).await.unwrap_err();
        assert_eq!(error.code, "D308", "even a record with the wanted value: {error:?}");
        // A text record is no obstacle for an address, but one for an alias; the step reads neither, the server tells.
        let world = world_with_text("root.demo.test").await;
        let error = world.rig.run(&Records::default(), &world.inputs).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.class), ("D308", ErrorClass::NeedsPerson), "{error:?}");
        let world = world_with_text("api.demo.test").await;
        world.rig.run(&Records::default(), &world.inputs).await.unwrap();
        assert!(held(&world).await.contains(&"api.demo.test. TXT theirs".to_owned()));
    }

    async fn world_with_text(name: &str) -> World<Outside> {
        let world = world(two()).await;
        plant(&world, name, RecordType::TXT, "theirs").await;
        world
    }

    #[tokio::test]
    async fn a_wildcard_does_not_stand_in_the_way() {
        let world = world(two()).await;
        plant(&world, "*.demo.test", RecordType::A, "127.0.0.9").await;
        runs_twice(&Records::default(), &world).await;
        assert!(held(&world).await.contains(&"api.demo.test. A 127.0.0.1".to_owned()));
    }

    async fn as_after_one_run(world: &World<Outside>, outcome: &Outcome) {
        assert_eq!(held(world).await, TWO);
        assert_eq!(outcome.outputs["serial"], 2, "applied once");
    }

    #[tokio::test]
    async fn killed_anywhere_the_records_are_written_once() {
        survives_kills(&Records::default(), async || world(two()).await, as_after_one_run).await;
        survives_refusals(&Records::default(), async || world(two()).await, as_after_one_run).await;
    }

    #[tokio::test]
    async fn a_line_that_breaks_before_or_after_any_question_loses_nothing_and_repeats_nothing() {
        survives_failures(&Records::default(), async || world(two()).await, as_after_one_run).await;
    }

    #[tokio::test]
    async fn an_update_whose_answer_was_lost_is_found_and_counts_as_ours() {
        let world = world(two()).await;
        // Counted once without a fault: the questions before the update.
        let questions = {
            let probe = world_of_same_size().await;
            probe.rig.preview(&Records::default(), &probe.inputs).await.unwrap();
            probe.outside.calls()
        };
        world.outside.fail(questions + 1, Faulty::ANSWER_LOST);
        let outcome = world.rig.run(&Records::default(), &world.inputs).await.unwrap();
        assert!(!outcome.same);
        as_after_one_run(&world, &outcome).await;
    }

    async fn world_of_same_size() -> World<Outside> {
        world(two()).await
    }

    #[tokio::test]
    async fn undo_takes_away_its_own_records_and_nothing_else() {
        let world = world(two()).await;
        let outcome = world.rig.run(&Records::default(), &world.inputs).await.unwrap();
        plant(&world, "api.demo.test", RecordType::TXT, "theirs").await;
        plant(&world, "other.demo.test", RecordType::A, "127.0.0.9").await;
        world.rig.undo(&Records::default(), &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert_eq!(held(&world).await, ["api.demo.test. TXT theirs", "other.demo.test. A 127.0.0.9"]);
        let gone = world.rig.verify(&Records::default(), &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert!(matches!(gone, Verdict::Gone(_)), "{gone:?}");
        let (first, second) = undone_twice(&Records::default(), &world).await;
        assert!(first.contains("deleted") && second.contains("no records"), "{first} / {second}");
    }

    #[tokio::test]
    async fn it_waits_until_a_resolver_knows_the_names() {
        let mut world = world(two()).await;
        // A resolver that serves the same zone, but has not heard of the records yet.
        let late = Served::serve(ZoneSettings {
            key: Some(world.outside.zone.key().to_owned()),
            ..ZoneSettings::new("demo.test")
        })
        .await
        .unwrap();
        world.inputs["wait"] = json!({ "resolves": true, "resolver": [late.address().to_string()] });
        let mut there = world.inputs.clone();
        there["zone"]["server"] = json!(late.address().to_string());
        there["wait"] = json!(null);
        let beside = Rig::new().with_secret(key(), world.outside.zone.key().as_bytes());
        let waiting = async {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
            while !world.rig.waits().iter().any(|reason| reason.contains("api.demo.test with nothing")) {
                assert!(tokio::time::Instant::now() < deadline, "no reason was shown: {:?}", world.rig.waits());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            beside.run(&Records::default(), &there).await.unwrap();
        };
        let step = Records::default();
        let (outcome, ()) = tokio::join!(world.rig.run(&step, &world.inputs), waiting);
        assert!(!outcome.unwrap().same);
    }

    #[tokio::test]
    async fn each_refusal_says_what_to_do() {
        let good = world(two()).await;
        let with = |change: fn(&mut Value)| {
            let mut inputs = good.inputs.clone();
            change(&mut inputs);
            inputs
        };
        let other_key = good.outside.zone.key().replace("sandbox-key", "other-key");
        let other_secret = "hmac-sha256:sandbox-key:bm90IHRoZSBrZXk=".to_owned();
        for (rig, inputs, code, class) in [
            (Rig::new().with_secret(key(), other_key.as_bytes()), good.inputs.clone(), "D305", ErrorClass::NeedsPerson),
            (
                Rig::new().with_secret(key(), other_secret.as_bytes()),
                good.inputs.clone(),
                "D305",
                ErrorClass::NeedsPerson,
            ),
            (Rig::new().with_secret(key(), b"nonsense"), good.inputs.clone(), "D304", ErrorClass::Permanent),
            (
                good.rig.beside("step"),
                with(|inputs| inputs["zone"]["name"] = json!("test")),
                "D306",
                ErrorClass::Permanent,
            ),
            (
                good.rig.beside("step"),
                with(|inputs| inputs["zone"]["server"] = json!("127.0.0.1:1")),
                "D302",
                ErrorClass::Transient,
            ),
        ] {
            let error = rig.run(&Records::default(), &inputs).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.class), (code, class), "{error:?}");
            assert!(error.help.is_some() && !format!("{error:?}").contains("bm90IHRoZSBrZXk"), "{error:?}");
        }
        let early = Records { now: || OffsetDateTime::now_utc() - time::Duration::hours(1) };
        let error = good.rig.run(&early, &good.inputs).await.unwrap_err();
        assert!(error.code == "D305" && error.message.contains("clock"), "{error:?}");
        assert!(held(&good).await.is_empty());
    }
}
