//! The digest follows the meaning, and nothing else.

use super::try_plan;

const BASE: &str = "workflow t { lock l }
cluster eu { kubeconfig context=a }
cluster us { kubeconfig context=b }
input n type=int default=1
step a uses=value.set { x 1; y \"${inputs.n}\" }
step b uses=k.apply on=eu needs=a { object kind=Thing { metadata name=t labels=l }; wait condition=Ready for=\"5m\" }
step c uses=value.set when=\"succeeded(a)\" { z \"${b.ref}\" }
output o \"${exists(c) ? c.z : null}\"
";

fn digest(text: &str) -> String {
    try_plan(text, &[]).unwrap_or_else(|problems| panic!("{problems:?}\n{text}")).digest.to_string()
}

/// The base with one part of it replaced.
fn with(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    digest(&BASE.replacen(from, to, 1))
}

#[test]
fn what_means_the_same_has_the_same_digest() {
    let base = digest(BASE);
    assert_eq!(digest(&format!("// a comment\n\n{BASE}")), base);
    for (from, to) in [
        ("uses=k.apply on=eu needs=a", "needs=a on=eu   uses=k.apply"),
        ("metadata name=t labels=l", "metadata labels=l name=t"),
        ("metadata name=t labels=l", "metadata { labels l; name t }"),
        ("x 1; y \"${inputs.n}\"", "y \"${inputs.n}\"; x 1"),
        ("y \"${inputs.n}\"", "y 1"),
        ("needs=a {", "{ needs a; "),
        ("wait condition=Ready for=\"5m\"", "wait for=\"300s\" { condition Ready }"),
        ("x 1;", "x 1; doc \"Words for people.\"; "),
        ("input n type=int default=1", "input n type=int default=1 doc=\"Words.\""),
        ("when=\"succeeded(a)\"", "when=\" succeeded(a) \""),
        ("step a uses=value.set { x 1; y \"${inputs.n}\" }\n", ""),
    ] {
        if to.is_empty() {
            // The same step at the end of the file.
            assert_eq!(digest(&format!("{}{from}", BASE.replacen(from, "", 1))), base, "{from}");
        } else {
            assert_eq!(with(from, to), base, "{from} → {to}");
        }
    }
}

#[test]
fn what_means_something_else_has_another() {
    let base = digest(BASE);
    for (from, to) in [
        ("workflow t", "workflow u"),
        ("lock l", "lock m"),
        ("context=a", "context=c"),
        ("cluster us { kubeconfig context=b }\n", ""),
        ("default=1", "default=2"),
        ("x 1", "x 2"),
        ("x 1", "x \"1\""),
        ("uses=k.apply on=eu", "uses=k.apply on=us"),
        (" needs=a", ""),
        ("name=t", "name=u"),
        ("for=\"5m\"", "for=\"6m\""),
        ("condition=Ready", "condition=Available"),
        ("when=\"succeeded(a)\"", "when=\"failed(a)\""),
        ("${b.ref}", "${b.object}"),
        ("output o", "output p"),
        ("c.z : null}\"", "c.z : null}\" secret=#true"),
        ("step c uses=value.set when=\"succeeded(a)\" { z", "step d uses=value.set when=\"succeeded(a)\" { z"),
        ("x 1;", "x 1; timeout \"3s\";"),
        ("x 1;", "x 1; retry attempts=7;"),
        ("workflow t { lock l }", "workflow t { lock l; limits parallel=2 }"),
    ] {
        let text = BASE.replacen(from, to, 1);
        let text = if from.starts_with("step c") { text.replace("exists(c) ? c.z", "exists(d) ? d.z") } else { text };
        assert_ne!(digest(&text), base, "{from} → {to}");
    }
}
