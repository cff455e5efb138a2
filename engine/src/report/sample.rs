//! A run for the tests of this module: one plan over two clusters, and its events at times that can be read.

use std::io;
use std::sync::{Arc, Mutex};

use engine_core::diagnostic::{Place, Source, SourceId};
use engine_core::id::{Digest, Epoch, RunId, Sequence, StepId, Timestamp};
use engine_core::plan::*;
use engine_core::run::{Event, Outputs, Recorded, RunOutcome};
use serde_json::json;
use steps_sdk::grant::{DnsGrant, Grants, GuestLimits, HttpGrant, Inject, KubernetesGrant, KubernetesVerb};
use steps_sdk::outcome::FieldChange;
use steps_sdk::spec::TimeLimit;
use steps_sdk::value::ClusterName;
use steps_sdk::{Certainty, Change, ChangeAction, Effect, EffectOf, Preview, Secret, StepError};

use super::custom::Custom;
use super::setting::{Identity, Pin, Setting};
use super::{Ending, Look, Notice, Out, RunView, Suggest};

/// 2026-11-24T14:02:11Z.
pub const START: u64 = 1_795_528_931_000;

const FILE: &str = "\
workflow zheng
step ns uses=k8s.apply on=hub { object apiVersion=v1 kind=Namespace { metadata name=zheng } }
step etcd uses=k8s.wait on=hub {
    object \"Etcd/etcd-root\"
    wait for=\"5m\"
}
step names uses=value.set { api \"api.zheng.example.io\" }
";

/// Milliseconds after the start.
pub fn at(ms: u64) -> Timestamp {
    Timestamp(START + ms)
}

pub fn id(step: &str) -> StepId {
    StepId::new(step)
}

fn planned(id: &str, kind: &str, on: Option<&str>, needs: &[&str], at: usize) -> PlannedStep {
    let line = FILE.lines().nth(at).unwrap();
    let start = line.as_ptr() as usize - FILE.as_ptr() as usize;
    PlannedStep {
        id: StepId::new(id),
        kind: kind.parse().unwrap(),
        doc: String::new(),
        on: on.map(|name| ClusterName(name.into())),
        clusters: on.iter().map(|name| ClusterName((*name).into())).collect(),
        inputs: Input::Known(json!({})),
        needs: needs.iter().map(|need| Need { step: StepId::new(*need), rule: NeedRule::Success }).collect(),
        when: None,
        effect: EffectOf::Fixed(if kind == "value.set" { Effect::Pure } else { Effect::Converge }),
        retry: RetryPolicy { attempts: 2, ..RetryPolicy::default() },
        time_limit: TimeLimit::Action { timeout_ms: 300_000 },
        wait_for_ms: None,
        under: Vec::new(),
        group: None,
        owner: format!("engine/zheng/{id}"),
        at: Place::new(SourceId(0), start, start + line.len()),
    }
}

pub fn plan() -> Plan {
    let mut plan = empty_plan();
    plan.steps = vec![
        planned("names", "value.set", None, &[], 6),
        planned("ns", "k8s.apply", Some("hub"), &["names"], 1),
        planned("etcd", "k8s.wait", Some("hub"), &["ns"], 2),
        planned("region[alpha].ns", "k8s.apply", Some("alpha"), &["names"], 1),
        planned("region[alpha].deploy", "k8s.apply", Some("alpha"), &["region[alpha].ns", "etcd"], 1),
        planned("dns", "dns.records", None, &["etcd"], 6),
    ];
    plan.steps[5].clusters = vec![ClusterName("hub".into()), ClusterName("alpha".into())];
    plan
}

/// A plan of `steps` steps on `clusters` clusters, for views that must stay in bounds.
pub fn wide_plan(steps: usize, clusters: usize) -> Plan {
    let mut plan = empty_plan();
    let name = |n: usize| format!("cluster-世界-{n}");
    plan.clusters =
        (0..clusters).map(|n| PlannedCluster { name: ClusterName(name(n)), ..plan.clusters[0].clone() }).collect();
    plan.steps = (0..steps)
        .map(|n| {
            let on = (n % (clusters + 1)).checked_sub(1).map(name);
            planned(&format!("step_{n}[key-{n}].deploy"), "k8s.apply", on.as_deref(), &[], 1)
        })
        .collect();
    plan
}

fn empty_plan() -> Plan {
    let cluster = |name: &str| PlannedCluster {
        name: ClusterName(name.into()),
        kubeconfig: KubeconfigSource { context: Some(format!("kind-{name}")), ..KubeconfigSource::default() },
        from: None,
        workspace: None,
        identity: None,
        at: Place::new(SourceId(0), 0, 0),
    };
    Plan {
        format: PLAN_FORMAT,
        workflow: "zheng".into(),
        lock: "zheng".into(),
        digest: Digest::of_bytes(b"zheng"),
        steps: Vec::new(),
        groups: Vec::new(),
        clusters: vec![cluster("hub"), cluster("alpha")],
        components: Vec::new(),
        outputs: Vec::new(),
        limits: RunLimits { parallel: 12, per_cluster: 4 },
        kinds: Default::default(),
        inputs: [("domain".to_owned(), json!("zheng.example.io"))].into(),
    }
}

/// A component with one grant of each sort.
pub fn cdn() -> Custom {
    Custom {
        name: "cdn".into(),
        source: "./steps/cdn.wasm".into(),
        digest: Digest::of_bytes(b"cdn"),
        grants: Grants {
            http: vec![HttpGrant {
                origin: "https://api.cdn.example".into(),
                methods: vec!["GET".into(), "PUT".into()],
                paths: vec!["/v1/zones/*".into()],
                private: false,
                inject: Some(Inject {
                    secret: Secret::Env { name: "CDN_TOKEN".into() },
                    header: "authorization".into(),
                    format: "Bearer {}".into(),
                }),
            }],
            kubernetes: vec![KubernetesGrant {
                cluster: ClusterName("hub".into()),
                namespace: Some("kcp-zheng".into()),
                verbs: vec![KubernetesVerb::Get, KubernetesVerb::List],
                kinds: vec!["Service".into()],
                names: Vec::new(),
            }],
            dns: vec![DnsGrant { domain: "zheng.example.io".into() }],
        },
        limits: GuestLimits { wall_ms: 30_000, ..GuestLimits::default() },
    }
}

/// [`plan`] with a component.
pub fn plan_with_cdn() -> Plan {
    let Custom { name, source, digest, grants, limits } = cdn();
    let mut plan = plan();
    plan.components =
        vec![PlannedComponent { name, source, digest, grants, limits, at: Place::new(SourceId(0), 0, 0) }];
    plan
}

pub fn run() -> RunId {
    "zheng-7f3a".parse().unwrap()
}

pub fn view() -> RunView {
    RunView::new(run(), &plan())
}

pub fn setting(look: Look) -> Setting {
    let identity = |name: &str, pin| Identity {
        cluster: ClusterName(name.into()),
        context: format!("kind-{name}"),
        uid: format!("6f1c0c52-0000-4000-8000-{:0>12}", name.len()),
        pin,
    };
    Setting {
        look,
        sources: vec![Source { name: "zheng.kdl".into(), text: FILE.into() }],
        suggest: Suggest::default(),
        identities: vec![identity("hub", Pin::File), identity("alpha", Pin::FirstUse)],
    }
}

/// Gives each event the next number of the journal.
#[derive(Default)]
pub struct Tape {
    sequence: u64,
}

impl Tape {
    pub fn record(&mut self, ms: u64, event: Event) -> Notice {
        self.sequence += 1;
        Notice::Recorded(Recorded {
            sequence: Sequence(self.sequence),
            epoch: Epoch(1),
            time: at(ms),
            run: run(),
            event,
        })
    }
}

pub fn run_started() -> Event {
    Event::RunStarted {
        workflow: "zheng".into(),
        plan: plan().digest,
        steps: 6,
        by: "mia@laptop".into(),
        binary: "0.1.0".into(),
        granted: Vec::new(),
    }
}

pub fn started(step: &str, attempt: u32) -> Event {
    Event::StepStarted { step: id(step), attempt, inputs: Digest::of_bytes(b"") }
}

pub fn succeeded(step: &str, summary: &str, same: bool) -> Event {
    let outputs = Outputs::Inline(json!({ "token": "this must not be shown" }));
    Event::StepSucceeded { step: id(step), outputs, summary: summary.into(), same }
}

pub fn failed(step: &str, error: StepError, retry_at: Option<Timestamp>) -> Event {
    Event::StepFailed { step: id(step), error, retry_at }
}

pub fn etcd_error() -> StepError {
    StepError::transient("K204", "Etcd/etcd-root did not become ready on cluster `hub` within 5m: Ready=False, 1 of 3 members")
        .cause("Etcd/etcd-root Ready=False: NotEnoughMembers (1 of 3)")
        .cause("StatefulSet/etcd-root 1/3 ready")
        .cause("Pod/etcd-root-1 Pending: 0/4 nodes available: 4 Insufficient memory, 31 times in 4m12s, and that has not changed since it was first seen")
        .help("free memory on `hub`, or lower the request of the members")
}

pub fn waiting(step: &str, ms: u64, reason: &str) -> Notice {
    Notice::StepWaiting { step: id(step), reason: reason.into(), since: at(ms) }
}

/// A run up to the failure of a wait, with another failure after it and a parked step.
pub fn failing() -> Vec<Notice> {
    let mut tape = Tape::default();
    vec![
        tape.record(0, run_started()),
        tape.record(10, started("names", 1)),
        tape.record(12, succeeded("names", "1 value", false)),
        tape.record(20, started("ns", 1)),
        tape.record(20, started("region[alpha].ns", 1)),
        tape.record(420, succeeded("ns", "Namespace/zheng created", false)),
        tape.record(430, started("etcd", 1)),
        tape.record(1_600, succeeded("region[alpha].ns", "Namespace/zheng, as wanted", true)),
        waiting("etcd", 2_430, "Etcd/etcd-root Ready=False: 1 of 3 members"),
        tape.record(
            60_430,
            failed("etcd", StepError::transient("K201", "the API server of `hub` went away"), Some(at(62_430))),
        ),
        tape.record(62_430, started("etcd", 2)),
        waiting("etcd", 63_000, "Etcd/etcd-root Ready=False: 2 of 3 members"),
        tape.record(300_430, failed("etcd", etcd_error(), None)),
        tape.record(300_500, Event::RunFinished { outcome: RunOutcome::Failed }),
    ]
}

pub fn succeeding() -> Vec<Notice> {
    let mut tape = Tape::default();
    let mut notices = vec![tape.record(0, run_started())];
    let ends =
        [("names", true), ("ns", true), ("etcd", false), ("region[alpha].ns", false), ("region[alpha].deploy", false)];
    for (n, (step, same)) in ends.into_iter().enumerate() {
        notices.push(tape.record(n as u64 * 1_000, started(step, 1)));
        notices.push(tape.record(n as u64 * 1_000 + 900, succeeded(step, "as wanted", same)));
    }
    notices.push(tape.record(6_000, Event::StepSkipped { step: id("dns"), because: "`inputs.dns` is false".into() }));
    notices.push(tape.record(372_000, Event::RunFinished { outcome: RunOutcome::Succeeded }));
    notices
}

pub fn after(notices: &[Notice]) -> RunView {
    let mut view = view();
    for notice in notices {
        view.apply(notice);
    }
    view
}

pub fn ending(ms: u64) -> Ending {
    Ending { at: at(ms), outputs: Vec::new(), stopped: None }
}

/// One step for each sort of expectation.
pub fn forecast() -> Forecast {
    let change = |object: &str, action, certainty| Change {
        object: object.into(),
        action,
        certainty,
        fields: Vec::new(),
        conflict: None,
        waits_for: None,
    };
    let changes = |changes| Expectation::Previewed(Preview::Changes(changes));
    let mut front_proxy = change("FrontProxy/front-proxy", ChangeAction::Update, Certainty::Server);
    front_proxy.fields = vec![FieldChange {
        path: "spec.external.hostname".into(),
        before: Some(json!("api.zheng.example.com")),
        after: Some(json!("api.zheng.example.io")),
    }];
    let mut owned = change("Namespace/zheng", ChangeAction::Create, Certainty::Schema);
    owned.conflict = Some("field metadata.labels.team belongs to `argocd-controller`".into());
    let mut later = change("Etcd/etcd-root", ChangeAction::Unknown, Certainty::Later);
    later.waits_for = Some("Namespace/zheng".into());
    let expected = [
        (changes(Vec::new()), vec![]),
        (changes(vec![front_proxy, change("Namespace/zheng", ChangeAction::Same, Certainty::Server)]), vec![]),
        (changes(vec![later]), vec!["ns"]),
        (changes(vec![owned]), vec![]),
        (Expectation::Later, vec!["etcd"]),
        (
            Expectation::Failed(
                StepError::permanent("D104", "the server refused the key")
                    .cause("TSIG error: bad key")
                    .help("check the secret `dns_key`"),
            ),
            vec![],
        ),
    ];
    let steps = expected
        .into_iter()
        .map(|(expected, waits_for)| StepForecast { expected, waits_for: waits_for.into_iter().map(id).collect() })
        .collect();
    Forecast { plan: plan(), steps }
}

/// A writer whose text can be read while something else owns it.
#[derive(Clone, Default)]
pub struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub fn out(&self) -> Out {
        Box::new(self.clone())
    }

    /// What was written since the last look.
    pub fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text has no line wider than a screen of 80 columns, commands and outputs aside.
pub fn assert_fits(text: &str) {
    for line in text.lines().filter(|line| !line.contains("engine ")) {
        assert!(super::words::width(line) <= 80, "{line:?}");
    }
}
