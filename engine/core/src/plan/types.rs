//! What a plan is made of. Everything here is stored as `plan.json` and must mean the same when another binary reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use steps_sdk::grant::{Grants, GuestLimits};
use steps_sdk::spec::TimeLimit;
use steps_sdk::value::ClusterName;
use steps_sdk::{EffectOf, Secret, StepKind, Value};

use crate::diagnostic::Place;
use crate::expr::{Expr, ExprError};
use crate::id::{Digest, StepId, StepIndex};
pub use crate::workflow::settings::{Backoff, KubeconfigSource, OnFailure, RetryOn};

/// Raised when a stored plan can no longer be read as before.
pub const PLAN_FORMAT: u32 = 2;

/// A workflow with its inputs filled in and its groups opened: what a run carries out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub format: u32,
    pub workflow: String,
    /// The name under which only one run may write; the workflow's name where it has no `lock`.
    pub lock: String,
    /// Of the meaning: expressions, literals, kinds with their schemas; never previews, comments or places.
    pub digest: Digest,
    /// In an order in which every step comes after what it needs.
    pub steps: Vec<PlannedStep>,
    pub groups: Vec<PlannedGroup>,
    pub clusters: Vec<PlannedCluster>,
    /// The components whose kinds the steps use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<PlannedComponent>,
    pub outputs: Vec<PlannedOutput>,
    pub limits: RunLimits,
    pub kinds: BTreeMap<StepKind, KindPin>,
    /// Values of the inputs, for people.
    pub inputs: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    pub parallel: usize,
    pub per_cluster: usize,
}

/// What a kind was when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindPin {
    pub version: u32,
    pub digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    pub id: StepId,
    pub kind: StepKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    pub on: Option<ClusterName>,
    /// `on` and every cluster that the inputs name.
    pub clusters: Vec<ClusterName>,
    /// The kind's inputs; `wait` among them when the step has one.
    pub inputs: Input,
    pub needs: Vec<Need>,
    /// Conditions of the calls around it, outermost first; asked before its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under: Vec<Late>,
    pub when: Option<Late>,
    pub effect: EffectOf,
    pub retry: RetryPolicy,
    pub time_limit: TimeLimit,
    /// `wait for=`, in milliseconds.
    pub wait_for_ms: Option<u64>,
    /// The innermost group that it is in; groups around that are [`PlannedGroup::outer`].
    pub group: Option<Membership>,
    /// The owner key: the same in every run.
    pub owner: String,
    /// The step's declaration, so that a failure hours later still points at the line.
    pub at: Place,
}

/// Membership of an instance of a `for-each` group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Index into [`Plan::groups`].
    pub group: usize,
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedGroup {
    /// With the path of what it stands in: `region`, `region[alpha].store.replica`.
    pub id: String,
    /// How many instances may be under way at once.
    pub parallel: Option<usize>,
    pub on_failure: OnFailure,
    /// The instance that this group stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer: Option<Membership>,
}

/// An edge: what must have come to an end before a step may start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    pub step: StepId,
    pub rule: NeedRule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeedRule {
    /// Succeeded, or skipped by its own `when`.
    Success,
    /// Ended in any way: the step's `when` asks about its outcome.
    End,
}

/// A tree of inputs: what is known now, and what comes late.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    Known(Value),
    Late(Late),
    /// A quoted string with expressions in it.
    Text(Vec<TextPart>),
    List(Vec<Input>),
    Map(Vec<(String, Input)>),
    /// A secret by its place.
    Secret(Secret),
    /// Among the items of a list: these items once for each element of a list that comes late.
    Repeat(Repeat),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// What the element is called in `items`.
    pub name: String,
    pub list: Late,
    pub items: Vec<Input>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextPart {
    Literal(String),
    Late(Late),
}

/// An expression that can be evaluated only when earlier steps have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// CEL, as written.
    pub text: String,
    /// What each root name of the text stands for at this place.
    pub names: BTreeMap<String, Bound>,
    pub at: Place,
    #[serde(skip)]
    pub(super) parsed: Parsed,
}

/// The expression, parsed when it is first evaluated. It is no part of what a plan says.
#[derive(Debug, Clone, Default)]
pub(super) struct Parsed(OnceLock<Result<Expr, ExprError>>);

impl PartialEq for Parsed {
    fn eq(&self, _: &Parsed) -> bool {
        true
    }
}

impl Late {
    pub fn new(text: impl Into<String>, names: BTreeMap<String, Bound>, at: Place) -> Late {
        Late { text: text.into(), names, at, parsed: Parsed::default() }
    }

    pub(super) fn expr(&self) -> Result<&Expr, &ExprError> {
        self.parsed.0.get_or_init(|| Expr::parse(&self.text)).as_ref()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Known when the plan was made: inputs, clusters, secrets by their place, the variable of a group.
    Value(Value),
    /// The outputs of one step.
    Step(StepId),
    /// The outputs of a call, which are there when all of its steps have ended well.
    Call { steps: Vec<StepId>, outputs: BTreeMap<String, Input> },
    /// A group: by key, then by the name of what is inside.
    Instances(BTreeMap<String, BTreeMap<String, Bound>>),
    /// What a call gives its template, where some of it comes late.
    Params(BTreeMap<String, Input>),
    /// `run.id`, `run.started`.
    Run,
    /// The element of the [`Repeat`] around it that has this name.
    Element,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The first try included; at least 1.
    pub attempts: u32,
    pub first_ms: u64,
    pub cap_ms: u64,
    pub backoff: Backoff,
    pub on: RetryOn,
}

impl Default for RetryPolicy {
    /// Three tries within about ten seconds: enough for a connection that was cut, too little to hide a mistake.
    fn default() -> Self {
        RetryPolicy {
            attempts: 3,
            first_ms: 1_000,
            cap_ms: 30_000,
            backoff: Backoff::Exponential,
            on: RetryOn::Transient,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCluster {
    pub name: ClusterName,
    pub kubeconfig: KubeconfigSource,
    /// The kubeconfig itself, as a secret, in place of a file. It comes late when a step makes the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Input>,
    /// The kcp workspace that is addressed, by its absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// UID of `kube-system`; without it the first use is trusted and kept.
    pub identity: Option<String>,
    pub at: Place,
}

/// Custom steps, and what they may do through the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedComponent {
    /// The family of its kinds.
    pub name: String,
    /// As written: a path, or `oci://…`. Which bytes were meant is said by the digest.
    pub source: String,
    pub digest: Digest,
    pub grants: Grants,
    pub limits: GuestLimits,
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedOutput {
    pub name: String,
    pub value: Input,
    pub secret: bool,
    pub at: Place,
}

impl Plan {
    pub fn step(&self, index: StepIndex) -> &PlannedStep {
        &self.steps[index.0]
    }

    /// The component that a kind is from; `None`: the kind is built in.
    pub fn component_of(&self, kind: &StepKind) -> Option<&PlannedComponent> {
        self.components.iter().find(|component| component.name == kind.family())
    }

    /// The instances of groups that a step is in, the innermost first.
    pub fn memberships<'p>(&'p self, step: &'p PlannedStep) -> impl Iterator<Item = &'p Membership> {
        std::iter::successors(step.group.as_ref(), |member| self.groups[member.group].outer.as_ref())
    }

    /// The steps whose outputs or outcomes a step's inputs, conditions and clusters refer to: before they have ended nothing can be
    /// said about it.
    pub fn awaited(&self, step: &PlannedStep) -> BTreeSet<StepId> {
        let mut found = step.late_references();
        let clusters = self.clusters.iter().filter(|cluster| step.clusters.contains(&cluster.name));
        clusters.for_each(|cluster| found.extend(cluster.made_by()));
        found
    }

    pub fn index_of(&self, id: &StepId) -> Option<StepIndex> {
        self.steps.iter().position(|step| step.id == *id).map(StepIndex)
    }
}

impl PlannedCluster {
    /// The steps that it does not exist before.
    pub fn made_by(&self) -> BTreeSet<StepId> {
        let mut found = BTreeSet::new();
        if let Some(from) = &self.from {
            from.visit_late(&mut |late| late.steps(&mut found));
        }
        found
    }

    /// It can be opened only when its kubeconfig has been made.
    pub fn is_late(&self) -> bool {
        self.from.as_ref().is_some_and(|from| !matches!(from, Input::Known(_) | Input::Secret(_)))
    }
}

impl PlannedStep {
    /// What must hold for it to run, outermost first.
    pub fn conditions(&self) -> impl Iterator<Item = &Late> {
        self.under.iter().chain(&self.when)
    }

    /// The steps whose outputs or outcomes its inputs and its `when` refer to.
    fn late_references(&self) -> BTreeSet<StepId> {
        let mut found = BTreeSet::new();
        self.inputs.visit_late(&mut |late| late.steps(&mut found));
        self.conditions().for_each(|when| when.steps(&mut found));
        found
    }
}

impl Input {
    /// Every expression in the tree that comes late.
    fn visit_late(&self, visit: &mut dyn FnMut(&Late)) {
        match self {
            Input::Known(_) | Input::Secret(_) => {}
            Input::Late(late) => visit(late),
            Input::Text(parts) => {
                for part in parts {
                    if let TextPart::Late(late) = part {
                        visit(late);
                    }
                }
            }
            Input::List(items) => items.iter().for_each(|item| item.visit_late(visit)),
            Input::Map(fields) => fields.iter().for_each(|(_, field)| field.visit_late(visit)),
            Input::Repeat(repeat) => {
                visit(&repeat.list);
                repeat.items.iter().for_each(|item| item.visit_late(visit));
            }
        }
    }
}

impl Late {
    fn steps(&self, found: &mut BTreeSet<StepId>) {
        self.names.values().for_each(|bound| bound.steps(found));
    }
}

impl Bound {
    /// The steps whose outputs or outcomes it stands for.
    pub(super) fn steps(&self, found: &mut BTreeSet<StepId>) {
        match self {
            Bound::Step(step) => drop(found.insert(step.clone())),
            Bound::Call { steps, outputs } => {
                found.extend(steps.iter().cloned());
                outputs.values().for_each(|output| output.visit_late(&mut |late| late.steps(found)));
            }
            Bound::Instances(instances) => {
                instances.values().flat_map(BTreeMap::values).for_each(|member| member.steps(found));
            }
            Bound::Params(params) => {
                params.values().for_each(|param| param.visit_late(&mut |late| late.steps(found)));
            }
            Bound::Value(_) | Bound::Run | Bound::Element => {}
        }
    }
}
