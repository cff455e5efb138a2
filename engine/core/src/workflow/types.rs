//! What a workflow file says, typed. Groups are still closed and expressions are still text: no inputs are needed to get here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use steps_sdk::grant::{DnsGrant, Grants, GuestLimits, HttpGrant, Inject, KubernetesGrant, KubernetesVerb};
use steps_sdk::schema::Schema;
use steps_sdk::value::ClusterName;
use steps_sdk::{Secret, StepKind, StepSpec, Value};

use super::address::Address;
use super::names::{Member, Names, OpenedBy, ScopeId};
use super::settings::{Backoff, KubeconfigSource, OnFailure, RetryOn};
use super::written::{Content, Formula, Written};
use crate::diagnostic::{Place, Spanned};
use crate::id::Digest;

/// The typed content of one file, free of errors.
#[derive(Debug, Clone)]
pub struct Workflow {
    pub name: Spanned<String>,
    pub version: Option<String>,
    pub doc: String,
    pub lock: Option<Written>,
    pub parallel: Option<usize>,
    pub per_cluster: Option<usize>,
    pub timeout_ms: Option<u64>,
    pub retry: RetryFields,
    pub inputs: Vec<InputDecl>,
    pub secrets: Vec<SecretDecl>,
    pub clusters: Vec<ClusterDecl>,
    /// Those that a step uses.
    pub components: Vec<Component>,
    pub groups: Vec<Group>,
    /// Of the whole file and of what it includes, those in groups and templates too, in the order in which they were written.
    pub steps: Vec<Step>,
    pub calls: Vec<Call>,
    /// Those of included files too.
    pub templates: Vec<Template>,
    pub outputs: Vec<OutputDecl>,
    pub(crate) names: Names,
}

#[derive(Debug, Clone)]
pub struct InputDecl {
    pub name: Spanned<String>,
    pub schema: Schema,
    /// The type as written: `list<shard>`.
    pub type_text: String,
    pub default: Option<Value>,
    pub doc: String,
    pub checks: Vec<InputCheck>,
}

#[derive(Debug, Clone)]
pub struct InputCheck {
    pub condition: Formula,
    pub message: Option<String>,
}

#[derive(Debug, Clone)]
pub struct SecretDecl {
    pub name: Spanned<String>,
    pub secret: Secret,
}

#[derive(Debug, Clone)]
pub struct ClusterDecl {
    pub name: Spanned<String>,
    pub kubeconfig: KubeconfigSource,
    /// The kubeconfig itself, as a secret: one that is declared, or what a step gives.
    pub from: Option<Written>,
    /// The kcp workspace that is addressed, by its absolute path: a text over inputs.
    pub workspace: Option<Written>,
    /// A text over inputs, or null for none.
    pub identity: Option<Written>,
    pub at: Place,
}

/// `use "SOURCE" as=NAME`: custom steps, and what they may do through the host.
#[derive(Debug, Clone)]
pub struct Component {
    /// The family of its kinds.
    pub name: Spanned<String>,
    pub source: ComponentSource,
    /// Of the bytes that were loaded.
    pub digest: Digest,
    pub grants: WrittenGrants,
    pub limits: GuestLimits,
    pub at: Place,
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentSource {
    /// A file, relative to the workflow.
    File(String),
    /// An artifact of a registry.
    Registry(Address),
}

impl fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ComponentSource::File(path) => f.write_str(path),
            ComponentSource::Registry(address) => write!(f, "{address}"),
        }
    }
}

/// What a `grant` block says. Texts may depend on inputs; what is granted at all does not.
#[derive(Debug, Clone, Default)]
pub struct WrittenGrants {
    pub http: Vec<WrittenHttp>,
    pub kubernetes: Vec<WrittenKubernetes>,
    pub dns: Vec<WrittenDns>,
}

#[derive(Debug, Clone)]
pub struct WrittenHttp {
    pub origin: Written,
    /// Those that the file leaves out stand at the grant.
    pub methods: Vec<Spanned<String>>,
    pub paths: Vec<Written>,
    pub private: bool,
    pub inject: Option<WrittenInject>,
    pub at: Place,
}

#[derive(Debug, Clone)]
pub struct WrittenInject {
    /// By its name.
    pub secret: Spanned<String>,
    /// Lower case.
    pub header: String,
    pub format: String,
}

#[derive(Debug, Clone)]
pub struct WrittenKubernetes {
    pub cluster: Written,
    pub namespace: Option<Written>,
    pub verbs: Vec<Spanned<KubernetesVerb>>,
    pub kinds: Vec<Spanned<String>>,
    pub names: Vec<Written>,
    pub at: Place,
}

#[derive(Debug, Clone)]
pub struct WrittenDns {
    pub domain: Written,
    pub at: Place,
}

/// `for-each` over steps.
#[derive(Debug, Clone)]
pub struct Group {
    pub id: Spanned<String>,
    /// Where it stands.
    pub(crate) scope: ScopeId,
    pub variable: Spanned<String>,
    pub list: Formula,
    /// Absent: the elements are strings and are their own keys.
    pub key: Option<Formula>,
    pub parallel: Option<usize>,
    pub on_failure: OnFailure,
    pub needs: Vec<Spanned<String>>,
    pub at: Place,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub id: Spanned<String>,
    /// Where it stands.
    pub(crate) scope: ScopeId,
    pub spec: Arc<StepSpec>,
    pub doc: String,
    pub tags: Vec<String>,
    pub on: Option<Written>,
    pub when: Option<Formula>,
    pub needs: Vec<Spanned<String>>,
    /// What the kind gets; its part of `wait` among it.
    pub body: Written,
    pub retry: RetryFields,
    pub timeout_ms: Option<u64>,
    /// There is a `wait` child.
    pub waits: bool,
    pub wait_for_ms: Option<u64>,
    pub at: Place,
}

/// `template`: steps that a call makes.
#[derive(Debug, Clone)]
pub struct Template {
    pub name: Spanned<String>,
    pub doc: String,
    pub params: Vec<InputDecl>,
    pub outputs: Vec<OutputDecl>,
    /// Params that must be known before the run, each with the place that asks for it: they decide about the plan.
    pub(crate) early: BTreeMap<String, Place>,
    pub(crate) inside: ScopeId,
    pub at: Place,
}

/// `call`: the steps of a template, with values for its params.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: Spanned<String>,
    /// Where it stands.
    pub(crate) scope: ScopeId,
    /// Index into [`Workflow::templates`]; a workflow without errors has one for each call.
    pub template: Option<usize>,
    pub when: Option<Formula>,
    pub needs: Vec<Spanned<String>>,
    /// A value for each param that has one, as a map.
    pub args: Written,
    pub at: Place,
}

impl Call {
    /// The value that a param is given.
    pub(crate) fn arg(&self, param: &str) -> Option<&Written> {
        match &self.args.content {
            Content::Map(fields) => fields.iter().find(|(name, _)| name == param).map(|(_, arg)| arg),
            Content::Literal(_)
            | Content::Formula(_)
            | Content::List(_)
            | Content::Cluster(_)
            | Content::Secret(_)
            | Content::Step(_)
            | Content::Repeat(_) => None,
        }
    }
}

impl WrittenGrants {
    /// Everything in it that may depend on inputs.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Written> {
        let http = self.http.iter().flat_map(|grant| std::iter::once(&grant.origin).chain(&grant.paths));
        let kubernetes = self
            .kubernetes
            .iter()
            .flat_map(|grant| std::iter::once(&grant.cluster).chain(&grant.namespace).chain(&grant.names));
        http.chain(kubernetes).chain(self.dns.iter().map(|grant| &grant.domain))
    }
}

impl Workflow {
    /// The condition of a step or call, and where it stands.
    pub(crate) fn condition_of(&self, member: Member) -> Option<(&Formula, ScopeId)> {
        match member {
            Member::Step(step) => self.steps[step].when.as_ref().map(|when| (when, self.steps[step].scope)),
            Member::Call(call) => self.calls[call].when.as_ref().map(|when| (when, self.calls[call].scope)),
            Member::Group(_) => None,
        }
    }

    /// The component that a step's kind is from; `None`: the kind is built in.
    pub fn component_of(&self, step: &Step) -> Option<&Component> {
        self.components.iter().find(|component| component.name.value == step.kind().family())
    }

    /// For a person who has given no inputs yet: expressions stand as they are written.
    pub fn grants_as_written(&self, component: &Component) -> Grants {
        let written = &component.grants;
        let texts = |texts: &[Written]| texts.iter().map(Written::source).collect();
        let http = |grant: &WrittenHttp| HttpGrant {
            origin: grant.origin.source(),
            methods: values(&grant.methods),
            paths: texts(&grant.paths),
            private: grant.private,
            inject: grant.inject.as_ref().map(|inject| self.inject(inject)),
        };
        let kubernetes = |grant: &WrittenKubernetes| KubernetesGrant {
            cluster: ClusterName(grant.cluster.source()),
            namespace: grant.namespace.as_ref().map(Written::source),
            verbs: values(&grant.verbs),
            kinds: values(&grant.kinds),
            names: texts(&grant.names),
        };
        Grants {
            http: written.http.iter().map(http).collect(),
            kubernetes: written.kubernetes.iter().map(kubernetes).collect(),
            dns: written.dns.iter().map(|grant| DnsGrant { domain: grant.domain.source() }).collect(),
        }
    }

    /// A secret with its place.
    pub(crate) fn inject(&self, inject: &WrittenInject) -> Inject {
        let secret = self.secrets.iter().find(|secret| secret.name.value == inject.secret.value);
        let secret = secret.expect("a workflow without errors names only declared secrets").secret.clone();
        Inject { secret, header: inject.header.clone(), format: inject.format.clone() }
    }

    /// What messages call a step: `deploy`, in a group `region[…].deploy`. In a template it is called as the template calls it.
    pub(crate) fn title(&self, member: Member) -> String {
        let (id, scope) = match member {
            Member::Step(step) => (&self.steps[step].id.value, self.steps[step].scope),
            Member::Call(call) => (&self.calls[call].id.value, self.calls[call].scope),
            Member::Group(group) => (&self.groups[group].id.value, self.groups[group].scope),
        };
        match self.names.scope(scope).opened_by {
            OpenedBy::Group(group) => format!("{}[…].{id}", self.title(Member::Group(group))),
            OpenedBy::File | OpenedBy::Template(_) => id.clone(),
        }
    }
}

pub(crate) fn values<T: Clone>(spanned: &[Spanned<T>]) -> Vec<T> {
    spanned.iter().map(|spanned| spanned.value.clone()).collect()
}

impl Step {
    pub fn kind(&self) -> &StepKind {
        &self.spec.kind
    }
}

/// What a `retry` says; the rest comes from `defaults`, then from the engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetryFields {
    pub attempts: Option<u32>,
    pub backoff: Option<Backoff>,
    pub first_ms: Option<u64>,
    pub cap_ms: Option<u64>,
    pub on: Option<RetryOn>,
}

#[derive(Debug, Clone)]
pub struct OutputDecl {
    pub name: Spanned<String>,
    pub value: Written,
    pub secret: bool,
    pub at: Place,
}
