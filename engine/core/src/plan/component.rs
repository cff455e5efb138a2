//! Components with the inputs filled into what they are granted.

use std::borrow::Cow;

use serde_json::Value;
use steps_sdk::grant::{DnsGrant, Grants, HttpGrant, KubernetesGrant};
use steps_sdk::value::ClusterName;

use super::evaluate::kind_of;
use super::fold::{Folder, Known};
use super::tree::ROOT;
use super::types::{Input, PlannedComponent};
use crate::diagnostic::Problem;
use crate::workflow::permit::Form;
use crate::workflow::{Component, Written, WrittenGrants, WrittenHttp, WrittenKubernetes, asked, values};

pub(super) fn components(known: &Known<'_>, problems: &mut Vec<Problem>) -> Vec<PlannedComponent> {
    known.workflow.components.iter().map(|component| planned(known, component, problems)).collect()
}

fn planned(known: &Known<'_>, component: &Component, problems: &mut Vec<Problem>) -> PlannedComponent {
    let before = problems.len();
    let grants = Reader { known, problems }.grants(&component.grants);
    if problems.len() == before {
        let asked = asked::asked(component, &known.workflow.steps);
        problems.extend(asked::not_granted("P013", component, &asked, |_| Cow::Borrowed(&grants)));
    }
    PlannedComponent {
        name: component.name.value.clone(),
        source: component.source.to_string(),
        digest: component.digest.clone(),
        grants,
        limits: component.limits,
        at: component.at,
    }
}

struct Reader<'k, 'p> {
    known: &'k Known<'k>,
    problems: &'p mut Vec<Problem>,
}

impl Reader<'_, '_> {
    fn grants(&mut self, written: &WrittenGrants) -> Grants {
        Grants {
            http: written.http.iter().map(|grant| self.http(grant)).collect(),
            kubernetes: written.kubernetes.iter().map(|grant| self.kubernetes(grant)).collect(),
            dns: written.dns.iter().map(|grant| DnsGrant { domain: self.text(&grant.domain, Form::Domain) }).collect(),
        }
    }

    fn http(&mut self, grant: &WrittenHttp) -> HttpGrant {
        HttpGrant {
            origin: self.text(&grant.origin, Form::Origin),
            methods: values(&grant.methods),
            paths: grant.paths.iter().map(|path| self.text(path, Form::Path)).collect(),
            private: grant.private,
            inject: grant.inject.as_ref().map(|inject| self.known.workflow.inject(inject)),
        }
    }

    fn kubernetes(&mut self, grant: &WrittenKubernetes) -> KubernetesGrant {
        KubernetesGrant {
            cluster: ClusterName(self.value(&grant.cluster)),
            namespace: grant.namespace.as_ref().map(|namespace| self.text(namespace, Form::Namespace)),
            verbs: values(&grant.verbs),
            kinds: values(&grant.kinds),
            names: grant.names.iter().map(|name| self.text(name, Form::ObjectName)).collect(),
        }
    }

    /// A text that is held to its form: one with expressions was not, when the file was read.
    fn text(&mut self, written: &Written, form: Form) -> String {
        let before = self.problems.len();
        let text = self.value(written);
        if self.problems.len() == before
            && let Err(refusal) = form.check(&text)
        {
            self.problems.push(
                Problem::error("P012", written.at, refusal.message)
                    .label("computed from the inputs")
                    .help(refusal.help),
            );
        }
        text
    }

    /// A failed computation was reported, and leaves an empty text behind.
    fn value(&mut self, written: &Written) -> String {
        let before = self.problems.len();
        match Folder::new(self.known, ROOT, self.problems).written(written) {
            Input::Known(Value::String(text)) => return text,
            Input::Known(_) if self.problems.len() > before => {}
            Input::Known(other) => {
                let message = format!("a grant is made of texts, and this gives {}", kind_of(&other));
                self.problems.push(
                    Problem::error("P012", written.at, message)
                        .label("computed from the inputs")
                        .help("what is granted is known before the first step: give the input a value"),
                );
            }
            other => unreachable!("the checker lets only texts over inputs through: {other:?}"),
        }
        String::new()
    }
}
