//! Requests outside of the grants, and requests that are written so that a careless reader takes them for granted ones.

use serde_json::{Value, json};
use steps_sdk::grant::{DnsGrant, Grants, HttpGrant, Inject, KubernetesGrant, KubernetesVerb};
use steps_sdk::host::HttpResponse;
use steps_sdk::value::{ClusterName, Secret};

use super::{Attack, Case, Outcome, case};
use crate::wasm::testing::{Do, Guest, Scripted, World, cluster};

pub(super) fn cases() -> Vec<Case> {
    [ungranted(), urls(), headers(), secrets(), objects(), names(), previews(), verifications()]
        .into_iter()
        .flatten()
        .collect()
}

/// Every text that a host function can tell a guest.
fn kept(good: &[&'static str], errors: &[&'static str]) -> Vec<Vec<&'static str>> {
    let good = (!good.is_empty()).then(|| good.to_vec());
    good.into_iter().chain(errors.iter().map(|error| vec!["err", error])).collect()
}

fn http(method: &str, url: &str, headers: &Value) -> Do {
    let mut keep = kept(&["ok", "done", "body"], &["not-granted", "timeout", "dns", "connect", "tls", "other"]);
    keep.push(vec!["ok", "would-do"]);
    let request = json!({ "method": method, "url": url, "headers": headers, "body": null, "timeout-ms": null });
    Do::Call { interface: "http", function: "send", args: vec![request], keep }
}

const KUBERNETES_ERRORS: [&str; 7] =
    ["not-granted", "not-found", "conflict", "forbidden", "unavailable", "invalid", "other"];

fn target(cluster: &str, api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Value {
    json!({ "cluster": cluster, "api-version": api_version, "kind": kind, "namespace": namespace, "name": name })
}

fn get(target: Value) -> Do {
    Do::Call { interface: "kubernetes", function: "get", args: vec![target], keep: kept(&["ok"], &KUBERNETES_ERRORS) }
}

fn list(kind: &str, namespace: Option<&str>, selector: Option<&str>) -> Do {
    let selection = json!({ "cluster": "hub", "api-version": "v1", "kind": kind, "namespace": namespace, "label-selector": selector });
    Do::Call {
        interface: "kubernetes",
        function: "list-objects",
        args: vec![selection],
        keep: kept(&[], &KUBERNETES_ERRORS),
    }
}

fn apply(cluster: &str, object: &str) -> Do {
    let mut keep = kept(&["ok", "done"], &KUBERNETES_ERRORS);
    keep.push(vec!["ok", "would-do"]);
    let args = vec![json!(cluster), json!(object), json!(false)];
    Do::Call { interface: "kubernetes", function: "apply", args, keep }
}

fn delete(target: Value) -> Do {
    let args = vec![target, Value::Null];
    Do::Call { interface: "kubernetes", function: "delete", args, keep: kept(&["ok", "done"], &KUBERNETES_ERRORS) }
}

fn wait(target: Value) -> Do {
    let args = vec![target, json!("true"), json!(10)];
    Do::Call { interface: "kubernetes", function: "wait", args, keep: kept(&["ok"], &KUBERNETES_ERRORS) }
}

fn dns(name: &str, record_type: &str) -> Do {
    let keep = kept(&[], &["not-granted", "no-such-name", "timeout", "other"]);
    Do::Call { interface: "dns", function: "query", args: vec![json!(name), json!(record_type), json!(false)], keep }
}

fn grants() -> Grants {
    Grants {
        http: vec![HttpGrant {
            origin: "https://api.cdn.example".into(),
            methods: vec!["GET".into(), "PUT".into()],
            paths: vec!["/v1/zones/*".into()],
            private: false,
            inject: None,
        }],
        kubernetes: vec![KubernetesGrant {
            cluster: ClusterName("hub".into()),
            namespace: Some("kcp".into()),
            verbs: KubernetesVerb::ALL.to_vec(),
            kinds: vec!["Service".into(), "Certificate.cert-manager.io".into()],
            names: Vec::new(),
        }],
        dns: vec![DnsGrant { domain: "example.io".into() }],
    }
}

fn granted(attempt: u32) -> World {
    World { grants: grants(), clusters: vec![cluster("hub"), cluster("eu")], attempt, ..World::default() }
}

/// One guest for many attacks, each of which is an attempt of its own.
fn denied(area: &str, attacks: Vec<(String, Do, &'static str)>) -> Vec<Case> {
    let guest =
        Guest::new().on("run", [Do::ByAttempt(attacks.iter().map(|(_, attack, _)| vec![attack.clone()]).collect())]);
    let component = guest.pack();
    (1u32..)
        .zip(attacks)
        .map(|(attempt, (name, _, word))| {
            case(format!("{area}: {name}"), Attack::Run(component.clone(), granted(attempt)), Outcome::Denied(word))
        })
        .collect()
}

/// Nothing is granted: the call ends, and the line that would grant it is told.
fn ungranted() -> Vec<Case> {
    let service = || target("hub", "v1", "Service", Some("kcp"), "lb");
    let object = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"lb","namespace":"kcp"}}"#;
    [
        (
            "http",
            http("PUT", "https://api.cdn.example/v1", &json!([])),
            "W201",
            "http \"https://api.cdn.example\" { methods PUT }",
        ),
        ("http that is written oddly", http("GET", "https://a@b/", &json!([])), "W201", "http \"https://HOST\""),
        ("get", get(service()), "W202", "k8s hub { verbs get; kinds Service }"),
        ("list", list("Service", None, None), "W202", "verbs list"),
        ("apply", apply("hub", object), "W202", "verbs apply"),
        ("delete", delete(service()), "W202", "verbs delete"),
        ("wait", wait(service()), "W202", "verbs watch"),
        ("dns", dns("example.io", "A"), "W203", "dns \"example.io\""),
    ]
    .into_iter()
    .map(|(name, attack, code, word)| {
        let guest = Guest::new().on("run", [attack]);
        case(format!("ungranted: {name}"), Attack::Run(guest.pack(), World::default()), Outcome::Fails(code, word))
    })
    .collect()
}

fn urls() -> Vec<Case> {
    let odd = [
        ("https://api.cdn.example/v1/zones/../../admin", "`.` or `..`"),
        ("https://api.cdn.example/v1/zones/%2e%2e/admin", "`.` or `..`"),
        ("https://api.cdn.example/v1/zones/.%2E/admin", "`.` or `..`"),
        ("https://api.cdn.example/v1/zones/..;/admin", "`.` or `..`"),
        ("https://api.cdn.example/v1/zones/..%2fadmin", "hides a slash"),
        ("https://api.cdn.example/v1/zones/..%5cadmin", "hides a slash"),
        ("https://api.cdn.example/v1/zones/..\\admin", "backslash"),
        ("https://api.cdn.example/v1/zones/%252e%252e/x", "hides a character"),
        ("https://api.cdn.example/v1/zones//etc", "empty part"),
        ("https://api.cdn.example/v1/zones/\r\nHost: evil.example", "control character"),
        ("https://api.cdn.example/v1/zones/%0d%0aHost:%20x", "hides a character"),
        ("https://api.cdn.example/v1/zones/%00", "hides a character"),
        ("https://api.cdn.example@evil.example/v1/zones/1", "user name"),
        ("https://evil.example\\@api.cdn.example/v1/zones/1", "backslash"),
        ("https://api.cdn.example#@evil.example/v1/zones/1", "fragment"),
        ("https://api.cdn.example:443@evil.example/v1/zones/1", "user name"),
        ("https://api.cdn.example.evil.example/v1/zones/1", "not granted"),
        ("https://evil.example/v1/zones/1?https://api.cdn.example/", "not granted"),
        ("https://api.cdn.example:8443/v1/zones/1", "not granted"),
        ("http://api.cdn.example/v1/zones/1", "not granted"),
        ("https://api.cdn.example./v1/zones/1", "ends in a dot"),
        ("https://api.cdn.example/v1/zones", "not granted"),
        ("https://api.cdn.example/V1/zones/1", "not granted"),
        ("https://api.cdn.example/", "not granted"),
        ("https://127.0.0.1/v1/zones/1", "not granted"),
        ("https://169.254.169.254/latest/meta-data", "not granted"),
        ("https://[::1]/v1/zones/1", "not granted"),
        ("https://2130706433/v1/zones/1", "written plainly"),
        ("https://0x7f000001/v1/zones/1", "written plainly"),
        ("https://127.1/v1/zones/1", "written plainly"),
        ("https://api%2ecdn.example/v1/zones/1", "written plainly"),
        ("https://ａpi.cdn.example/v1/zones/1", "written plainly"),
        ("file:///etc/passwd", "neither http nor https"),
        ("unix:///run/docker.sock", "neither http nor https"),
        ("javascript:alert(1)", "not absolute"),
        ("//api.cdn.example/v1/zones/1", "not absolute"),
        ("/v1/zones/1", "not absolute"),
        ("", "not absolute"),
    ];
    let mut attacks: Vec<_> =
        odd.iter().map(|(url, word)| (format!("{url:?}"), http("GET", url, &json!([])), *word)).collect();
    let url = "https://api.cdn.example/v1/zones/1";
    for (method, word) in [
        ("DELETE", "not granted"),
        ("CONNECT", "not for steps"),
        ("TRACE", "not for steps"),
        ("GET /admin HTTP/1.1\r\nX: y", "not a method"),
        ("", "not a method"),
    ] {
        attacks.push((format!("{method:?}"), http(method, url, &json!([])), word));
    }
    attacks.push(("a long one".into(), http("GET", &format!("{url}/{}", "a".repeat(9_000)), &json!([])), "too long"));
    denied("url", attacks)
}

fn headers() -> Vec<Case> {
    let odd = [
        ("Host", "evil.example", "host's to set"),
        ("host", "evil.example", "host's to set"),
        ("Content-Length", "0", "host's to set"),
        ("Transfer-Encoding", "chunked", "host's to set"),
        ("Connection", "upgrade", "host's to set"),
        ("Upgrade", "websocket", "host's to set"),
        ("TE", "trailers", "host's to set"),
        ("Expect", "100-continue", "host's to set"),
        ("Proxy-Authorization", "Basic eA==", "host's to set"),
        ("X-Forwarded-For", "127.0.0.1", "host's to set"),
        ("X\r\nHost", "evil.example", "not a header's name"),
        ("X: y\r\nZ", "1", "not a header's name"),
        ("", "1", "not a header's name"),
        (":authority", "evil.example", "not a header's name"),
        ("x", "1\r\nhost: evil.example", "control character"),
        ("x", "1\nhost: evil.example", "control character"),
        ("x", "\u{0}", "control character"),
    ];
    let url = "https://api.cdn.example/v1/zones/1";
    let mut attacks: Vec<_> = odd
        .iter()
        .map(|(name, value, word)| (format!("{name:?}: {value:?}"), http("GET", url, &json!([[name, value]])), *word))
        .collect();
    let many: Vec<_> = (0..200).map(|n| json!([format!("x-{n}"), ""])).collect();
    attacks.push(("two hundred".into(), http("GET", url, &json!(many)), "too many"));
    denied("header", attacks)
}

/// The host puts a secret in; the guest tries to get it back.
fn secrets() -> Vec<Case> {
    let secret = "s3cr3t-t0ken";
    let injected = || {
        let mut world = granted(1);
        world.grants.http[0].inject = Some(Inject {
            secret: Secret::Env { name: "CDN_TOKEN".into() },
            header: "authorization".into(),
            format: "Bearer {}".into(),
        });
        world
    };
    let url = "https://api.cdn.example/v1/zones/1";
    let echo = Guest::new().on("run", [http("GET", url, &json!([]))]).pack();
    let own = Guest::new().on("run", [http("GET", url, &json!([["Authorization", "Bearer mine"]]))]).pack();
    let answering = |body: String| World {
        host: std::sync::Arc::new(Scripted {
            response: Some(Ok(HttpResponse { status: 200, headers: Vec::new(), body: body.into_bytes() })),
            ..Scripted::default()
        }),
        ..injected()
    };
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
    let hex = hex::encode(secret);
    let broken = World { secret: "two\nlines".into(), ..injected() };
    vec![
        case(
            "secret: a server that repeats it",
            Attack::Run(echo.clone(), injected()),
            Outcome::Harmless { gets: "***", hides: secret },
        ),
        case(
            "secret: in base64",
            Attack::Run(echo.clone(), answering(format!("a {encoded} b"))),
            Outcome::Harmless { gets: "a *** b", hides: "czNjcjN0LXQwa2Vu" },
        ),
        case(
            "secret: in hex",
            Attack::Run(echo.clone(), answering(format!("a {hex} b"))),
            Outcome::Harmless { gets: "a *** b", hides: "733363723374" },
        ),
        case(
            "secret: a header of its own in its place",
            Attack::Run(own, injected()),
            Outcome::Denied("set by the host"),
        ),
        case("secret: of two lines", Attack::Run(echo, broken), Outcome::Fails("W204", "control character")),
    ]
}

fn objects() -> Vec<Case> {
    let in_kcp = |kind: &str, name: &str| target("hub", "v1", kind, Some("kcp"), name);
    let object = |namespace: &str, name: &str| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": namespace } })
            .to_string()
    };
    let service = "Service";
    denied(
        "object",
        vec![
            ("another kind".into(), get(in_kcp("Secret", "lb")), "not granted"),
            ("another namespace".into(), get(target("hub", "v1", service, Some("kube-system"), "lb")), "not granted"),
            ("no namespace".into(), get(target("hub", "v1", service, None, "lb")), "not granted"),
            ("another cluster".into(), get(target("eu", "v1", service, Some("kcp"), "lb")), "not granted"),
            (
                "a cluster that is not there".into(),
                get(target("hub\u{0}", "v1", service, Some("kcp"), "lb")),
                "not granted",
            ),
            (
                "the same kind of another group".into(),
                get(target("hub", "evil.io/v1", "Certificate", Some("kcp"), "c")),
                "not granted",
            ),
            ("a name with a way out".into(), get(in_kcp(service, "../../../secrets/admin")), "not a name"),
            ("a name with a question".into(), get(in_kcp(service, "lb?watch=true")), "not a name"),
            ("a name with percent signs".into(), get(in_kcp(service, "lb%2f..%2fx")), "not a name"),
            ("a name of dots".into(), get(in_kcp(service, "..")), "not a name"),
            ("no name".into(), get(in_kcp(service, "")), "not a name"),
            (
                "a namespace with a way out".into(),
                get(target("hub", "v1", service, Some("kcp/../x"), "lb")),
                "not a namespace",
            ),
            ("an empty namespace".into(), get(target("hub", "v1", service, Some(""), "lb")), "not a namespace"),
            (
                "a version with a way out".into(),
                get(target("hub", "v1/namespaces/x", service, Some("kcp"), "lb")),
                "not an API version",
            ),
            ("a kind with a subresource".into(), get(in_kcp("Service/proxy", "lb")), "not a kind"),
            ("a list of every namespace".into(), list(service, None, None), "not granted"),
            ("a list of secrets".into(), list("Secret", Some("kcp"), None), "not granted"),
            ("a selector of two lines".into(), list(service, Some("kcp"), Some("a\nb")), "control character"),
            ("an object of another namespace".into(), apply("hub", &object("kube-system", "lb")), "not granted"),
            ("an object with a way out".into(), apply("hub", &object("kcp", "../x")), "not a name"),
            ("an object that is no JSON".into(), apply("hub", "{"), "not JSON"),
            ("an object that is a list".into(), apply("hub", "[]"), "no `apiVersion`"),
            (
                "an object without a name".into(),
                apply("hub", r#"{"apiVersion":"v1","kind":"Service","metadata":{"generateName":"x"}}"#),
                "no `metadata.name`",
            ),
            ("an object on another cluster".into(), apply("eu", &object("kcp", "lb")), "not granted"),
            ("the end of another kind".into(), delete(in_kcp("Namespace", "kcp")), "not granted"),
            ("a wait on another kind".into(), wait(in_kcp("Secret", "lb")), "not granted"),
        ],
    )
}

fn names() -> Vec<Case> {
    denied(
        "name",
        vec![
            ("another domain".into(), dns("evil.example", "A"), "not granted"),
            ("one that ends alike".into(), dns("badexample.io", "A"), "not granted"),
            ("one that begins alike".into(), dns("example.io.evil.example", "A"), "not granted"),
            ("the root".into(), dns(".", "A"), "not a name"),
            ("nothing".into(), dns("", "A"), "not a name"),
            ("two lines".into(), dns("example.io\nevil", "A"), "not a name"),
            ("a label that is too long".into(), dns(&format!("{}.example.io", "a".repeat(64)), "A"), "not a name"),
            ("no type".into(), dns("example.io", "A; DROP"), "not a record type"),
        ],
    )
}

/// A preview tries to write.
fn previews() -> Vec<Case> {
    let put = Guest::new().on("preview", [http("PUT", "https://api.cdn.example/v1/zones/1", &json!([]))]).pack();
    let object = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"lb","namespace":"kcp"}}"#;
    let apply = Guest::new().on("preview", [apply("hub", object)]).pack();
    let memo =
        Do::Call { interface: "memo", function: "put", args: vec![json!("k"), json!("1")], keep: vec![vec!["err"]] };
    let memo = Guest::new().on("preview", [memo]).pack();
    let hold =
        Do::Call { interface: "hold", function: "take", args: vec![json!("h"), json!("1")], keep: vec![vec!["err"]] };
    let hold = Guest::new().on("preview", [hold]).pack();
    vec![
        case(
            "preview: a PUT is listed and not sent",
            Attack::Preview(put, granted(1)),
            Outcome::Denied("PUT https://api.cdn.example/v1/zones/1 Run"),
        ),
        case(
            "preview: an apply is a dry-run",
            Attack::Preview(apply, granted(1)),
            Outcome::Harmless { gets: "Service/lb Create", hides: "Real" },
        ),
        case("preview: a memo", Attack::Preview(memo, granted(1)), Outcome::Denied("`preview` writes no memo")),
        case("preview: a hold", Attack::Preview(hold, granted(1)), Outcome::Denied("only `run` takes holds")),
    ]
}

/// A `verify`, which is called to look, tries to write.
fn verifications() -> Vec<Case> {
    let object = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"lb","namespace":"kcp"}}"#;
    let service = || target("hub", "v1", "Service", Some("kcp"), "lb");
    let verify = |doing: Do| Guest::new().on("verify", [doing]).pack();
    let note = |interface, function, args| Do::Call { interface, function, args, keep: vec![vec!["err"]] };
    let zone = "https://api.cdn.example/v1/zones/1";
    let stopped = [
        (
            "a PUT",
            http("PUT", zone, &json!([])),
            "`verify` of evil.test asked for PUT https://api.cdn.example/v1/zones/1",
        ),
        ("an apply", apply("hub", object), "asked for apply Service/lb on cluster `hub`, and it may only look"),
        ("a delete", delete(service()), "asked for delete Service/lb on cluster `hub`, and it may only look"),
    ];
    let told = [
        ("a memo", note("memo", "put", vec![json!("k"), json!("1")]), "`verify` writes no memo"),
        ("a hold", note("hold", "take", vec![json!("h"), json!("1")]), "only `run` takes holds"),
        ("a PUT that is not granted", http("PUT", "https://api.cdn.example/v2", &json!([])), "not granted"),
        ("an apply that is not granted", apply("eu", object), "not granted"),
    ];
    let stopped = stopped.map(|(name, doing, word)| (name, doing, Outcome::Fails("W113", word)));
    let told = told.map(|(name, doing, word)| (name, doing, Outcome::Denied(word)));
    let mut cases: Vec<Case> = stopped
        .into_iter()
        .chain(told)
        .map(|(name, doing, outcome)| {
            case(format!("verify: {name}"), Attack::Verify(verify(doing), granted(1)), outcome)
        })
        .collect();
    let reads = Outcome::Harmless { gets: "Unknown", hides: "" };
    cases.push(case("verify: a GET is sent", Attack::Verify(verify(http("GET", zone, &json!([]))), granted(1)), reads));
    cases
}
