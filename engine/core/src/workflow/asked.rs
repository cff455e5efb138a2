//! What the used kinds of a component ask for, against what the file grants.
//!
//! [`Grants::missing`] alone compares. Without inputs, a text that depends on them is taken as one that may fit; the planner compares
//! once more when they are known.

use std::borrow::Cow;

use steps_sdk::StepKind;
use steps_sdk::grant::{Ask, DnsGrant, Grants, HttpGrant, KubernetesGrant, Permission};
use steps_sdk::value::ClusterName;

use super::types::{Component, Step, WrittenGrants, WrittenHttp, WrittenKubernetes, values};
use super::written::Written;
use crate::diagnostic::{Place, Problem};

/// One ask of one kind, with the first step that uses the kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'w> {
    pub kind: &'w StepKind,
    pub step: Place,
    pub ask: &'w Ask,
}

/// What the kinds of a component ask for that these steps use.
pub(crate) fn asked<'w>(component: &Component, steps: &'w [Step]) -> Vec<Asked<'w>> {
    let mut kinds: Vec<&StepKind> = Vec::new();
    let mut found = Vec::new();
    for step in steps.iter().filter(|step| step.kind().family() == component.name.value) {
        if !kinds.contains(&step.kind()) {
            kinds.push(step.kind());
            found.extend(step.spec.asks.iter().map(|ask| Asked { kind: step.kind(), step: step.at, ask }));
        }
    }
    found
}

/// Without inputs: what is certainly not granted, and what is granted and asked for by nothing.
pub(super) fn check(component: &Component, steps: &[Step], problems: &mut Vec<Problem>) {
    let asked = asked(component, steps);
    let before = problems.len();
    problems.extend(not_granted("L249", component, &asked, |ask| Cow::Owned(supposed(&component.grants, ask))));
    // What was meant for something that is not granted as it is asked for is not called needless as well.
    if problems.len() == before {
        not_asked(component, &asked, problems);
    }
}

/// One problem for each ask of which something is granted nowhere.
pub(crate) fn not_granted<'g>(
    code: &'static str,
    component: &Component,
    asked: &[Asked<'_>],
    grants: impl Fn(&Permission) -> Cow<'g, Grants>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Asked { kind, step, ask } in asked {
        let grants = grants(&ask.what);
        let Some(missing) = grants.missing(&ask.what) else { continue };
        let name = &component.name.value;
        let place = if grants.is_empty() {
            format!("a block `grant {{ … }}` in the block of `{name}`")
        } else {
            format!("the `grant` of `{name}`")
        };
        let why = ask.why.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("none is given");
        let lines = lines_to_add(&ask.what, &grants).join("\n");
        problems.push(
            Problem::error(code, component.at, format!("`{kind}` asks for {missing}, which is not granted"))
                .related(*step, format!("this step uses `{kind}`"))
                .help(format!("its reason: {why}\nif you agree, add to {place}:\n{lines}")),
        );
    }
    problems
}

/// The grants that would give what is missing, as they are written in a file.
fn lines_to_add(ask: &Permission, grants: &Grants) -> Vec<String> {
    let is_missing = |part: &Permission| grants.missing(part).is_some();
    match ask {
        Permission::Http { origin, methods, path } => {
            let one = |method: &String| Permission::Http {
                origin: origin.clone(),
                methods: vec![method.clone()],
                path: path.clone(),
            };
            let methods: Vec<&str> =
                methods.iter().filter(|method| is_missing(&one(method))).map(String::as_str).collect();
            let origin = quoted(origin.as_deref().unwrap_or("https://HOST"));
            let path = path.as_deref().map(|path| format!("; path {}", quoted(path))).unwrap_or_default();
            vec![format!("http {origin} {{ methods {}{path} }}", methods.join(" "))]
        }
        Permission::Kubernetes { verbs, kinds } => {
            // Kinds that lack the same verbs share a line.
            let mut lines: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
            for kind in kinds {
                let one = |verb| Permission::Kubernetes { verbs: vec![verb], kinds: vec![kind.clone()] };
                let lacking: Vec<&str> =
                    verbs.iter().filter(|verb| is_missing(&one(**verb))).map(|verb| verb.word()).collect();
                match lines.iter_mut().find(|(verbs, _)| *verbs == lacking) {
                    _ if lacking.is_empty() => {}
                    Some((_, kinds)) => kinds.push(kind),
                    None => lines.push((lacking, vec![kind])),
                }
            }
            let line = |(verbs, kinds): (Vec<&str>, Vec<&str>)| {
                format!("k8s CLUSTER {{ verbs {}; kinds {} }}", verbs.join(" "), kinds.join(" "))
            };
            lines.into_iter().map(line).collect()
        }
        Permission::Dns { domains } if domains.is_empty() => vec!["dns \"*\"".to_owned()],
        Permission::Dns { domains } => domains
            .iter()
            .filter(|domain| is_missing(&Permission::Dns { domains: vec![(*domain).clone()] }))
            .map(|domain| format!("dns {}", quoted(domain)))
            .collect(),
    }
}

/// As KDL writes it; what a component says of itself cannot become an expression of the file.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_default()).replace("${", "$${")
}

/// The grants as far as they are known without inputs: what is not known is what this ask wants.
fn supposed(written: &WrittenGrants, ask: &Permission) -> Grants {
    let http = |grant: &WrittenHttp| {
        let origin = literal(&grant.origin).or_else(|| match ask {
            Permission::Http { origin, .. } => origin.clone(),
            Permission::Kubernetes { .. } | Permission::Dns { .. } => None,
        });
        HttpGrant {
            origin: origin.unwrap_or_default(),
            methods: values(&grant.methods),
            // No path at all stands for every path.
            paths: grant.paths.iter().map(literal).collect::<Option<Vec<String>>>().unwrap_or_default(),
            private: grant.private,
            inject: None,
        }
    };
    let kubernetes = |grant: &WrittenKubernetes| KubernetesGrant {
        // Kinds ask for verbs on kinds; on which cluster and in which namespace is for the file to say.
        cluster: ClusterName(String::new()),
        namespace: None,
        verbs: values(&grant.verbs),
        kinds: values(&grant.kinds),
        names: Vec::new(),
    };
    Grants {
        http: written.http.iter().map(http).collect(),
        kubernetes: written.kubernetes.iter().map(kubernetes).collect(),
        dns: written
            .dns
            .iter()
            .map(|grant| DnsGrant { domain: literal(&grant.domain).unwrap_or_else(|| "*".to_owned()) })
            .collect(),
    }
}

fn literal(written: &Written) -> Option<String> {
    written.as_literal()?.as_str().map(str::to_owned)
}

/// A part of a grant that could be left out.
struct Piece {
    /// `None`: the whole grant.
    word: Option<String>,
    at: Place,
    alone: WrittenGrants,
}

/// Warns of every grant that no ask needs, and of every word of the others that none needs.
fn not_asked(component: &Component, asked: &[Asked<'_>], problems: &mut Vec<Problem>) {
    let name = &component.name.value;
    let is_asked = |piece: &Piece| {
        let grants = |ask: &Permission| supposed(&piece.alone, ask);
        asked.iter().flat_map(|asked| parts(&asked.ask.what)).any(|part| grants(&part).missing(&part).is_none())
    };
    for (whole, pieces) in pieces(&component.grants) {
        if !is_asked(&whole) {
            problems.push(
                Problem::warning("L250", whole.at, format!("no kind of `{name}` that is used asks for this"))
                    .help("leave the grant out: what is not granted cannot be misused"),
            );
            continue;
        }
        for piece in pieces.iter().filter(|piece| !is_asked(piece)) {
            let word = piece.word.as_deref().unwrap_or_default();
            problems.push(
                Problem::warning("L250", piece.at, format!("no kind of `{name}` that is used asks for `{word}` here"))
                    .help("leave it out: what is not granted cannot be misused"),
            );
        }
    }
}

/// An ask, one thing at a time.
fn parts(ask: &Permission) -> Vec<Permission> {
    match ask {
        Permission::Http { origin, methods, path } => methods
            .iter()
            .map(|method| Permission::Http {
                origin: origin.clone(),
                methods: vec![method.clone()],
                path: path.clone(),
            })
            .collect(),
        Permission::Kubernetes { verbs, kinds } => kinds
            .iter()
            .flat_map(|kind| {
                verbs.iter().map(|verb| Permission::Kubernetes { verbs: vec![*verb], kinds: vec![kind.clone()] })
            })
            .collect(),
        Permission::Dns { domains } if domains.is_empty() => vec![ask.clone()],
        Permission::Dns { domains } => {
            domains.iter().map(|domain| Permission::Dns { domains: vec![domain.clone()] }).collect()
        }
    }
}

/// Each grant, and the words of it that are granted one by one.
fn pieces(grants: &WrittenGrants) -> Vec<(Piece, Vec<Piece>)> {
    let http = grants.http.iter().map(|grant| {
        let piece = |word, at, grant| Piece {
            word,
            at,
            alone: WrittenGrants { http: vec![grant], ..WrittenGrants::default() },
        };
        // Methods that were not written stand at the grant itself: nothing can be left out of them.
        let methods = grant.methods.iter().filter(|method| method.at != grant.at).map(|method| {
            piece(Some(method.value.clone()), method.at, WrittenHttp { methods: vec![method.clone()], ..grant.clone() })
        });
        let paths = grant.paths.iter().filter_map(|path| {
            let alone = WrittenHttp { paths: vec![path.clone()], ..grant.clone() };
            Some(piece(Some(literal(path)?), path.at, alone))
        });
        (piece(None, grant.at, grant.clone()), methods.chain(paths).collect())
    });
    let kubernetes = grants.kubernetes.iter().map(|grant| {
        let piece = |word, at, grant| Piece {
            word,
            at,
            alone: WrittenGrants { kubernetes: vec![grant], ..WrittenGrants::default() },
        };
        let verbs = grant.verbs.iter().map(|verb| {
            let alone = WrittenKubernetes { verbs: vec![verb.clone()], ..grant.clone() };
            piece(Some(verb.value.word().to_owned()), verb.at, alone)
        });
        let kinds = grant.kinds.iter().map(|kind| {
            let alone = WrittenKubernetes { kinds: vec![kind.clone()], ..grant.clone() };
            piece(Some(kind.value.clone()), kind.at, alone)
        });
        (piece(None, grant.at, grant.clone()), verbs.chain(kinds).collect())
    });
    let dns = grants.dns.iter().map(|grant| {
        let alone = WrittenGrants { dns: vec![grant.clone()], ..WrittenGrants::default() };
        (Piece { word: None, at: grant.at, alone }, Vec::new())
    });
    http.chain(kubernetes).chain(dns).collect()
}
