//! Clusters as the engine meets them: right, wrong, swapped, silent, and behind kubeconfigs of every kind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use engine_core::diagnostic::{Place, SourceId};
use engine_core::plan::{KubeconfigSource, PlannedCluster};
use miette::Diagnostic as _;
use serde_json::json;
use steps_sdk::value::ClusterName;

use super::connect::Limits;
use super::fake::{FakeCluster, Says};
use super::open::open_within;
use super::{OpenError, Opened, PinnedBy, Settings, Trust, secret};

const A: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const B: &str = "bbbbbbbb-0000-4000-8000-000000000002";

/// A directory with kubeconfigs and pins.
struct World {
    dir: tempfile::TempDir,
    settings: Settings,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            kubeconfig: None,
            environment: BTreeMap::from([("HOME".into(), dir.path().display().to_string())]),
            base: dir.path().to_owned(),
            contexts: BTreeMap::new(),
            pins: dir.path().join("pins"),
            lock: "zheng".into(),
            keeps_first_use: true,
        };
        World { dir, settings }
    }

    /// A kubeconfig with a context for each server, the first of which is current.
    fn kubeconfig(&self, name: &str, contexts: &[(&str, &str)]) -> PathBuf {
        self.kubeconfig_with_user(name, contexts, &json!({ "token": "a-token" }))
    }

    fn kubeconfig_with_user(&self, name: &str, contexts: &[(&str, &str)], user: &serde_json::Value) -> PathBuf {
        let path = self.dir.path().join(name);
        let entries = |make: &dyn Fn(&str, &str) -> serde_json::Value| -> Vec<_> {
            contexts.iter().map(|(context, server)| make(context, server)).collect()
        };
        let config = json!({
            "apiVersion": "v1", "kind": "Config",
            "current-context": contexts[0].0,
            "contexts": entries(&|context, _| json!({ "name": context, "context": { "cluster": context, "user": "mia" } })),
            "clusters": entries(&|context, server| json!({ "name": context, "cluster": { "server": server } })),
            "users": [{ "name": "mia", "user": user }, { "name": "another", "user": { "token": "not-needed" } }],
        });
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    async fn open(&self, planned: &[PlannedCluster]) -> Result<Vec<Opened>, Vec<OpenError>> {
        let limits = Limits {
            connect: Duration::from_secs(5),
            sign_in: Duration::from_secs(20),
            answer: Duration::from_secs(20),
        };
        open_within(planned, &self.settings, limits).await
    }

    /// The only problem.
    async fn refused(&self, planned: &[PlannedCluster]) -> OpenError {
        let mut problems = self.open(planned).await.map(drop).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    fn pins(&self) -> usize {
        std::fs::read_dir(&self.settings.pins).map_or(0, Iterator::count)
    }
}

fn cluster(name: &str, context: Option<&str>, identity: Option<&str>) -> PlannedCluster {
    PlannedCluster {
        name: ClusterName(name.into()),
        kubeconfig: KubeconfigSource { context: context.map(Into::into), file: None, env: None },
        from: None,
        workspace: None,
        identity: identity.map(Into::into),
        at: Place::new(SourceId(0), 0, 0),
    }
}

fn code(error: &OpenError) -> String {
    error.code().unwrap().to_string()
}

fn help(error: &OpenError) -> String {
    error.help().unwrap().to_string()
}

#[tokio::test]
async fn the_first_use_is_trusted_and_kept_and_a_later_mismatch_refused() {
    let mut world = World::new();
    let (first, second) = (FakeCluster::that(Says::Uid(A)), FakeCluster::that(Says::Uid(B)));
    world.kubeconfig(".kube/config", &[("kind-hub", &first.server)]);
    let planned = [cluster("hub", None, None)];

    let opened = world.open(&planned).await.unwrap().remove(0);
    assert_eq!(
        (opened.handle.identity.as_str(), opened.context.as_str(), opened.trust),
        (A, "kind-hub", Trust::FirstUse)
    );
    assert_eq!(world.open(&planned).await.unwrap()[0].trust, Trust::Kept);

    world.kubeconfig(".kube/config", &[("kind-hub", &second.server)]);
    let error = world.refused(&planned).await;
    let OpenError::WrongCluster(wrong) = &error else { panic!("{error}") };
    let PinnedBy::FirstUse(pin) = &wrong.pinned_by else { panic!("{error}") };
    assert_eq!(
        error.to_string(),
        format!("context `kind-hub` does not lead to cluster `hub`: its first use found {A}, but found {B}")
    );
    assert!(help(&error).ends_with(&format!("remove the kept identity {}", pin.display())));
    assert_eq!(code(&error), "C010");

    // Another installation has met no cluster called `hub` yet.
    world.settings.lock = "another".into();
    assert_eq!(world.open(&planned).await.unwrap()[0].trust, Trust::FirstUse);
    assert_eq!(world.pins(), 2);
    assert!(
        first
            .requests()
            .iter()
            .chain(&second.requests())
            .all(|request| request == "GET /api/v1/namespaces/kube-system")
    );
}

#[tokio::test]
async fn a_command_that_only_looks_keeps_nothing() {
    let mut world = World::new();
    world.settings.keeps_first_use = false;
    let fake = FakeCluster::that(Says::Uid(A));
    world.kubeconfig(".kube/config", &[("kind-hub", &fake.server)]);
    for _ in 0..2 {
        assert_eq!(world.open(&[cluster("hub", None, None)]).await.unwrap()[0].trust, Trust::FirstUse);
    }
    assert_eq!(world.pins(), 0);
}

#[tokio::test]
async fn a_stated_identity_needs_no_pin() {
    let world = World::new();
    let fake = FakeCluster::that(Says::Uid(A));
    world.kubeconfig(".kube/config", &[("kind-hub", &fake.server)]);
    assert_eq!(world.open(&[cluster("hub", None, Some(A))]).await.unwrap()[0].trust, Trust::Pinned);
    let error = world.refused(&[cluster("hub", None, Some(B))]).await;
    assert_eq!(
        error.to_string(),
        format!("context `kind-hub` does not lead to cluster `hub`: the workflow expects {B}, but found {A}")
    );
    assert_eq!(world.pins(), 0);
}

#[tokio::test]
async fn swapped_contexts_are_called_so_and_nothing_is_kept_of_anyone() {
    let world = World::new();
    let (a, b) = (FakeCluster::that(Says::Uid(A)), FakeCluster::that(Says::Uid(B)));
    let new = FakeCluster::that(Says::Uid("cccccccc"));
    world.kubeconfig(".kube/config", &[("kind-a", &b.server), ("kind-b", &a.server), ("kind-c", &new.server)]);
    let planned = [
        cluster("c", Some("kind-c"), None),
        cluster("a", Some("kind-a"), Some(A)),
        cluster("b", Some("kind-b"), Some(B)),
    ];
    let problems = world.open(&planned).await.map(drop).unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            format!(
                "context `kind-a` does not lead to cluster `a`: the workflow expects {A}, but found {B}; context `kind-a` leads \
                 to the cluster that the workflow calls `b`; the cluster that was meant is behind context `kind-b`: are two \
                 contexts swapped?"
            ),
            format!(
                "context `kind-b` does not lead to cluster `b`: the workflow expects {B}, but found {A}; context `kind-b` leads \
                 to the cluster that the workflow calls `a`; the cluster that was meant is behind context `kind-a`: are two \
                 contexts swapped?"
            ),
        ]
    );
    assert!(
        help(&problems[0])
            .starts_with("nothing was written to any cluster. use the right context: --context a=kind-b;")
    );
    assert_eq!(world.pins(), 0);
    for fake in [a, b, new] {
        assert_eq!(fake.requests(), ["GET /api/v1/namespaces/kube-system"]);
    }
}

#[tokio::test]
async fn a_context_of_the_command_line_wins_over_the_workflow() {
    let mut world = World::new();
    let (a, b) = (FakeCluster::that(Says::Uid(A)), FakeCluster::that(Says::Uid(B)));
    world.kubeconfig(".kube/config", &[("kind-a", &a.server), ("kind-b", &b.server)]);
    world.settings.contexts.insert("hub".into(), "kind-b".into());
    let opened = world.open(&[cluster("hub", Some("kind-a"), None)]).await.unwrap().remove(0);
    assert_eq!((opened.handle.identity.as_str(), opened.context.as_str()), (B, "kind-b"));
    assert!(a.requests().is_empty());
}

#[tokio::test]
async fn two_names_of_one_cluster_are_allowed_with_a_note() {
    let world = World::new();
    let fake = FakeCluster::that(Says::Uid(A));
    world.kubeconfig(".kube/config", &[("kind-hub", &fake.server)]);
    let opened = world.open(&[cluster("hub", None, None), cluster("edge", None, None)]).await.unwrap();
    assert_eq!(opened[0].note.as_deref(), Some(format!("`hub` and `edge` are the same cluster ({A})").as_str()));
    assert_eq!(world.pins(), 2);
}

#[tokio::test]
async fn all_problems_are_told_at_once_in_the_order_of_the_workflow() {
    let world = World::new();
    let says =
        [Says::Status(401), Says::Status(403), Says::Status(404), Says::Status(503), Says::Uid(""), Says::Uid(A)];
    let fakes: Vec<_> = says.into_iter().map(FakeCluster::that).collect();
    let contexts: Vec<(String, &str)> =
        (0..).map(|n| format!("c{n}")).zip(fakes.iter().map(|fake| fake.server.as_str())).collect();
    let mut contexts: Vec<(&str, &str)> = contexts.iter().map(|(name, server)| (name.as_str(), *server)).collect();
    contexts.push(("closed", "http://127.0.0.1:9"));
    contexts.push(("garbage", "not a url"));
    world.kubeconfig(".kube/config", &contexts);
    let mut planned: Vec<_> = contexts.iter().map(|(name, _)| cluster(name, Some(name), None)).collect();
    planned.push(cluster("typo", Some("cloesd"), None));
    planned.push(PlannedCluster {
        kubeconfig: KubeconfigSource { env: Some("KUBECONFIG_US".into()), ..KubeconfigSource::default() },
        ..cluster("us", None, None)
    });
    planned.push(PlannedCluster {
        kubeconfig: KubeconfigSource { file: Some("nowhere.yaml".into()), ..KubeconfigSource::default() },
        ..cluster("file", None, None)
    });

    let problems = world.open(&planned).await.map(drop).unwrap_err();
    let told: Vec<_> = problems.iter().map(|error| format!("{} {}", error.cluster(), code(error))).collect();
    assert_eq!(
        told,
        [
            "c0 C008",
            "c1 C009",
            "c2 C009",
            "c3 C007",
            "c4 C009",
            "closed C007",
            "garbage C005",
            "typo C004",
            "us C002",
            "file C003"
        ]
    );
    assert_eq!(help(&problems[7]), "did you mean `closed`?");
    assert_eq!(
        problems[8].to_string(),
        "there is no kubeconfig for cluster `us`: the environment variable KUBECONFIG_US is not set"
    );
    assert_eq!(world.pins(), 0, "the one that is right is not kept either");
    assert_eq!(fakes[3].requests().len(), 1, "an answer of 503 is not asked for again behind our back");
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_given_up() {
    let world = World::new();
    let fake = FakeCluster::that(Says::Silence);
    world.kubeconfig(".kube/config", &[("kind-hub", &fake.server)]);
    let limits = Limits { answer: Duration::from_millis(300), ..Limits::default() };
    let error =
        open_within(&[cluster("hub", None, None)], &world.settings, limits).await.map(drop).unwrap_err().remove(0);
    assert_eq!(error.to_string(), format!("cluster `hub` (context `kind-hub`) did not answer at {}", fake.server));
}

#[tokio::test]
async fn of_several_kubeconfigs_the_first_to_say_something_wins_and_missing_ones_are_passed_over() {
    let mut world = World::new();
    let (a, b) = (FakeCluster::that(Says::Uid(A)), FakeCluster::that(Says::Uid(B)));
    let first = world.kubeconfig("first", &[("kind-a", &a.server)]);
    let second = world.kubeconfig("second", &[("kind-b", &b.server), ("kind-a", &b.server)]);
    let list = format!("{}:{}::{}", world.dir.path().join("missing").display(), first.display(), second.display());
    world.settings.environment.insert("KUBECONFIG".into(), list);
    let opened = world.open(&[cluster("current", None, None), cluster("b", Some("kind-b"), None)]).await.unwrap();
    assert_eq!(opened.iter().map(|one| one.handle.identity.as_str()).collect::<Vec<_>>(), [A, B]);

    world.settings.kubeconfig = Some(second);
    assert_eq!(
        world.open(&[cluster("other", None, None)]).await.unwrap()[0].handle.identity,
        B,
        "--kubeconfig is the only file"
    );
}

#[tokio::test]
async fn what_is_not_a_kubeconfig_is_refused_without_a_word_of_its_content() {
    let world = World::new();
    std::fs::create_dir(world.dir.path().join(".kube")).unwrap();
    std::fs::write(world.dir.path().join(".kube/config"), "users:\n- token: \"very-secret\n  - [}").unwrap();
    let error = world.refused(&[cluster("hub", None, None)]).await;
    assert_eq!(code(&error), "C003");
    let shown = format!("{error} {error:?} {}", help(&error));
    assert!(!shown.contains("very-secret"), "{shown}");
}

#[tokio::test]
async fn a_program_for_credentials_signs_in_and_may_not_take_for_ever() {
    let world = World::new();
    let fake = FakeCluster::that(Says::UidToBearer(A, "from-a-program"));
    let exec = |script: &str| json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script], "interactiveMode": "Never" } });
    let credential = r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-a-program"}}'"#;
    world.kubeconfig_with_user(".kube/config", &[("kind-hub", &fake.server)], &exec(credential));
    assert_eq!(world.open(&[cluster("hub", None, None)]).await.unwrap()[0].handle.identity, A);

    world.kubeconfig_with_user(".kube/config", &[("kind-hub", &fake.server)], &exec("exit 3"));
    assert_eq!(code(&world.refused(&[cluster("hub", None, None)]).await), "C005");

    world.kubeconfig_with_user(".kube/config", &[("kind-hub", &fake.server)], &exec("sleep 3"));
    let limits = Limits { sign_in: Duration::from_millis(200), ..Limits::default() };
    let error =
        open_within(&[cluster("hub", None, None)], &world.settings, limits).await.map(drop).unwrap_err().remove(0);
    assert_eq!(error.to_string(), "cluster `hub` (context `kind-hub`): signing in took more than 0.2 s");
}

#[tokio::test]
async fn the_kubeconfig_for_programs_has_this_context_and_no_other_credentials() {
    let world = World::new();
    let fake = FakeCluster::that(Says::Uid(A));
    world.kubeconfig(".kube/config", &[("kind-a", "http://127.0.0.1:9"), ("kind-hub", &fake.server)]);
    let opened = world.open(&[cluster("hub", Some("kind-hub"), None)]).await.unwrap().remove(0);
    let text = opened.handle.kubeconfig().unwrap();
    let config: serde_json::Value = serde_json::from_slice(text.expose()).unwrap();
    assert_eq!(config["current-context"], "kind-hub");
    assert_eq!(config["users"], json!([{ "name": "mia", "user": { "token": "a-token" } }]));
    assert_eq!(config["clusters"], json!([{ "name": "kind-hub", "cluster": { "server": fake.server } }]));

    // It is a kubeconfig: it opens the same cluster.
    std::fs::write(world.dir.path().join("only"), text.expose()).unwrap();
    let again = PlannedCluster {
        kubeconfig: KubeconfigSource { file: Some("only".into()), ..KubeconfigSource::default() },
        ..cluster("again", None, Some(A))
    };
    assert_eq!(world.open(&[again]).await.unwrap()[0].trust, Trust::Pinned);
}

#[tokio::test]
async fn a_pin_that_cannot_be_read_is_no_reason_to_trust_anew() {
    let world = World::new();
    let fake = FakeCluster::that(Says::Uid(A));
    world.kubeconfig(".kube/config", &[("kind-hub", &fake.server)]);
    let planned = [cluster("hub", None, None)];
    world.open(&planned).await.unwrap();
    let pin = std::fs::read_dir(&world.settings.pins).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&pin, "{").unwrap();
    let error = world.refused(&planned).await;
    assert_eq!(error.to_string(), format!("the kept identity of cluster `hub` in {} could not be read", pin.display()));
    assert_eq!(fake.requests().len(), 1, "the cluster was not even asked");
}

#[tokio::test]
async fn one_key_of_a_secret_is_read_and_what_is_missing_is_named() {
    let world = World::new();
    let object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "tsig", "uid": A }, "data": { "key": "c2VjcmV0", "algorithm": "eA==" } });
    let fake = FakeCluster::that(Says::Object(object));
    world.kubeconfig(".kube/config", &[("kind-hub", &fake.server)]);
    let client = world.open(&[cluster("hub", None, None)]).await.unwrap().remove(0).handle.client();
    assert_eq!(secret::read_key(&client, "dns", "tsig", "key").await.unwrap().expose(), b"secret");
    assert_eq!(fake.requests().last().unwrap(), "GET /api/v1/namespaces/dns/secrets/tsig");
    let error = secret::read_key(&client, "dns", "tsig", "kye").await.unwrap_err();
    assert_eq!(error.message, "Secret dns/tsig has no key `kye`");
    assert_eq!(error.help.as_deref(), Some("it has algorithm, key"));
}

fn made(server: &str) -> steps_sdk::context::SecretBytes {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "kcp",
        "contexts": [{ "name": "kcp", "context": { "cluster": "kcp", "user": "admin" } }],
        "clusters": [{ "name": "kcp", "cluster": { "server": server } }],
        "users": [{ "name": "admin", "user": { "token": "a-token" } }],
    });
    steps_sdk::context::SecretBytes::new(config.to_string().into_bytes())
}

fn workspace(path: &str) -> PlannedCluster {
    PlannedCluster { workspace: Some(path.into()), ..cluster("kcp", None, None) }
}

#[tokio::test]
async fn a_cluster_that_a_step_makes_is_opened_with_what_was_made() {
    let world = World::new();
    let fake = FakeCluster::that(Says::Uid(A));
    let open = async |planned: &PlannedCluster, kubeconfig| {
        super::open_made(planned, &kubeconfig, &world.settings).await.map(|handle| handle.identity)
    };
    let kcp = cluster("kcp", None, None);
    assert_eq!(open(&kcp, made(&fake.server)).await.unwrap(), A);
    assert_eq!(world.pins(), 1, "its identity is kept like any other");
    let other = FakeCluster::that(Says::Uid(B));
    let error = open(&kcp, made(&other.server)).await.unwrap_err().of_step();
    assert_eq!((error.code.as_str(), error.class), ("C010", steps_sdk::ErrorClass::NeedsPerson));
    let help = error.help.unwrap();
    assert!(
        help.starts_with("if the cluster was replaced, remove the kept identity"),
        "other clusters have been written to: {help}"
    );

    let garbage = steps_sdk::context::SecretBytes::new(b"users: [ {name: a, token: not-to-be-seen".to_vec());
    let error = open(&kcp, garbage).await.unwrap_err().of_step();
    assert_eq!((error.code.as_str(), error.class), ("C013", steps_sdk::ErrorClass::Permanent));
    assert!(!format!("{error:?}").contains("not-to-be-seen"), "{error:?}");

    let away = open(&cluster("away", None, None), made("http://127.0.0.1:9")).await.unwrap_err().of_step();
    assert_eq!((away.code.as_str(), away.class, away.not_started), ("C007", steps_sdk::ErrorClass::Transient, true));
}

#[tokio::test]
async fn a_workspace_is_a_cluster_of_its_own() {
    let world = World::new();
    let annotated = json!({ "apiVersion": "core.kcp.io/v1alpha1", "kind": "LogicalCluster",
        "metadata": { "name": "cluster", "annotations": { "kcp.io/cluster": "2hc0xyz" } } });
    let fake = FakeCluster::that(Says::Object(annotated));
    let server = format!("{}/clusters/root", fake.server);
    let handle = super::open_made(&workspace("root:org"), &made(&server), &world.settings).await.unwrap();
    assert_eq!(handle.identity, "2hc0xyz");
    assert_eq!(fake.requests(), ["GET /clusters/root:org/apis/core.kcp.io/v1alpha1/logicalclusters/cluster"]);
    let written = handle.kubeconfig().unwrap();
    let text = std::str::from_utf8(written.expose()).unwrap();
    assert!(text.contains("/clusters/root:org\""), "programs are led there too: {text}");
    // A context of this machine may lead to a kcp as well.
    world.kubeconfig(".kube/config", &[("kcp", &fake.server)]);
    assert_eq!(world.open(&[workspace("root:org")]).await.unwrap()[0].handle.identity, "2hc0xyz");
    let none = FakeCluster::that(Says::Status(403));
    let error =
        super::open_made(&workspace("root:no"), &made(&none.server), &world.settings).await.map(drop).unwrap_err();
    assert_eq!(code(&error), "C014");
    assert!(error.to_string().contains("`root:no`"), "{error}");
}
