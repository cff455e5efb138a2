//! Clusters that steps make, and kcp workspaces.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ids, needs, refused, step, try_plan};
use crate::id::{RunId, StepId, Timestamp};
use crate::plan::{Fact, Facts, Input, Plan, evaluate_kubeconfigs};

const HEAD: &str = "workflow t\ncluster hub\ncluster kcp { kubeconfig from=\"${admin.key}\"; workspace \"root:${inputs.org}\" }\ninput org type=string default=dev\n\
    input where type=cluster default=kcp\nstep admin uses=p.leaf { common-name x; keep file=\"x\" }\n";

fn made(text: &str) -> Plan {
    try_plan(&format!("{HEAD}{text}"), &[]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn steps_on_a_cluster_wait_for_the_step_that_makes_it() {
    let plan = made(
        "step a uses=k.apply on=kcp\nstep b uses=k.apply on=\"${inputs.where}\"\nstep c uses=t.every { target kcp }\nstep d uses=k.apply on=hub\n\
         template t { param on type=cluster; step s uses=k.apply on=\"${param.on}\" }\ncall e uses=t { on kcp }",
    );
    for on_kcp in ["a", "b", "c", "e.s"] {
        assert_eq!(needs(&plan, on_kcp), ["admin Success"], "{on_kcp}");
        assert_eq!(plan.awaited(step(&plan, on_kcp)), [StepId::new("admin")].into(), "it is shown as later: {on_kcp}");
    }
    assert!(needs(&plan, "d").is_empty() && plan.awaited(step(&plan, "d")).is_empty());
    assert_eq!(ids(&plan)[0], "admin");
    let kcp = &plan.clusters[1];
    assert!(kcp.is_late());
    assert_eq!(kcp.made_by(), [StepId::new("admin")].into());
    assert_eq!(kcp.workspace.as_deref(), Some("root:dev"));
    let stored: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(stored, plan);
}

#[test]
fn a_kubeconfig_is_evaluated_when_it_was_made() {
    let plan = made("step a uses=k.apply on=kcp\nstep d uses=k.apply on=hub");
    let text = |text: &str| text.to_owned();
    let secret = steps_sdk::Secret::K8s { cluster: text("hub"), namespace: text("n"), name: text("s"), key: text("k") };
    let outputs = json!({ "key": secret });
    let run: RunId = "run-1".parse().unwrap();
    let ask = |id: &str, fact: Option<&Value>| {
        let lookup = |_: &StepId| fact.map_or(Fact::Failed, Fact::Succeeded);
        evaluate_kubeconfigs(&plan, step(&plan, id), &Facts { fact: &lookup, run_id: &run, started: Timestamp(0) })
    };
    let found = ask("a", Some(&outputs)).unwrap();
    assert_eq!(found.into_values().collect::<Vec<_>>(), [secret]);
    assert_eq!(ask("d", None).unwrap(), BTreeMap::new());
    assert!(ask("a", None).unwrap_err().message.contains("admin"), "it says which step gave nothing");
}

#[test]
fn a_declared_secret_is_a_kubeconfig_too() {
    let plan = try_plan("workflow t\nsecret kc { from env=KC }\ncluster kcp { kubeconfig from=kc context=admin }\nstep a uses=k.apply on=kcp", &[]).unwrap();
    assert!(matches!(plan.clusters[0].from, Some(Input::Secret(_))));
    assert!(!plan.clusters[0].is_late() && needs(&plan, "a").is_empty());
}

#[test]
fn a_cluster_is_not_made_by_a_step_that_waits_for_it() {
    let text = "workflow t\ncluster kcp { kubeconfig from=\"${admin.key}\" }\ninput where type=cluster default=kcp\nstep first uses=k.apply on=\"${inputs.where}\"\nstep admin uses=p.leaf needs=first { common-name x; keep file=\"x\" }\n";
    assert_eq!(
        refused(text, &[]),
        [("P014", "cluster `kcp` is made by a step that waits for a step on it: first → admin → first".to_owned())]
    );
}

#[test]
fn a_workspace_has_an_absolute_path() {
    for org in ["", "a b", "a:", ":a", "..", "A"] {
        let found = refused(&format!("{HEAD}step a uses=k.apply on=kcp"), &[("org", org)]);
        assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["P006"], "{org}: {found:?}");
    }
}
