//! The graph as text.

use super::try_plan;
use crate::plan::render;

const TEXT: &str = "workflow shop\ncluster eu\ncluster us\nstep ca uses=value.set { x 1 }\nstep space uses=k.apply on=eu { object kind=N }\n\
    for-each s in=\"['a', 'b']\" as=region { step leaf uses=value.set needs=space { y \"${ca.x}\" }\n step web uses=k.apply on=us { object y=\"${leaf.y}\"; needs space } }\n\
    step note uses=value.set when=\"failed(space)\" { z \"a\\\"b\" }";

#[test]
fn a_tree_names_each_step_once() {
    let plan = try_plan(TEXT, &[]).unwrap();
    assert_eq!(
        render::tree(&plan),
        "\
shop
├─ ca                   value.set
└─ space                k.apply on eu
   ├─ region[a].leaf    value.set, also after ca
   │  └─ region[a].web  k.apply on us
   ├─ region[b].leaf    value.set, also after ca
   │  └─ region[b].web  k.apply on us
   └─ note              value.set, when failed(space)
"
    );
}

#[test]
fn mermaid_boxes_instances_and_dots_what_waits_for_any_end() {
    let plan = try_plan(TEXT, &[]).unwrap();
    assert_eq!(
        render::mermaid(&plan),
        "\
flowchart TD
  s0[\"ca<br/>value.set\"]
  s1[\"space<br/>k.apply on eu\"]
  s6[\"note<br/>value.set\"]
  subgraph g1[\"region[a]\"]
    s2[\"region[a].leaf<br/>value.set\"]
    s3[\"region[a].web<br/>k.apply on us\"]
  end
  subgraph g2[\"region[b]\"]
    s4[\"region[b].leaf<br/>value.set\"]
    s5[\"region[b].web<br/>k.apply on us\"]
  end
  s0 --> s2
  s1 --> s2
  s2 --> s3
  s0 --> s4
  s1 --> s4
  s4 --> s5
  s1 -.-> s6
"
    );
}

#[test]
fn dot_is_quoted() {
    let plan = try_plan(
        "workflow t\ncluster eu\nstep a uses=k.apply on=eu { object x=1 }\nstep b uses=value.set needs=a { x 1 }",
        &[],
    )
    .unwrap();
    assert_eq!(
        render::dot(&plan),
        "digraph \"t\" {\n  rankdir=TB;\n  node [shape=box];\n  s0 [label=\"a\\nk.apply on eu\"];\n  s1 [label=\"b\\nvalue.set\"];\n  s0 -> s1;\n}\n"
    );
}
