//! Whatever stands in a file: reading it ends, says why it cannot be used, or gives a workflow that can be planned.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::diagnostic::{Problem, Source, SourceId};
use crate::plan::{InputValue, compile};
use crate::syntax;
use crate::workflow::tests::kinds;
use crate::workflow::{Files, read};

/// A file that uses most of the language.
const TEXT: &str = r#"workflow all version="1.0.0" {
    doc "All."
    engine ">=0.1, <9"
    lock "all/${inputs.domain}"
    limits parallel=12 per-cluster=4
    defaults { timeout "10m" ; retry attempts=5 backoff=exponential first="2s" cap="1m" on=transient }
}
input domain type=hostname default="example.io" doc="The zone."
input n type=u8 default=3
type region { name type=dns-label ; cluster type=cluster ; count type=u8 default=2 }
input regions type="list<region>" { default { - name=a cluster=eu ; - name=b cluster=us } ; check "size(inputs.regions) > 0" message="none" }
secret token { from env=TOKEN }
cluster eu { kubeconfig context=eu ; identity uid="1-2" }
cluster us { kubeconfig file="us.yaml" }
use "./cdn.wasm" as=cdn {
    grant {
        http "https://api.cdn.example" private=#true { methods GET PUT ; path "/v1/zones/*" "/${inputs.domain}" ; inject secret=token header=X-Key format="k {}" }
        http "https://${inputs.domain}" { methods POST }
        k8s "${clusters.us}" namespace="n${inputs.n}" { verbs get list ; kinds Service ; names "a-${inputs.n}" }
        dns "*"
    }
    limits memory="64MiB" wall="30s" cpu="5s"
}
step names uses=value.set { api "api.${inputs.domain}" ; all "${inputs.regions.map(r, r.name)}" ; deep { x 1 ; y { - a ; - b } } }
step leaf uses=p.leaf { common-name "${names.api}" ; dns "${names.api}" "x.example.io" ; keep secret on=eu namespace=n name=s ; usage server client }
step first uses=k.apply on=eu { object kind=A { metadata name="${names.api}" } ; object kind=B ; wait condition=Ready until="object.x == 1" for="5m" }
step maybe uses=t.every when="inputs.n > 2" { count "${inputs.n}" ; free a=1 { b "${first.ref}" } ; targets eu us ; env A=x }
for-each r in="inputs.regions" key="r.name" as=region parallel=1 on-failure=finish-others {
    needs first
    step apply uses=k.apply on="${r.cluster}" { object name="${r.name}" }
    step name uses=d.records { zone "${inputs.domain}" server=s key=token ; record auto "${r.name}.${inputs.domain}" "${apply.address}" ttl=60 ; wait resolves=#true for="5m" }
    step late uses=d.records { zone "a.b" ; for-each s in="name.names" { record A "${s}" "${apply.ref}" } }
}
step record uses=cdn.record { name "${names.api}" }
step purge uses=cdn.purge needs=record on=eu
step after uses=t.every needs=region when="failed(first) || succeeded(first)" { text "${region['a'].apply.ref} ${run.id}" ; secret "${leaf.key}" ; after first }
step end uses=k.wait { until "object.status == 'x'" ; wait for="1m" ; retry attempts=2 ; tags a b ; doc "End." ; undo keep }
output api "https://${names.api}"
output maybe "${exists(maybe) ? maybe.count : 0}"
output key "${leaf.key}" secret=#true
output all "${region.map(k, region[k].apply.ref)}"
"#;

/// What can be done to one word of the file.
#[derive(Debug, Clone)]
enum Mutation {
    Drop(prop::sample::Index),
    Double(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Replace(prop::sample::Index, &'static str),
    DropLine(prop::sample::Index),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    const WORDS: [&str; 22] = [
        "#null",
        "#true",
        "-1",
        "3",
        "x",
        "\"\"",
        "\"${\"",
        "\"${inputs.regions}\"",
        "\"${first}\"",
        "\"${region}\"",
        "\"${region['z'].apply.ref}\"",
        "\"${token}\"",
        "{",
        "}",
        "for-each",
        "for-each q in=\"names.all\" { - 1 }",
        "-",
        "needs=end",
        "when=\"exists(end)\"",
        "on=us",
        "\"${1/0}\"",
        "\"${inputs.n} ${end.object}\"",
    ];
    let index = any::<prop::sample::Index>;
    let one = prop_oneof![
        index().prop_map(Mutation::Drop),
        index().prop_map(Mutation::Double),
        (index(), index()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        (index(), prop::sample::select(WORDS.as_slice())).prop_map(|(at, word)| Mutation::Replace(at, word)),
        index().prop_map(Mutation::DropLine),
    ];
    prop::collection::vec(one, 1..4)
}

fn mutated(mutations: &[Mutation]) -> String {
    let mut lines: Vec<Vec<String>> = TEXT.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
    for mutation in mutations {
        let places: Vec<(usize, usize)> =
            lines.iter().enumerate().flat_map(|(y, line)| (0..line.len()).map(move |x| (y, x))).collect();
        let place = |index: &prop::sample::Index| places[index.index(places.len())];
        match mutation {
            Mutation::Drop(at) => {
                let (y, x) = place(at);
                lines[y].remove(x);
            }
            Mutation::Double(at) => {
                let (y, x) = place(at);
                let word = lines[y][x].clone();
                lines[y].insert(x, word);
            }
            Mutation::Swap(a, b) => {
                let ((ya, xa), (yb, xb)) = (place(a), place(b));
                let first = std::mem::take(&mut lines[ya][xa]);
                let second = std::mem::replace(&mut lines[yb][xb], first);
                lines[ya][xa] = second;
            }
            Mutation::Replace(at, word) => {
                let (y, x) = place(at);
                lines[y][x] = (*word).to_owned();
            }
            Mutation::DropLine(at) => {
                let (y, _) = place(at);
                lines.remove(y);
            }
        }
    }
    lines.iter().map(|line| line.join(" ")).collect::<Vec<_>>().join("\n")
}

fn settle(text: String) -> Result<(), String> {
    let source = Source { name: "t".into(), text };
    let (document, found) = syntax::parse(SourceId(0), &source);
    let reading = read(&document, &crate::workflow::Library::default(), &kinds::specs(), &Files::default());
    let has_error = |problems: &[Problem]| problems.iter().any(Problem::is_error);
    let is_sound = !has_error(&reading.problems) && document.is_whole && reading.wanted.is_empty();
    if reading.workflow.is_some() != is_sound {
        return Err(format!("{:?}", reading.problems));
    }
    for problem in reading.problems.iter().chain(&found) {
        let at = problem.at.ok_or("without a place")?;
        source.text.get(at.start..at.end).ok_or_else(|| format!("a place outside of the text: {problem:?}"))?;
    }
    let given: BTreeMap<String, InputValue> = BTreeMap::new();
    match reading.workflow.map(|workflow| compile(&workflow, given)) {
        Some(Err(problems)) if problems.is_empty() => Err("refused without a reason".into()),
        Some(_) | None => Ok(()),
    }
}

#[test]
fn the_file_itself_is_sound() {
    let source = Source { name: "t".into(), text: TEXT.into() };
    let (document, found) = syntax::parse(SourceId(0), &source);
    let reading = read(&document, &crate::workflow::Library::default(), &kinds::specs(), &Files::default());
    assert!(found.is_empty() && reading.problems.is_empty(), "{found:#?} {:#?}", reading.problems);
    compile(&reading.workflow.unwrap(), BTreeMap::new()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn a_mutated_file_is_settled(mutations in mutations()) {
        let text = mutated(&mutations);
        settle(text.clone()).map_err(|reason| TestCaseError::fail(format!("{reason}\n{text}")))?;
    }
}
