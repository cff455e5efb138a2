//! `use`: where components come from, what they are granted, and what their kinds ask for.

use super::{check, reading, workflow};
use crate::diagnostic::{Source, SourceId};
use crate::syntax;
use crate::workflow::{ComponentSource, components_used};

const STEP: &str = "step quiet uses=cdn.quiet";
const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Everything in a `use` of `cdn`, of which only a kind that asks for nothing is used.
fn check_use(block: &str, expected: &[(&str, &str)]) {
    check(&format!("use \"./cdn.wasm\" as=cdn {{ {block} }}\n{STEP}"), expected);
}

/// A grant that is wrong: what nothing asks for is not told beside it.
fn check_grant(grant: &str, expected: &[(&str, &str)]) {
    check_use(&format!("grant {{ {grant} }}"), expected);
}

#[test]
fn a_use_has_a_source_and_a_name() {
    check_use("", &[]);
    check(&format!("use \"./cdn.wasm\" as=cdn\n{STEP}"), &[]);
    check(&format!("use \"oci://h.example/steps/cdn@sha256:{DIGEST}\" as=cdn\n{STEP}"), &[]);
    check(&format!("use as=cdn\n{STEP}"), &[("L204", "use")]);
    check(&format!("use \"./cdn.wasm\"\n{STEP}"), &[("L204", "use")]);
    check(&format!("use \"./cdn.wasm\" as=Cdn\n{STEP}"), &[("L205", "Cdn")]);
    check("use \"./cdn.wasm\" as=\"c.d\"", &[("L205", "\"c.d\"")]);
    check("use \"./cdn.wasm\" as=1", &[("L205", "1")]);
    check(
        &format!("use \"./cdn.wasm\" \"./b.wasm\" as=cdn version=1 {{ grants }}\n{STEP}"),
        &[("L236", "\"./b.wasm\""), ("L203", "version"), ("L203", "grants")],
    );
    check(&format!("use \"./cdn.wasm\" as=cdn\nuse \"./other.wasm\" as=cdn\n{STEP}"), &[("L206", "cdn")]);
    check("use \"./cdn.wasm\" as=k\nstep a uses=value.set { x 1 }", &[("L241", "k")]);
    check(
        &format!("use \"./cdn.wasm\" as=cdn {{ grant; grant; limits; limits }}\n{STEP}"),
        &[("L235", "grant"), ("L235", "limits")],
    );
}

#[test]
fn a_source_is_a_path_or_an_address_with_a_tag_or_digest() {
    for good in
        ["./cdn.wasm", "../steps/cdn.wasm", "/opt/cdn.wasm", "cdn.wasm", "./steps/cdn", "oci://h.example/cdn:v1"]
    {
        check(&format!("use \"{good}\" as=cdn\n{STEP}"), &[]);
    }
    for bad in [
        "cdn",
        "",
        "./steps/",
        "h.example/steps/cdn:v1",
        "https://h.example/cdn.wasm",
        "file:///cdn.wasm",
        "oci://h.example/cdn",
        "oci://h.example/cdn@sha256:0123",
        &format!("oci://h.example@sha256:{DIGEST}"),
        &format!("oci:///cdn@sha256:{DIGEST}"),
        &format!("oci://h.example/cdn@sha256:{}", DIGEST.to_uppercase()),
        &format!("oci://h.example/cdn@sha512:{DIGEST}"),
    ] {
        let written = format!("\"{bad}\"");
        check(&format!("use {written} as=cdn\n{STEP}"), &[("L242", &written)]);
    }
    check(&format!("use \"./${{inputs.domain}}.wasm\" as=cdn\n{STEP}"), &[("L223", "\"./${inputs.domain}.wasm\"")]);
    check(&format!("use 1 as=cdn\n{STEP}"), &[("L205", "1")]);
}

#[test]
fn only_components_that_a_step_uses_are_loaded() {
    let text = format!(
        "workflow w\nuse \"./cdn.wasm\" as=cdn\nuse \"./idle.wasm\" as=idle\nuse \"./again.wasm\" as=cdn\nuse nonsense as=bad\n\
         use \"oci://h.example/x@sha256:{DIGEST}\" as=far\n{STEP}\nstep b uses=bad.x\n\
         for-each i in=\"[1]\" as=g {{ step a uses=far.x }}\n"
    );
    let (document, _) = syntax::parse(SourceId(0), &Source { name: "w.kdl".into(), text });
    let used: Vec<(String, ComponentSource)> = components_used(&document, &crate::workflow::Library::default())
        .into_iter()
        .map(|used| (used.name, used.source))
        .collect();
    assert_eq!(
        used,
        [
            ("cdn".to_owned(), ComponentSource::File("./cdn.wasm".into())),
            (
                "far".to_owned(),
                ComponentSource::Registry(format!("oci://h.example/x@sha256:{DIGEST}").parse().unwrap())
            ),
        ]
    );
    check("use \"./cdn.wasm\" as=cdn", &[("L248", "use \"./cdn.wasm\" as=cdn")]);
}

#[test]
fn a_component_that_was_not_loaded_is_one_problem() {
    check(
        "use \"./lost.wasm\" as=lost\nstep a uses=lost.x { y 1 }\nstep b uses=lost.z on=eu { x \"${a.y}\" }",
        &[("W001", "\"./lost.wasm\"")],
    );
    check("use \"./new.wasm\" as=new\nstep a uses=new.x", &[("L202", "use")]);
}

#[test]
fn kinds_of_a_component_are_read_like_built_in_ones() {
    check("use \"./cdn.wasm\" as=cdn\nstep a uses=cdn.quiet { name x }\noutput b \"${a.address}\"", &[]);
    check("use \"./cdn.wasm\" as=cdn\nstep a uses=cdn.quiet { nmae x }", &[("L230", "nmae")]);
    check("use \"./cdn.wasm\" as=cdn\nstep a uses=cdn.nope", &[("L209", "cdn.nope")]);
    let (reading, _) = reading("workflow w\nuse \"./cdn.wasm\" as=cdn\nstep a uses=cdn.recrod\n");
    let problem = &reading.problems[0];
    assert_eq!(problem.label, "did you mean `cdn.record`?");
    assert_eq!(problem.help.as_deref(), Some("it has cdn.record, cdn.purge, cdn.quiet"));
}

#[test]
fn limits_are_amounts_within_bounds() {
    check_use("limits memory=\"128MiB\" wall=\"30s\" cpu=\"500ms\"", &[]);
    for (limits, code, at) in [
        ("memory=64", "L205", "64"),
        ("memory=\"64MB\"", "L233", "\"64MB\""),
        ("memory=\"-1MiB\"", "L233", "\"-1MiB\""),
        ("memory=\"MiB\"", "L233", "\"MiB\""),
        ("memory=\"99999999999999GiB\"", "L233", "\"99999999999999GiB\""),
        ("memory=\"512KiB\"", "L205", "\"512KiB\""),
        ("memory=\"5GiB\"", "L205", "\"5GiB\""),
        ("wall=\"1ms\"", "L205", "\"1ms\""),
        ("wall=\"25h\"", "L205", "\"25h\""),
        ("wall=\"soon\"", "L233", "\"soon\""),
        ("cpu=\"2h\"", "L205", "\"2h\""),
        ("mem=\"1MiB\"", "L203", "mem"),
    ] {
        check_use(&format!("limits {limits}"), &[(code, at)]);
    }
    let workflow =
        workflow(&format!("workflow w\nuse \"./cdn.wasm\" as=cdn {{ limits memory=\"2GiB\" cpu=\"1m\" }}\n{STEP}\n"));
    let limits = workflow.components[0].limits;
    assert_eq!((limits.memory_bytes, limits.wall_ms, limits.cpu_ms), (2 << 30, 5 * 60_000, 60_000));
}

#[test]
fn grants_of_http_are_held_to_what_can_be_sent() {
    let wrong = |rest: &str, expected: &[(&str, &str)]| {
        check_grant(&format!("http \"https://a.example\" {{ {rest} }}"), expected)
    };
    check_grant("http", &[("L204", "http")]);
    check_grant("http \"https://a.example\" \"https://b.example\"", &[("L236", "\"https://b.example\"")]);
    check_grant("http \"https://a.example/v1\"", &[("L243", "/v1")]);
    check_grant("http a.example", &[("L243", "a.example")]);
    check_grant("http \"https://me@a.example\"", &[("L243", "me@")]);
    check_grant("http 1", &[("L232", "1")]);
    check_grant("https \"https://a.example\"", &[("L203", "https")]);
    wrong("methods get DELTE GET GET", &[("L244", "get"), ("L234", "DELTE"), ("L235", "GET")]);
    wrong("methods", &[("L204", "methods")]);
    wrong("methods GET; methods PUT", &[("L235", "methods")]);
    wrong("path v1", &[("L244", "v1")]);
    wrong("path \"/a/*/b\" \"/b?x\"", &[("L244", "*"), ("L244", "?x")]);
    wrong("path", &[("L204", "path")]);
    wrong("path \"/a\" x=1", &[("L203", "x")]);
    wrong("private soon", &[("L205", "soon")]);
    wrong("private; private", &[("L235", "private")]);
    check_grant("http \"https://a.example\" private=#true { private }", &[("L235", "private")]);
    check_grant("http \"https://a.example\" private=1", &[("L205", "1")]);
    wrong("privat #true", &[("L203", "privat")]);
    wrong("inject secret=tokn header=X-Key", &[("L211", "tokn")]);
    wrong("inject secret=\"${token}\" header=X-Key", &[("L223", "\"${token}\"")]);
    wrong("inject header=X-Key", &[("L204", "inject")]);
    wrong("inject secret=token", &[("L204", "inject")]);
    for header in ["Host", "content-length", "Connection", "Transfer-Encoding", "X Key", "X:", ""] {
        let written = format!("\"{header}\"");
        wrong(&format!("inject secret=token header={written}"), &[("L245", &written)]);
    }
    for format in ["Bearer", "{} {}", "", "a\\n{}"] {
        let written = format!("\"{format}\"");
        wrong(&format!("inject secret=token header=X-Key format={written}"), &[("L245", &written)]);
    }
}

#[test]
fn a_secret_over_plain_http_is_warned_of_unless_it_stays_on_the_machine() {
    let with = |origin: &str, inject: &str, expected: &[(&str, &str)]| {
        let grants = format!("http \"{origin}\" {{ methods POST; {inject} }}; dns \"*\"");
        check(&format!("use \"./cdn.wasm\" as=cdn {{ grant {{ {grants} }} }}\nstep a uses=cdn.purge"), expected);
    };
    let inject = "inject secret=token header=X-Key";
    for origin in ["http://a.example", "http://10.0.0.1:8080", "http://${inputs.domain}:8080"] {
        with(origin, inject, &[("L251", &format!("\"{origin}\""))]);
        with(origin, "", &[]);
    }
    for origin in ["https://a.example", "http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"] {
        with(origin, inject, &[]);
    }
    // What is missing is told beside it.
    check(
        &format!(
            "use \"./cdn.wasm\" as=cdn {{ grant {{ http \"http://a.example\" {{ {inject} }} }} }}\nstep a uses=cdn.quiet"
        ),
        &[("L250", "http \"http://a.example\""), ("L251", "\"http://a.example\"")],
    );
}

#[test]
fn grants_of_kubernetes_and_dns_name_what_is_there() {
    check_grant("k8s { verbs get; kinds Service }", &[("L204", "k8s")]);
    check_grant("k8s hub { verbs get; kinds Service }", &[("L210", "hub")]);
    check_grant("k8s eu", &[("L204", "k8s"), ("L204", "k8s")]);
    check_grant("k8s eu { verbs gte create; kinds Service }", &[("L234", "gte"), ("L234", "create")]);
    check_grant(
        "k8s eu { verbs get get; kinds service Pods.apps_v1 \"*\" }",
        &[("L235", "get"), ("L246", "service"), ("L246", "Pods.apps_v1"), ("L246", "\"*\"")],
    );
    check_grant("k8s eu namespace=Kcp { verbs get; kinds Service; names \"a*\" }", &[("L246", "Kcp"), ("L246", "a*")]);
    check_grant("k8s eu names=a { verbs get; kinds Service }", &[("L203", "names")]);
    check_grant("dns", &[("L204", "dns")]);
    check_grant("dns \"*.example.io\"", &[("L247", "*.example.io")]);
    check_grant("dns \"example..io\" { x }", &[("L247", "example..io"), ("L203", "x")]);
}

#[test]
fn texts_of_grants_may_depend_on_inputs_and_on_nothing_else() {
    let grant = "use \"./cdn.wasm\" as=cdn { grant { \
        http \"https://${inputs.domain}\" { methods POST; path \"/${inputs.domain}\" }; dns \"${inputs.domain}\"; \
        k8s \"${clusters.eu}\" namespace=\"${inputs.domain}\" { verbs get; kinds Service; names \"${inputs.domain}\" } } }";
    check(
        &format!("{grant}\nstep a uses=cdn.purge\nstep b uses=cdn.record"),
        &[("L249", "use \"./cdn.wasm\" as=cdn"), ("L249", "use \"./cdn.wasm\" as=cdn")],
    );
    check_grant("dns \"${quiet.address}\"", &[("L250", "dns \"${quiet.address}\""), ("L220", "quiet.address")]);
    check_grant("dns \"${token}\"", &[("L250", "dns \"${token}\""), ("L218", "\"${token}\"")]);
    check_grant("dns \"${inputs.nope}\"", &[("L250", "dns \"${inputs.nope}\""), ("L111", "nope")]);
    check_grant("dns \"${inputs.list}\"", &[("L250", "dns \"${inputs.list}\""), ("L222", "\"${inputs.list}\"")]);
    check_grant("http \"https://a.example\" { methods \"${inputs.domain}\" }", &[("L223", "\"${inputs.domain}\"")]);
    check_grant("k8s eu { verbs \"${inputs.domain}\"; kinds Service }", &[("L223", "\"${inputs.domain}\"")]);
    check_grant(
        "k8s \"${inputs.domain}\" { verbs get; kinds Service }",
        &[("L250", "k8s \"${inputs.domain}\""), ("L222", "\"${inputs.domain}\"")],
    );
}

#[test]
fn grants_can_be_shown_before_inputs_are_known() {
    let grants = "http \"https://${inputs.domain}:8443\" { path \"/v1/*\"; inject secret=token header=X-Key }; \
        k8s \"${clusters.eu}\" namespace=\"${inputs.ns}\" { verbs get; kinds Service }; dns \"*\"";
    let workflow = workflow(&format!(
        "workflow w\ncluster eu\ninput domain type=hostname\ninput ns type=string\nsecret token {{ from env=T }}\n\
         use \"./cdn.wasm\" as=cdn {{ grant {{ {grants} }} }}\n{STEP}\n"
    ));
    let shown = workflow.grants_as_written(&workflow.components[0]);
    let words: Vec<String> = shown.indices().map(|index| shown.words(index)).collect();
    assert_eq!(
        words,
        [
            "http GET HEAD https://${inputs.domain}:8443/v1/*, with a secret in `x-key`",
            "k8s get Service on ${clusters.eu} in ${inputs.ns}",
            "dns any name",
        ]
    );
}

/// What is said of a file with these grants and these kinds in use.
fn said(grants: &str, kinds: &[&str]) -> Vec<String> {
    let steps: Vec<String> = kinds.iter().enumerate().map(|(i, kind)| format!("step s{i} uses=cdn.{kind}\n")).collect();
    let text = format!(
        "workflow w\ncluster eu\ninput domain type=hostname\nuse \"./cdn.wasm\" as=cdn {{ grant {{ {grants} }} }}\n{}",
        steps.concat()
    );
    let (reading, source) = reading(&text);
    let line = |problem: &crate::diagnostic::Problem| {
        let at = problem.at.map_or("", |at| &source.text[at.start..at.end]);
        let help = problem.help.as_deref().unwrap_or_default().replace('\n', " | ");
        format!("{} {at}: {}; {help}", problem.code, problem.message)
    };
    reading.problems.iter().map(line).collect()
}

const ALL_OF_RECORD: &str = "http \"https://api.cdn.example\" { methods GET PUT; path \"/v1/zones/*\" }; k8s eu { verbs get list; kinds Service }";

#[test]
fn what_a_kind_asks_for_and_is_not_granted_is_told_with_the_lines_to_add() {
    assert_eq!(said(ALL_OF_RECORD, &["record"]), Vec::<String>::new());
    assert_eq!(
        said("", &["record", "record"]),
        [
            "L249 use \"./cdn.wasm\" as=cdn: `cdn.record` asks for GET, PUT https://api.cdn.example/v1/zones/*, which is not granted; \
             its reason: it reads and writes records | if you agree, add to a block `grant { … }` in the block of `cdn`: | \
             http \"https://api.cdn.example\" { methods GET PUT; path \"/v1/zones/*\" }",
            "L249 use \"./cdn.wasm\" as=cdn: `cdn.record` asks for get, list Service, which is not granted; \
             its reason: it looks for the address | if you agree, add to a block `grant { … }` in the block of `cdn`: | \
             k8s CLUSTER { verbs get list; kinds Service }",
        ]
    );
    assert_eq!(
        said("http \"https://api.cdn.example\"; k8s eu { verbs list; kinds Service }", &["record"]),
        [
            "L249 use \"./cdn.wasm\" as=cdn: `cdn.record` asks for PUT https://api.cdn.example/v1/zones/*, which is not granted; \
             its reason: it reads and writes records | if you agree, add to the `grant` of `cdn`: | \
             http \"https://api.cdn.example\" { methods PUT; path \"/v1/zones/*\" }",
            "L249 use \"./cdn.wasm\" as=cdn: `cdn.record` asks for get Service, which is not granted; \
             its reason: it looks for the address | if you agree, add to the `grant` of `cdn`: | \
             k8s CLUSTER { verbs get; kinds Service }",
        ]
    );
    assert_eq!(
        said("dns \"example.io\"", &["purge"]),
        [
            "L249 use \"./cdn.wasm\" as=cdn: `cdn.purge` asks for POST of a server of your choice, which is not granted; \
             its reason: it empties caches | if you agree, add to the `grant` of `cdn`: | http \"https://HOST\" { methods POST }",
            "L249 use \"./cdn.wasm\" as=cdn: `cdn.purge` asks for questions about example.org, which is not granted; \
             its reason: it waits for the name | if you agree, add to the `grant` of `cdn`: | dns \"example.org\"",
        ]
    );
}

#[test]
fn a_text_that_depends_on_inputs_may_be_what_is_asked_for() {
    let computed = "http \"https://${inputs.domain}\" { methods GET PUT; path \"/${inputs.domain}\" }; k8s eu { verbs get list; kinds Service }";
    assert_eq!(said(computed, &["record"]), Vec::<String>::new());
    let elsewhere = computed.replace("/${inputs.domain}", "/v2");
    assert_eq!(said(&elsewhere, &["record"]).len(), 1);
    let purge = "http \"https://${inputs.domain}\" { methods POST }; dns \"${inputs.domain}\"";
    assert_eq!(said(purge, &["purge"]), Vec::<String>::new());
}

#[test]
fn what_is_granted_and_asked_for_by_nothing_is_a_warning() {
    assert_eq!(
        said(&format!("{ALL_OF_RECORD}; dns \"example.io\"; http \"https://b.example\""), &["record"]),
        [
            "L250 dns \"example.io\": no kind of `cdn` that is used asks for this; leave the grant out: what is not granted cannot be misused",
            "L250 http \"https://b.example\": no kind of `cdn` that is used asks for this; leave the grant out: what is not granted cannot be misused",
        ]
    );
    let wide = "http \"https://api.cdn.example\" { methods GET PUT DELETE; path \"/v1/zones/*\" \"/admin\" }; \
        k8s eu { verbs get list delete; kinds Service Secret }";
    let marked: Vec<String> =
        said(wide, &["record"]).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(marked, ["L250 DELETE", "L250 \"/admin\"", "L250 delete", "L250 Secret"]);
    // HEAD was not written, so it cannot be left out.
    let reading = "http \"https://api.cdn.example\"; http \"https://api.cdn.example\" { methods PUT }; k8s eu { verbs get list; kinds Service }";
    assert_eq!(said(reading, &["record"]), Vec::<String>::new());
    assert_eq!(
        said(
            &format!(
                "{ALL_OF_RECORD}; http \"https://x.example\" {{ methods POST }}; dns \"example.io\"; dns \"example.org\""
            ),
            &["record", "purge"]
        ),
        Vec::<String>::new()
    );
}

#[test]
fn what_is_missing_is_marked_at_a_step_too() {
    let (reading, source) = reading("workflow w\nuse \"./cdn.wasm\" as=cdn\nstep a uses=cdn.record\n");
    let (at, label) = &reading.problems[0].related[0];
    assert_eq!(
        (&source.text[at.start..at.end], label.as_str()),
        ("step a uses=cdn.record", "this step uses `cdn.record`")
    );
}
