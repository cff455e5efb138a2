//! Templates opened: paths, values, edges, conditions, and how a late value finds its way through calls.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{field, ids, needs, plan, refused, step};
use crate::id::{RunId, StepId, Timestamp};
use crate::plan::{Fact, Facts, Input, Plan, evaluate_inputs, evaluate_outputs, evaluate_when};

const STORE: &str = "template store {\n param on type=cluster\n param name type=dns-label\n param motto type=string default=none\n \
    step space uses=k.apply on=\"${param.on}\" { object name=\"${param.name}\" }\n \
    step members uses=t.every needs=space { text \"${param.motto}\"; host \"${param.name}.${inputs.domain}\" }\n \
    output endpoint \"https://${param.name}.${inputs.domain}\"\n output text \"${members.text}\"\n}\n";

fn stored(text: &str) -> Plan {
    plan(&format!("{STORE}{text}"))
}

/// With what steps gave: their outputs, or null for a step that failed, `"skipped"` for one that was skipped.
fn with_facts<T>(given: &[(&str, Value)], ask: impl FnOnce(&Facts<'_>) -> T) -> T {
    let given: BTreeMap<&str, &Value> = given.iter().map(|(id, value)| (*id, value)).collect();
    let lookup = |id: &StepId| match given.get(id.as_str()) {
        None => Fact::Unfinished,
        Some(Value::Null) => Fact::Failed,
        Some(Value::String(_)) => Fact::Skipped,
        Some(outputs) => Fact::Succeeded(outputs),
    };
    let run: RunId = "run-1".parse().unwrap();
    ask(&Facts { fact: &lookup, run_id: &run, started: Timestamp(0) })
}

fn inputs(plan: &Plan, id: &str, given: &[(&str, Value)]) -> Value {
    with_facts(given, |facts| evaluate_inputs(step(plan, id), facts)).unwrap()
}

#[test]
fn the_steps_of_a_call_stand_under_its_path() {
    let plan = stored(
        "call root_store uses=store { on eu; name root }\n\
         for-each r in=\"inputs.list\" as=region {\n call store uses=store { on us; name \"${r}\" }\n step after uses=t.every { text \"${store.endpoint}\" }\n}\n\
         step last uses=t.every { text \"${root_store.text} ${region['b'].store.text}\" }",
    );
    assert_eq!(
        ids(&plan),
        [
            "root_store.space",
            "root_store.members",
            "region[a].store.space",
            "region[a].store.members",
            "region[a].after",
            "region[b].store.space",
            "region[b].store.members",
            "region[b].after",
            "last",
        ]
    );
    let space = step(&plan, "region[b].store.space");
    assert_eq!(space.owner, "engine/t/example.io/region[b].store.space");
    assert_eq!(space.on.as_ref().unwrap().0, "us");
    assert_eq!(space.group.as_ref().map(|member| (member.group, member.key.as_str())), Some((0, "b")));
    assert_eq!(field(&plan, "region[b].store.space", "object"), Input::Known(json!([{ "name": "b" }])));
    assert_eq!(needs(&plan, "region[b].store.members"), ["region[b].store.space Success"]);
    // What reads an output waits for the whole call, even if the value is known before.
    assert_eq!(needs(&plan, "region[a].after"), ["region[a].store.members Success", "region[a].store.space Success"]);
    assert_eq!(needs(&plan, "last").len(), 4);
    let facts = [
        ("root_store.space", json!({})),
        ("root_store.members", json!({ "text": "one" })),
        ("region[a].store.space", json!({})),
        ("region[a].store.members", json!({})),
        ("region[b].store.space", json!({})),
        ("region[b].store.members", json!({ "text": "two" })),
    ];
    assert_eq!(inputs(&plan, "last", &facts)["text"], "one two");
    assert_eq!(inputs(&plan, "region[a].after", &facts)["text"], "https://a.example.io");
}

#[test]
fn a_value_that_comes_late_passes_through_calls() {
    let plan = plan(
        "step first uses=t.every\n\
         template inner { param a type=string; param b type=string default=x; step s uses=t.every { text \"<${param.a}${param.b}>\" }; output got \"${s.text}\" }\n\
         template outer { param a type=string; call deep uses=inner { a \"(${param.a})\" }; output got \"${deep.got}!\" }\n\
         call c uses=outer { a \"${first.text}\" }\nstep last uses=t.every { text \"${c.got}\" }",
    );
    assert_eq!(ids(&plan), ["first", "c.deep.s", "last"]);
    assert_eq!(needs(&plan, "c.deep.s"), ["first Success"]);
    assert_eq!(needs(&plan, "last"), ["c.deep.s Success"]);
    assert_eq!(inputs(&plan, "c.deep.s", &[("first", json!({ "text": "t" }))])["text"], "<(t)x>");
    assert_eq!(inputs(&plan, "last", &[("c.deep.s", json!({ "text": "s" }))])["text"], "s!");
    // A plan that was stored means the same.
    let stored: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(stored, plan);
    assert_eq!(inputs(&stored, "c.deep.s", &[("first", json!({ "text": "t" }))])["text"], "<(t)x>");
}

#[test]
fn secrets_go_through_a_param_by_their_place() {
    let plan = plan(
        "template t { param key type=secret; step a uses=t.every { secret \"${param.key}\" } }\ncall c uses=t { key token }",
    );
    let Input::Known(value) = field(&plan, "c.a", "secret") else { panic!("known") };
    assert_eq!(value, serde_json::to_value(steps_sdk::Secret::Env { name: "TOKEN".into() }).unwrap());
}

#[test]
fn the_condition_and_the_needs_of_a_call_hold_for_all_of_its_steps() {
    let plan = stored(
        "step gate uses=t.every\nstep other uses=t.every\n\
         call c uses=store when=\"gate.count > 1\" needs=other { on eu; name x }\n\
         step after uses=t.every when=\"skipped(c) || failed(c)\"\nstep same uses=t.every when=\"gate.count > 1\" { text \"${c.text}\" }\n\
         call never uses=store when=\"inputs.n == 4\" { on eu; name y }",
    );
    assert_eq!(needs(&plan, "c.members"), ["c.space Success", "gate Success", "other Success"]);
    assert_eq!(needs(&plan, "c.space"), ["gate Success", "other Success"]);
    assert_eq!(needs(&plan, "after"), ["c.members End", "c.space End"]);
    let runs = |id: &str, facts: &[(&str, Value)]| {
        with_facts(facts, |facts| evaluate_when(step(&plan, id), facts).map(|when| when.map(|when| when.text.clone())))
            .unwrap()
    };
    assert_eq!(runs("c.space", &[("gate", json!({ "count": 2 }))]), None);
    assert_eq!(runs("c.members", &[("gate", json!({ "count": 1 }))]), Some("gate.count > 1".to_owned()));
    assert_eq!(runs("never.space", &[]), Some("inputs.n == 4".to_owned()));
    let skipped = [("c.space", json!("skipped")), ("c.members", json!("skipped"))];
    assert_eq!(runs("after", &skipped), None);
    assert_eq!(runs("after", &[("c.space", json!({})), ("c.members", Value::Null)]), None);
    assert!(runs("after", &[("c.space", json!({})), ("c.members", json!({}))]).is_some());
}

#[test]
fn outputs_of_calls_are_outputs_of_the_workflow() {
    let plan = stored("call c uses=store { on eu; name x }\noutput where \"${c.endpoint}\"\noutput text \"${c.text}\"");
    let facts = [("c.space", json!({})), ("c.members", json!({ "text": "t" }))];
    let found = with_facts(&facts, |facts| {
        evaluate_outputs(&plan, facts)
            .into_iter()
            .map(|(output, value)| (output.name.clone(), value.unwrap()))
            .collect::<Vec<_>>()
    });
    assert_eq!(found, [("where".to_owned(), json!("https://x.example.io")), ("text".to_owned(), json!("t"))]);
}

#[test]
fn a_problem_in_a_template_names_the_calls_that_it_came_through() {
    let text = "workflow t\ninput names type=\"list<string>\"\n\
        template inner { param host type=string; step a uses=t.every { host \"${param.host}\" } }\n\
        template outer { param host type=string; call deep uses=inner { host \"${param.host}\" } }\n\
        for-each n in=\"inputs.names\" as=g { call c uses=outer { host \"${n}\" } }";
    let found = super::try_plan(text, &[("names", "[\"ok\", \"a_b\"]")]).unwrap_err();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].code, "P006");
    let related: Vec<(&str, &str)> =
        found[0].related.iter().map(|(at, words)| (&text[at.start..at.end], words.as_str())).collect();
    assert_eq!(
        related,
        [
            ("call deep uses=inner", "in `g[a_b].c.deep`, which is called here"),
            ("call c uses=outer", "in `g[a_b].c`, which is called here"),
        ]
    );
}

#[test]
fn params_are_held_to_their_checks_and_types() {
    let text = |call: &str| {
        format!(
            "workflow t\ninput n type=int default=1\ninput name type=string default=a_b\ntemplate t {{\n param amount type=u8 {{ check \"param.amount % 2 == 1\" message=\"an odd number has a majority\" }}\n param host type=hostname default=x\n step a uses=t.every {{ count \"${{param.amount}}\" }}\n}}\n{call}"
        )
    };
    assert_eq!(super::try_plan(&text("call c uses=t { amount 3 }"), &[]).unwrap().steps.len(), 1);
    assert_eq!(
        refused(&text("call c uses=t { amount 4 }"), &[]),
        [("P004", "param `amount`: an odd number has a majority".to_owned())]
    );
    let found = refused(&text("call c uses=t { amount \"${inputs.n + 300}\" }"), &[]);
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["P006"], "{found:?}");
    // A value that no step reads is held to its type as well.
    let found = refused(&text("call c uses=t { amount 3; host \"${inputs.name}\" }"), &[]);
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["P006"], "{found:?}");
}

#[test]
fn groups_in_templates_are_groups_of_their_own_in_each_call() {
    let plan = plan(
        "template t { param list type=\"list<string>\"; for-each x in=\"param.list\" as=part parallel=1 { step a uses=t.every { text \"${x}\" } }; output all \"${part.map(k, part[k].a.text)}\" }\n\
         for-each r in=\"inputs.list\" as=region parallel=2 { call c uses=t { list \"${[r, 'z']}\" } }\ncall d uses=t { list q }\nstep last uses=t.every { free \"${region['a'].c.all}\" }",
    );
    assert_eq!(
        ids(&plan),
        [
            "region[a].c.part[a].a",
            "region[a].c.part[z].a",
            "region[b].c.part[b].a",
            "region[b].c.part[z].a",
            "d.part[q].a",
            "last"
        ]
    );
    let groups: Vec<(&str, Option<usize>)> =
        plan.groups.iter().map(|group| (group.id.as_str(), group.parallel)).collect();
    assert_eq!(
        groups,
        [("region", Some(2)), ("region[a].c.part", Some(1)), ("region[b].c.part", Some(1)), ("d.part", Some(1))]
    );
    let around = |id: &str| -> Vec<(usize, String)> {
        plan.memberships(step(&plan, id)).map(|member| (member.group, member.key.clone())).collect()
    };
    assert_eq!(around("region[b].c.part[z].a"), [(2, "z".to_owned()), (0, "b".to_owned())]);
    assert_eq!(around("d.part[q].a"), [(3, "q".to_owned())]);
    let facts = [("region[a].c.part[a].a", json!({ "text": "1" })), ("region[a].c.part[z].a", json!({ "text": "2" }))];
    assert_eq!(inputs(&plan, "last", &facts)["free"], json!(["1", "2"]));
}

#[test]
fn nested_groups_see_what_is_around_them() {
    let plan = plan(
        "for-each a in=\"inputs.list\" as=outer {\n step first uses=t.every\n for-each b in=\"['x', a]\" as=inner { step s uses=t.every { text \"${a}${b}${first.text}\" } }\n step third uses=t.every needs=inner\n}\n\
         step last uses=t.every { text \"${outer['a'].inner['x'].s.text}\" }",
    );
    assert_eq!(needs(&plan, "outer[b].inner[x].s"), ["outer[b].first Success"]);
    assert_eq!(needs(&plan, "outer[b].third"), ["outer[b].inner[b].s Success", "outer[b].inner[x].s Success"]);
    assert_eq!(needs(&plan, "last"), ["outer[a].inner[x].s Success"]);
    assert_eq!(inputs(&plan, "outer[b].inner[x].s", &[("outer[b].first", json!({ "text": "!" }))])["text"], "bx!");
}

#[test]
fn a_template_that_is_not_called_is_no_part_of_the_plan() {
    let plan = stored("step a uses=value.set { x 1 }");
    assert_eq!(ids(&plan), ["a"]);
    assert_eq!(plan.kinds.keys().map(|kind| kind.as_str()).collect::<Vec<_>>(), ["value.set"]);
    assert_eq!(plan.digest, super::plan("step a uses=value.set { x 1 }").digest);
}

#[test]
fn calls_that_multiply_are_stopped() {
    let mut text = "workflow t\ntemplate t0 { step a uses=t.every; step b uses=t.every }\n".to_owned();
    for level in 1..40 {
        text.push_str(&format!("template t{level} {{ call a uses=t{0}; call b uses=t{0} }}\n", level - 1));
    }
    text.push_str("call c uses=t39");
    let found = refused(&text, &[]);
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["P009"]);
}
