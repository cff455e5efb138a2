//! Custom steps over real control planes and a real DNS server: what a file grants and what it does not, previews that change nothing,
//! and the tests that every built-in step passes. `steps/custom/release` is there when it was built; guests of the test kit are always.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

#[path = "guests/cluster.rs"]
mod cluster;
mod guests;
#[allow(dead_code, reason = "its other functions serve the other tests of the lab")]
mod objects;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::{Wire, clusters};
use engine::wasm::testing::Do;
use engine_tests::lab::Lab;
use engine_tests::lab::shared::shared;
use guests::{bound, bound_over, built, call, careful, done, transient};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::DeleteParams;
use objects::{client, create};
use serde_json::{Value, json};
use steps_sdk::Outcome;
use steps_sdk::grant::{DnsGrant, Grants, KubernetesGrant, KubernetesVerb};
use steps_sdk::native::StepHandler;
use steps_sdk::testing::{Rig, World, runs_twice, survives_failures, survives_kills, survives_stops, undone_twice};
use steps_sdk::value::ClusterName;

const EU: &str = "region-a";
const US: &str = "region-b";

fn lab() -> Option<&'static Lab> {
    shared(Path::new(env!("CARGO_BIN_EXE_lab")))
}

async fn namespace(lab: &Lab, name: &str) -> Api<ConfigMap> {
    let client = client(lab, EU).await;
    create::<Namespace>(Api::all(client.clone()), json!({ "metadata": { "name": name } })).await;
    Api::namespaced(client, name)
}

/// What `release.record` asks for, on one cluster and in one namespace.
fn grants(namespace: &str, verbs: &[KubernetesVerb], names: &[&str]) -> Grants {
    let grant = KubernetesGrant {
        cluster: ClusterName(EU.to_owned()),
        namespace: Some(namespace.to_owned()),
        verbs: verbs.to_vec(),
        kinds: vec!["ConfigMap".to_owned()],
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    Grants { kubernetes: vec![grant], ..Grants::default() }
}

const WRITING: [KubernetesVerb; 3] = [KubernetesVerb::Get, KubernetesVerb::Apply, KubernetesVerb::Delete];

fn record(component: &[u8], namespace: &str) -> std::sync::Arc<dyn StepHandler> {
    bound(component, grants(namespace, &WRITING, &[]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_writes_objects_passes_the_tests_of_every_step() {
    let (Some(lab), Some(component)) = (lab(), built("release")) else { return };
    let maps = namespace(lab, "equal").await;
    let step = record(&component, "equal");
    // Each world has an app of its own.
    let worlds = AtomicUsize::new(0);
    let make = async || {
        let wire = Wire::default();
        let app = format!("app-{}", worlds.fetch_add(1, Ordering::SeqCst));
        World {
            rig: Rig::new().with_clusters(clusters(lab, &[EU], &wire).await).on(EU),
            inputs: json!({ "app": app, "version": "1.4.0", "namespace": "equal" }),
            outside: wire,
        }
    };
    let check = async |_: &World<Wire>, outcome: &Outcome| {
        let name = outcome.outputs["object"].as_str().unwrap().trim_start_matches("ConfigMap/").to_owned();
        let map = maps.get(&name).await.unwrap();
        assert_eq!(map.data.unwrap()["version"], "1.4.0");
        let managers: Vec<String> =
            map.metadata.managed_fields.unwrap().into_iter().filter_map(|m| m.manager).collect();
        assert_eq!(managers, ["engine/test/step"], "the fields are the step's");
    };
    let world = make().await;
    let outcome = runs_twice(&*step, &world).await;
    check(&world, &outcome).await;
    survives_kills(&*step, &make, check).await;
    survives_stops(&*step, &make, check).await;
    survives_failures(&*step, &make, check).await;
    let world = make().await;
    let (first, second) = undone_twice(&*step, &world).await;
    assert!(first.ends_with("deleted") && second.ends_with("was gone already"), "{first}; {second}");
}

/// The same for a guest that was written by hand, which is there without any compiler for guests.
#[tokio::test(flavor = "multi_thread")]
async fn a_hand_written_guest_that_applies_an_object() {
    let Some(lab) = lab() else { return };
    let maps = namespace(lab, "by-hand").await;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "marker", "namespace": "by-hand" }, "data": { "a": "1" },
    });
    let doing = [
        call("kubernetes", "get", vec![target(EU, "ConfigMap", "by-hand", "marker")]),
        Do::AnswerIf { path: vec!["ok"], is: None, answer: done("there", true) },
        Do::AnswerIf { path: vec!["err", "unavailable"], is: None, answer: transient() },
        call("kubernetes", "apply", vec![json!(EU), json!(object.to_string()), json!(false)]),
        Do::AnswerIf { path: vec!["ok", "done"], is: None, answer: done("made", false) },
    ];
    let step = bound(&careful().on("run", doing).pack(), grants("by-hand", &WRITING, &["marker"]));
    let make = async || {
        if maps.get_opt("marker").await.unwrap().is_some() {
            maps.delete("marker", &DeleteParams::default()).await.unwrap();
        }
        let wire = Wire::default();
        World {
            rig: Rig::new().with_clusters(clusters(lab, &[EU], &wire).await).on(EU),
            inputs: json!({}),
            outside: wire,
        }
    };
    let check = async |_: &World<Wire>, _: &Outcome| drop(maps.get("marker").await.unwrap());
    runs_twice(&*step, &make().await).await;
    survives_kills(&*step, make, check).await;
    survives_failures(&*step, make, check).await;
}

fn target(cluster: &str, kind: &str, namespace: &str, name: &str) -> Value {
    let api_version = if kind == "Deployment" { "apps/v1" } else { "v1" };
    json!({ "cluster": cluster, "api-version": api_version, "kind": kind, "namespace": namespace, "name": name })
}

fn applied(cluster: &str, kind: &str, namespace: &str, name: &str) -> Do {
    let object = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "namespace": namespace } });
    let args = vec![json!(cluster), json!(object.to_string()), json!(false)];
    Do::Call {
        interface: "kubernetes",
        function: "apply",
        args,
        keep: vec![vec!["err", "not-granted"], vec!["ok", "done"]],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_refused_in_the_words_of_the_grant_and_reaches_no_server() {
    let Some(lab) = lab() else { return };
    let maps = namespace(lab, "fence").await;
    let delete = Do::Call {
        interface: "kubernetes",
        function: "delete",
        args: vec![target(EU, "ConfigMap", "fence", "marker"), Value::Null],
        keep: vec![vec!["err", "not-granted"], vec!["ok", "done"]],
    };
    let attacks = [
        (
            "another kind",
            applied(EU, "Secret", "fence", "marker"),
            "apply Secret/marker in fence on cluster `region-a`",
        ),
        ("another namespace", applied(EU, "ConfigMap", "default", "marker"), "apply ConfigMap/marker in default"),
        ("another name", applied(EU, "ConfigMap", "fence", "other"), "apply ConfigMap/other in fence"),
        ("another cluster", applied(US, "ConfigMap", "fence", "marker"), "on cluster `region-b`"),
        ("another verb", delete, "delete ConfigMap/marker in fence"),
    ];
    let doing = Do::ByAttempt(attacks.iter().map(|(_, attack, _)| vec![attack.clone()]).collect());
    let guest = engine::wasm::testing::Guest::new().on("run", [doing]).pack();
    let step = bound(&guest, grants("fence", &[KubernetesVerb::Get, KubernetesVerb::Apply], &["marker"]));
    for (attempt, (name, _, asked)) in (1..).zip(&attacks) {
        let wire = Wire::default();
        let mut rig = Rig::new().with_clusters(clusters(lab, &[EU, US], &wire).await).on(EU);
        rig.call.attempt = attempt;
        let told = rig.run(&*step, &json!({})).await.unwrap().summary;
        assert!(told.contains(asked), "{name}: {told}");
        let granted = "the file grants k8s get apply ConfigMap on region-a in fence, only marker";
        assert!(told.contains(granted), "{name}: {told}");
        assert_eq!(steps_sdk::testing::Failing::calls(&wire), 0, "{name}: something was sent");
    }
    assert!(maps.get_opt("marker").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_waited_for_at_the_servers_of_its_zone() {
    let (Some(lab), Some(component)) = (lab(), built("release")) else { return };
    let dns = lab.dns();
    let zone = dns.zone.trim_end_matches('.');
    let dns_of = |domain: &str| Grants { dns: vec![DnsGrant { domain: domain.to_owned() }], ..Grants::default() };
    let kinds = bound_over(steps::host_asking(dns.server.into()), &component, dns_of(zone));
    let step = kinds.iter().find(|kind| kind.kind().as_str() == "guest.resolves").unwrap();
    // The zone's own server is the one name in it that is always there.
    let address = dns.server.ip().to_string();
    let inputs = json!({ "host": format!("ns.{zone}"), "address": [address], "every": "50ms" });
    let outcome = Rig::new().run(&**step, &inputs).await.unwrap();
    assert_eq!((outcome.same, &outcome.outputs["addresses"]), (true, &json!([address])));

    // A name that comes while it is waited for.
    let host = format!("late.{zone}");
    let inputs = json!({ "host": host, "address": ["203.0.113.7"], "every": "50ms" });
    let rig = Rig::new();
    let writing = async {
        objects::eventually("the wait has a reason", || async { rig.waits().pop().map(drop).ok_or_else(String::new) })
            .await;
        record_address(lab, &host, "203.0.113.7").await;
    };
    let (outcome, ()) = tokio::join!(rig.run(&**step, &inputs), writing);
    assert_eq!(outcome.unwrap().summary, format!("{host} leads to 203.0.113.7"));
    assert!(rig.waits()[0].contains("there is no such name"), "{:?}", rig.waits());

    let kinds = bound_over(steps::host_asking(dns.server.into()), &component, dns_of("elsewhere.test"));
    let step = kinds.iter().find(|kind| kind.kind().as_str() == "guest.resolves").unwrap();
    let refused = Rig::new().run(&**step, &inputs).await.unwrap_err();
    let granted = "are not granted; the file grants dns elsewhere.test and below";
    assert!(refused.code == "G103" && refused.message.contains(granted), "{refused:?}");
}

/// Written by the built-in kind, signed with the zone's key.
async fn record_address(lab: &Lab, host: &str, address: &str) {
    use steps_sdk::Secret;
    let dns = lab.dns();
    let key = Secret::Env { name: "DNS_KEY".to_owned() };
    let secret = format!("{}:{}:{}", dns.key.algorithm, dns.key.name, dns.key.secret);
    let rig = Rig::of_step("address").with_secret(key.clone(), secret.as_bytes());
    let steps = steps::builtin();
    let step = steps.iter().find(|step| step.kind().as_str() == "dns.records").unwrap();
    let inputs = json!({
        "zone": { "name": dns.zone.trim_end_matches('.'), "server": dns.server.to_string(), "key": key },
        "record": [{ "type": "A", "name": host, "value": address }],
    });
    rig.run(&**step, &inputs).await.unwrap();
}

/// The program in a directory with a workflow that uses the component.
struct Place<'l> {
    lab: &'l Lab,
    directory: tempfile::TempDir,
}

impl<'l> Place<'l> {
    fn new(lab: &'l Lab, component: &[u8], namespace: &str) -> Place<'l> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("release.wasm"), component).unwrap();
        let workflow = format!(
            "workflow custom\n\
             input version type=string\n\
             cluster eu {{ kubeconfig context=\"{EU}\" }}\n\
             use \"./release.wasm\" as=release {{\n    grant {{\n        k8s eu namespace={namespace} {{ verbs get apply delete; kinds ConfigMap; names release-web }}\n    }}\n}}\n\
             step web uses=release.record on=eu {{ app web; namespace {namespace}; version \"${{inputs.version}}\" }}\n"
        );
        std::fs::write(directory.path().join("custom.kdl"), workflow).unwrap();
        Place { lab, directory }
    }

    fn engine(&self, args: &[&str]) -> Output {
        let place = self.directory.path();
        let mut command = Command::new(engine_tests::program());
        command.env_clear().env("HOME", place).env("PATH", "/usr/bin:/bin").env("KUBECONFIG", self.lab.kubeconfig());
        command.current_dir(place).env("ENGINE_STATE", place.join("state")).stdin(Stdio::null());
        command.args(args).output().unwrap()
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_lists_what_a_guest_would_write_and_changes_nothing() {
    let (Some(lab), Some(component)) = (lab(), built("release")) else { return };
    let maps = namespace(lab, "planned").await;
    let place = Place::new(lab, &component, "planned");

    let planned = place.engine(&["plan", "custom.kdl", "--var", "version=1.4.0"]);
    assert!(planned.status.success(), "{}", text(&planned));
    assert!(text(&planned).contains("ConfigMap/release-web"), "{}", text(&planned));
    assert!(
        text(&planned).contains("k8s get apply delete ConfigMap on eu in planned, only release-web"),
        "{}",
        text(&planned)
    );
    assert!(maps.get_opt("release-web").await.unwrap().is_none(), "a plan has written");

    let run = place.engine(&["run", "custom.kdl", "--var", "version=1.4.0", "--id", "r", "--progress", "plain"]);
    assert!(run.status.success(), "{}", text(&run));
    let map = maps.get("release-web").await.unwrap();
    let managers: Vec<String> = map.metadata.managed_fields.unwrap().into_iter().filter_map(|m| m.manager).collect();
    assert_eq!(managers.len(), 1);
    assert!(managers[0].starts_with("engine/") && managers[0].ends_with("/web"), "{managers:?}");
    let journal = std::fs::read_to_string(place.directory.path().join("state/runs/r/journal")).unwrap();
    assert!(journal.contains("k8s get apply delete ConfigMap on eu in planned, only release-web"), "{journal}");
    // What the run did not use is told, so that it can be left out; `delete` is a part of a grant that was used.
    assert!(!text(&run).contains("never used"), "{}", text(&run));

    let before = maps.get("release-web").await.unwrap().metadata.resource_version;
    let planned = place.engine(&["plan", "custom.kdl", "--var", "version=1.5.0"]);
    for part in ["ConfigMap/release-web", "data.version", "1.4.0", "1.5.0"] {
        assert!(text(&planned).contains(part), "`{part}` is missing in {}", text(&planned));
    }
    let after = maps.get("release-web").await.unwrap();
    assert_eq!((after.metadata.resource_version, &*after.data.unwrap()["version"]), (before, "1.4.0"));
}
