//! Groups opened, values folded, needs.

use serde_json::json;

use super::{field, id, ids, needs, plan, refused, step};
use crate::plan::{Bound, Input, TextPart};

const REGIONS: &str = "workflow t\ncluster eu\ncluster us\ntype region { name type=string; cluster type=cluster }\ninput regions type=\"list<region>\" { default { - name=alpha cluster=eu; - name=beta cluster=us } }\n";

fn regions(text: &str) -> crate::plan::Plan {
    super::try_plan(&format!("{REGIONS}{text}"), &[]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn each_element_makes_an_instance_under_its_key() {
    let plan = regions(
        "step first uses=value.set { x 1 }\nfor-each r in=\"inputs.regions\" key=\"r.name\" as=region parallel=1 {\n needs first\n step space uses=k.apply on=\"${r.cluster}\" { object name=\"${r.name}\" }\n \
         step deploy uses=value.set { from \"${space.ref}\"; size 3 }\n}\nstep last uses=value.set needs=region { x 1 }",
    );
    assert_eq!(
        ids(&plan),
        ["first", "region[alpha].space", "region[alpha].deploy", "region[beta].space", "region[beta].deploy", "last"]
    );
    let space = step(&plan, "region[beta].space");
    assert_eq!(space.owner, "engine/t/region[beta].space");
    assert_eq!(space.on.as_ref().unwrap().0, "us");
    assert_eq!(space.clusters.iter().map(|cluster| cluster.0.as_str()).collect::<Vec<_>>(), ["us"]);
    assert_eq!(field(&plan, "region[beta].space", "object"), Input::Known(json!([{ "name": "beta" }])));
    assert_eq!(space.group.as_ref().unwrap().key, "beta");
    assert_eq!(needs(&plan, "region[beta].deploy"), ["first Success", "region[beta].space Success"]);
    assert_eq!(needs(&plan, "last").len(), 4);
    assert_eq!((plan.groups[0].id.as_str(), plan.groups[0].parallel), ("region", Some(1)));
}

#[test]
fn a_key_that_depends_on_inputs_waits_for_one_instance() {
    let export = "for-each r in=\"inputs.regions\" key=\"r.name\" as=export { step declare uses=value.set { x \"${r.name}\" } }\n";
    let plan = regions(&format!(
        "{export}for-each s in=\"inputs.regions\" key=\"s.name\" as=region {{ step carry uses=value.set {{ x \"${{export[s.name].declare.x}}\" }} }}"
    ));
    assert_eq!(needs(&plan, "region[beta].carry"), ["export[beta].declare Success"]);
    let Input::Late(late) = field(&plan, "region[beta].carry", "x") else { panic!("late") };
    let Bound::Instances(instances) = &late.names["export"] else { panic!("instances") };
    assert_eq!(instances["beta"]["declare"], Bound::Step(id("export[beta].declare")));
    assert_eq!(instances.len(), 1);
    let plan = regions(&format!(
        "{export}step all uses=value.set {{ x \"${{export.map(k, export[k].declare.x)}}\" }}\nstep one uses=value.set {{ x \"${{export['alpha'].declare.x}}\" }}"
    ));
    assert_eq!(needs(&plan, "all"), ["export[alpha].declare Success", "export[beta].declare Success"]);
    assert_eq!(needs(&plan, "one"), ["export[alpha].declare Success"]);
    let found =
        refused(&format!("{REGIONS}{export}step one uses=value.set {{ x \"${{export['gamma'].declare.x}}\" }}"), &[]);
    assert_eq!(found, [("P008", "group `export` has no instance `gamma`".to_owned())]);
}

#[test]
fn keys_are_words_and_differ() {
    let group = "workflow t\ninput list type=\"list<string>\"\nfor-each s in=\"inputs.list\" as=g { step a uses=value.set { x \"${s}\" } }";
    for (list, message) in [
        ("[\"a\", \"b\", \"a\"]", "two instances of group `g` have the key `a`"),
        ("[\"a b\"]", "`a b` cannot be the key of an instance"),
        ("[\"\"]", "`` cannot be the key of an instance"),
        ("[\"a]\"]", "`a]` cannot be the key of an instance"),
        ("[\"../x\"]", "`../x` cannot be the key of an instance"),
    ] {
        assert_eq!(refused(group, &[("list", list)]), [("P005", message.to_owned())], "{list}");
    }
    assert_eq!(super::try_plan(group, &[("list", "[]")]).unwrap().steps.len(), 0);
}

#[test]
fn what_is_known_is_computed_and_the_rest_stays() {
    let plan = plan(
        "step a uses=t.every\nstep b uses=t.every on=us {\n host \"api.${inputs.domain}\"\n count \"${inputs.n + 1}\"\n text \"n=${inputs.n} of ${a.text} at ${run.id}\"\n \
         optional \"${a.text}\"\n secret token\n targets eu\n}",
    );
    assert_eq!(field(&plan, "b", "host"), Input::Known(json!("api.example.io")));
    assert_eq!(field(&plan, "b", "count"), Input::Known(json!(4)));
    assert!(matches!(field(&plan, "b", "secret"), Input::Secret(_)));
    let Input::Text(parts) = field(&plan, "b", "text") else { panic!("a text") };
    assert!(matches!(&parts[0], TextPart::Literal(text) if text == "n=3 of "), "{parts:?}");
    assert_eq!(parts.len(), 4);
    assert!(matches!(field(&plan, "b", "optional"), Input::Late(late) if late.names["a"] == Bound::Step(id("a"))));
    assert_eq!(step(&plan, "b").clusters.iter().map(|cluster| cluster.0.as_str()).collect::<Vec<_>>(), ["us", "eu"]);
}

#[test]
fn of_the_inputs_only_what_an_expression_reads_is_stored() {
    let plan = plan("step a uses=t.every\nstep b uses=t.every { text \"${inputs.domain + a.text}\" }");
    let Input::Late(late) = field(&plan, "b", "text") else { panic!("late") };
    assert_eq!(late.names["inputs"], Bound::Value(json!({ "domain": "example.io" })));
}

#[test]
fn a_computed_value_is_held_to_its_type() {
    let text = |body: &str| {
        format!("workflow t\ninput n type=int\ninput name type=string\ncluster eu\nstep a uses=t.every {{ {body} }}")
    };
    for (body, code) in [
        ("count \"${inputs.n * 100}\"", "P006"),
        ("host \"${inputs.name}\"", "P006"),
        ("host \"x.${inputs.name}\"", "P006"),
        ("mode \"${inputs.name}\"", "P006"),
        ("count \"${inputs.n / 0}\"", "P007"),
        ("free \"${[1][inputs.n]}\"", "P007"),
    ] {
        let found = refused(&text(body), &[("n", "5"), ("name", "a_b")]);
        assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [code], "{body}: {found:?}");
    }
}

#[test]
fn asking_for_an_outcome_waits_for_any_end() {
    let plan = plan(
        "step a uses=t.every\nstep ha uses=t.every when=\"inputs.n == 3\"\nstep b uses=t.every when=\"failed(a) || succeeded(a)\"\nstep c uses=t.every when=\"failed(a)\" needs=a\n\
         step d uses=t.every { text \"${exists(ha) ? ha.text : 'none'}\" }",
    );
    assert_eq!(needs(&plan, "b"), ["a End"]);
    assert_eq!(needs(&plan, "c"), ["a End"]);
    assert_eq!(needs(&plan, "d"), ["ha Success"]);
    assert!(step(&plan, "ha").when.is_none(), "a condition that holds needs no evaluation");
}

#[test]
fn repetitions_over_known_lists_are_unrolled() {
    let plan = plan(
        "step a uses=t.every\nstep b uses=d.records {\n zone \"a.b\"\n record A \"first.a.b\" \"0\"\n for-each s in=\"inputs.list\" { record A \"${s}.a.b\" \"1\" }\n}\n\
         step c uses=d.records {\n zone \"a.b\"\n for-each s in=\"a.list\" { record A \"${s}.a.b\" \"${a.text}\" }\n}",
    );
    let Input::Known(records) = field(&plan, "b", "record") else { panic!("known") };
    let names: Vec<&str> = records.as_array().unwrap().iter().map(|record| record["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first.a.b", "a.a.b", "b.a.b"]);
    let Input::List(items) = field(&plan, "c", "record") else { panic!("a list") };
    assert!(matches!(&items[..], [Input::Repeat(repeat)] if repeat.name == "s" && repeat.items.len() == 1));
}

#[test]
fn settings_come_from_the_step_then_the_defaults_then_the_engine() {
    use crate::plan::{Backoff, RetryOn};
    use steps_sdk::spec::TimeLimit;
    let head = "workflow t { defaults { timeout \"7m\"; retry attempts=5 cap=\"1m\" on=any }; limits parallel=3 }\n";
    let plan = super::try_plan(
        &format!("{head}step a uses=value.set {{ x 1 }}\nstep b uses=value.set {{ x 1; timeout \"1s\"; retry attempts=2 backoff=constant first=\"2m\" }}\nstep c uses=k.wait\nstep d uses=k.wait {{ wait for=\"9s\" }}\n\
         step e uses=d.records {{ zone \"a.b\"; wait {{ resolves }} }}"),
        &[],
    )
    .unwrap();
    assert_eq!((plan.limits.parallel, plan.limits.per_cluster), (3, crate::limits::PER_CLUSTER_DEFAULT));
    let limit = |id: &str| (step(&plan, id).time_limit, step(&plan, id).wait_for_ms);
    assert_eq!(limit("a"), (TimeLimit::Action { timeout_ms: 420_000 }, None));
    assert_eq!(limit("b"), (TimeLimit::Action { timeout_ms: 1_000 }, None));
    assert_eq!(limit("c"), (TimeLimit::Wait { for_ms: 60_000 }, Some(60_000)));
    assert_eq!(limit("d"), (TimeLimit::Wait { for_ms: 9_000 }, Some(9_000)));
    assert_eq!(limit("e"), (TimeLimit::Action { timeout_ms: 420_000 }, Some(600_000)));
    assert_eq!(field(&plan, "e", "wait"), Input::Known(json!({ "resolves": true })));
    let retry = &step(&plan, "b").retry;
    assert_eq!((retry.attempts, retry.first_ms, retry.cap_ms, retry.backoff), (2, 120_000, 120_000, Backoff::Constant));
    assert_eq!(retry.on, RetryOn::Any);
}
