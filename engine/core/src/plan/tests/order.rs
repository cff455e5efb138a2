//! Generated graphs: whatever the file's order, every step comes after what it needs, and the needs are those that were written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;

use super::try_plan;

/// For each step: which earlier ones it refers to, which it names in `needs`, and a place in the file.
fn graphs() -> impl Strategy<Value = Vec<(BTreeSet<usize>, BTreeSet<usize>, u32)>> {
    (1_usize..25).prop_flat_map(|count| {
        let steps: Vec<_> = (0..count)
            .map(|index| {
                let earlier = || proptest::collection::btree_set(0..index.max(1), 0..=index.min(4));
                (earlier(), earlier(), any::<u32>()).prop_map(move |(refers, needs, place)| {
                    if index == 0 { (BTreeSet::new(), BTreeSet::new(), place) } else { (refers, needs, place) }
                })
            })
            .collect();
        steps
    })
}

fn text(graph: &[(BTreeSet<usize>, BTreeSet<usize>, u32)]) -> String {
    let mut order: Vec<usize> = (0..graph.len()).collect();
    order.sort_by_key(|index| graph[*index].2);
    let mut text = "workflow generated\n".to_owned();
    for index in order {
        let (refers, needs, _) = &graph[index];
        let _ = write!(text, "step s{index} uses=value.set {{ own {index}");
        for other in refers {
            let _ = write!(text, "; from_{other} \"${{s{other}.own}}\"");
        }
        if !needs.is_empty() {
            let _ =
                write!(text, "; needs {}", needs.iter().map(|other| format!("s{other}")).collect::<Vec<_>>().join(" "));
        }
        text.push_str(" }\n");
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn a_plan_is_in_an_order_in_which_it_can_run(graph in graphs()) {
        let text = text(&graph);
        let plan = try_plan(&text, &[]).unwrap();
        prop_assert_eq!(plan.steps.len(), graph.len());
        let place: BTreeMap<&str, usize> = plan.steps.iter().enumerate().map(|(position, step)| (step.id.as_str(), position)).collect();
        for (index, (refers, needs, _)) in graph.iter().enumerate() {
            let step = &plan.steps[place[format!("s{index}").as_str()]];
            let wanted: BTreeSet<String> = refers.union(needs).map(|other| format!("s{other}")).collect();
            let found: BTreeSet<String> = step.needs.iter().map(|need| need.step.to_string()).collect();
            prop_assert_eq!(&found, &wanted);
            for need in &step.needs {
                prop_assert!(place[need.step.as_str()] < place[step.id.as_str()], "{} before {}", need.step, step.id);
            }
        }
        prop_assert_eq!(try_plan(&text, &[]).unwrap(), plan, "planning is a function");
    }

    #[test]
    fn steps_mean_the_same_in_a_template_that_is_called(graph in graphs()) {
        let alone = try_plan(&text(&graph), &[]).unwrap();
        let steps = text(&graph).replacen("workflow generated\n", "", 1);
        let called = format!("workflow generated\ntemplate t {{\n{steps}}}\nfor-each k in=\"['a', 'b']\" as=g {{ call c uses=t }}\n");
        let called = try_plan(&called, &[]).unwrap();
        prop_assert_eq!(called.steps.len(), 2 * alone.steps.len());
        for key in ["a", "b"] {
            let inside = called.steps.iter().filter(|step| step.group.as_ref().is_some_and(|member| member.key == key));
            for (step, alone) in inside.zip(&alone.steps) {
                prop_assert_eq!(step.id.to_string(), format!("g[{key}].c.{}", alone.id));
                let needs: Vec<String> = step.needs.iter().map(|need| need.step.to_string()).collect();
                let wanted: Vec<String> = alone.needs.iter().map(|need| format!("g[{key}].c.{}", need.step)).collect();
                prop_assert_eq!(needs, wanted);
            }
        }
    }

    #[test]
    fn the_order_of_the_file_does_not_change_the_digest(graph in graphs(), places in proptest::collection::vec(any::<u32>(), 25)) {
        let mut shuffled = graph.clone();
        for (step, place) in shuffled.iter_mut().zip(places) {
            step.2 = place;
        }
        prop_assert_eq!(try_plan(&text(&graph), &[]).unwrap().digest, try_plan(&text(&shuffled), &[]).unwrap().digest);
    }

    #[test]
    fn an_edge_back_is_a_circle(graph in graphs(), from in any::<prop::sample::Index>()) {
        // The first step is made to wait for one that waits for it, over however many others.
        let mut graph = graph;
        graph.push(([0].into(), BTreeSet::new(), 0));
        let last = graph.len() - 1;
        let through = from.index(graph.len());
        if through != 0 {
            graph[last].0.insert(through.min(last - 1));
        }
        graph[0].0.insert(last);
        let source = crate::diagnostic::Source { name: "t".into(), text: text(&graph) };
        let (document, _) = crate::syntax::parse(crate::diagnostic::SourceId(0), &source);
        let reading = crate::workflow::read(&document, &crate::workflow::Library::default(), &crate::workflow::tests::kinds::specs(), &crate::workflow::Files::default());
        prop_assert!(reading.problems.iter().any(|problem| problem.code == "L214"));
        prop_assert!(reading.workflow.is_none());
    }
}
