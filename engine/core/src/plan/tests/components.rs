//! What a component is granted, once inputs are known; and which clusters its steps touch.

use serde_json::json;
use steps_sdk::value::ClusterName;

use super::{HEAD, plan, refused, step, try_plan};
use crate::id::Digest;
use crate::plan::Plan;

const GRANTS: &str = "http \"https://api.cdn.example\" { methods GET PUT; path \"/v1/zones/*\"; private #true; \
    inject secret=token header=Authorization format=\"Bearer {}\" }; \
    k8s us namespace=\"${inputs.list[0]}\" { verbs get list; kinds Service; names \"lb-${inputs.n}\" }";

fn with_grants(grants: &str, kind: &str) -> String {
    format!("use \"./cdn.wasm\" as=cdn {{ grant {{ {grants} }}; limits wall=\"30s\" }}\nstep a uses=cdn.{kind} on=eu\n")
}

#[test]
fn inputs_are_filled_into_grants() {
    let plan = plan(&with_grants(GRANTS, "record"));
    let [component] = plan.components.as_slice() else { panic!("{:?}", plan.components) };
    assert_eq!((component.name.as_str(), component.source.as_str()), ("cdn", "./cdn.wasm"));
    assert_eq!((&component.digest, component.limits.wall_ms), (&Digest::of_bytes(b"cdn"), 30_000));
    let words: Vec<String> = component.grants.indices().map(|index| component.grants.words(index)).collect();
    assert_eq!(
        words,
        [
            "http GET PUT https://api.cdn.example/v1/zones/*, with a secret in `authorization`, private addresses too",
            "k8s get list Service on us in a, only lb-3",
        ]
    );
    assert!(component.grants.http("PUT", "https://api.cdn.example", "/v1/zones/7").is_some());
    let stored = serde_json::to_value(&plan).unwrap();
    assert_eq!(
        stored["components"][0]["grants"]["http"][0]["inject"]["secret"],
        json!({ "from": "env", "name": "TOKEN" })
    );
    assert_eq!(serde_json::from_value::<Plan>(stored).unwrap(), plan);
}

#[test]
fn private_addresses_are_granted_in_each_way_of_writing_what_is_true() {
    for (written, granted) in [
        ("{ private #true }", true),
        ("{ private }", true),
        ("private=#true", true),
        ("private=#false", false),
        ("{ private #false }", false),
        ("", false),
    ] {
        let plan = plan(&with_grants(&format!("http \"https://a.example\" {written}"), "quiet"));
        assert_eq!(plan.components[0].grants.http[0].private, granted, "{written}");
    }
}

#[test]
fn a_step_touches_the_clusters_that_its_component_is_granted() {
    let text = format!("{}step b uses=value.set {{ x 1 }}\n", with_grants(GRANTS, "record"));
    let plan = plan(&text);
    let clusters = |id| step(&plan, id).clusters.iter().map(|ClusterName(name)| name.as_str()).collect::<Vec<_>>();
    assert_eq!(clusters("a"), ["eu", "us"]);
    assert_eq!(clusters("b"), [""; 0]);
    assert_eq!(plan.component_of(&step(&plan, "a").kind).map(|component| component.name.as_str()), Some("cdn"));
    assert_eq!(plan.component_of(&step(&plan, "b").kind), None);
}

#[test]
fn a_plan_without_components_is_stored_as_before() {
    let stored = serde_json::to_value(plan("step b uses=value.set { x 1 }\n")).unwrap();
    assert!(stored.get("components").is_none());
    assert!(serde_json::from_value::<Plan>(stored).unwrap().components.is_empty());
}

#[test]
fn a_computed_text_is_held_to_what_can_be_granted() {
    for (grant, message) in [
        ("http \"${inputs.domain}\" { methods POST }", "`example.io` is not an origin: it has no scheme"),
        (
            "http \"https://${inputs.domain}/v1\" { methods POST }",
            "`https://example.io/v1` is not an origin: it has a path",
        ),
        (
            "http \"https://a.example\" { methods POST; path \"${inputs.domain}\" }",
            "`example.io` is not a path: it does not begin with `/`",
        ),
        (
            "k8s eu namespace=\"${inputs.domain}\" { verbs get; kinds Service }",
            "`.` is not allowed in the label `example.io`",
        ),
        (
            "k8s eu { verbs get; kinds Service; names \"${inputs.domain}/*\" }",
            "`example.io/*` is not the name of an object",
        ),
        ("dns \"*.${inputs.domain}\"", "`*.example.io` is not a domain"),
    ] {
        let found = refused(&format!("{HEAD}{}", with_grants(grant, "quiet")), &[]);
        let [(code, said)] = found.as_slice() else { panic!("{grant}: {found:?}") };
        assert!(*code == "P012" && said.contains(message), "{grant}: {code} {said}");
    }
    let grant = "k8s \"${inputs.where}\" { verbs get; kinds Service }";
    let text = format!("{HEAD}input where type=cluster\n{}", with_grants(grant, "quiet"));
    assert_eq!(refused(&text, &[("where", "hub")])[0].0, "P010");
    assert!(try_plan(&text, &[("where", "us")]).is_ok());
}

#[test]
fn what_is_asked_for_is_compared_again_when_inputs_are_known() {
    let grants = "http \"https://${inputs.domain}\" { methods GET PUT; path \"/v1/zones/*\" }; k8s eu { verbs get list; kinds Service }";
    let text = format!("{HEAD}{}", with_grants(grants, "record"));
    let problems = try_plan(&text, &[]).expect_err("the default is another server");
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(problem.code, "P013");
    assert_eq!(
        problem.message,
        "`cdn.record` asks for GET, PUT https://api.cdn.example/v1/zones/*, which is not granted"
    );
    assert!(
        problem
            .help
            .as_ref()
            .unwrap()
            .ends_with("http \"https://api.cdn.example\" { methods GET PUT; path \"/v1/zones/*\" }")
    );
    assert!(try_plan(&text, &[("domain", "api.cdn.example")]).is_ok());
}

#[test]
fn the_digest_covers_the_bytes_grants_and_limits_and_not_the_path() {
    let first = plan(&with_grants(GRANTS, "record")).digest;
    let of = |from: &str, to: &str| {
        let text = with_grants(GRANTS, "record").replace(from, to);
        assert_ne!(text, with_grants(GRANTS, "record"), "{from}");
        plan(&text).digest
    };
    assert_eq!(of("./cdn.wasm", "./moved/cdn.wasm"), first);
    for (from, to) in [
        ("private #true", "private #false"),
        ("/v1/zones/*\"", "/v1/*\""),
        ("lb-", "lb"),
        ("k8s us", "k8s eu"),
        ("\"Bearer {}\"", "\"{}\""),
        ("wall=\"30s\"", "wall=\"31s\""),
    ] {
        assert_ne!(of(from, to), first, "{from}");
    }
    let mut other = plan(&with_grants(GRANTS, "record"));
    other.components[0].digest = Digest::of_bytes(b"other");
    assert_ne!(crate::plan::digest::of(&other), first);
}
