use engine_core::{diagnostic::*, id::*, plan, syntax, workflow};
use serde_json::json;
use std::time::Instant;
use steps_sdk::spec::*;
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let wide = std::env::args().nth(2).is_some();
    let mut t = String::from("workflow t\nstep s0 uses=value.set { x 0 }\n");
    for i in 1..n {
        if wide {
            t += &format!("step s{i} uses=value.set {{ x {i} }}\n")
        } else {
            t += &format!("step s{i} uses=value.set {{ x \"${{s{}.x}}\" }}\n", i - 1)
        }
    }
    let map = json!({ "type": "object", "additionalProperties": true });
    let mut out = map.clone();
    out["x-same-as-inputs"] = true.into();
    let spec = StepSpec::new(About::converging("value.set", "x"), SpecSource { inputs: map, outputs: out }).unwrap();
    let specs: workflow::Specs = [spec].into_iter().collect();
    let src = Source { name: "a".into(), text: t };
    let a = Instant::now();
    let (doc, p) = syntax::parse(SourceId(0), &src);
    assert!(p.is_empty(), "{p:?}");
    let b = Instant::now();
    let r = workflow::read(&doc, &specs, &Default::default());
    let c = Instant::now();
    let w = r.workflow.unwrap();
    let p = plan::compile(&w, Default::default()).unwrap();
    let d = Instant::now();
    let s = serde_json::to_string(&p).unwrap();
    let p: plan::Plan = serde_json::from_str(&s).unwrap();
    let e = Instant::now();
    let v = json!({"x": 5});
    let run: RunId = "a".parse().unwrap();
    let f = |_: &StepId| plan::Fact::Succeeded(&v);
    let facts = plan::Facts { fact: &f, run_id: &run, started: Timestamp(0) };
    for s in &p.steps {
        plan::evaluate_inputs(s, &facts).unwrap();
    }
    let g = Instant::now();
    for s in &p.steps {
        plan::evaluate_inputs(s, &facts).unwrap();
    }
    let h = Instant::now();
    println!(
        "{n}: parse {:?} read {:?} compile {:?} json {:?} ({} bytes) eval first {:?} again {:?}",
        b - a,
        c - b,
        d - c,
        e - d,
        s.len(),
        g - e,
        h - g
    );
}
