//! What could start now, kept up to date with each change of a state.
//!
//! A plan of ten thousand steps must not be scanned after each outcome. [`Ready`] keeps, per step, how many of its needs are
//! open, and per lane (the set of clusters that a step touches) the steps that wait for nothing but a free place. A change costs
//! what it changes: the successors of one step. `schedule_matches_the_naive_one` in `schedule.rs` holds it to the plain definition.

use std::collections::{BTreeMap, BTreeSet};

use steps_sdk::value::ClusterName;

use super::state::StepState;
use crate::id::{StepId, StepIndex, Timestamp};
use crate::plan::{NeedRule, OnFailure, Plan};

#[derive(Debug, Clone)]
pub(super) struct Ready {
    successors: Vec<Vec<(StepIndex, NeedRule)>>,
    /// Needs that are not fulfilled.
    open_needs: Vec<usize>,
    pending: Vec<bool>,
    lane_of: Vec<usize>,
    pub(super) lanes: Vec<Lane>,
    pub(super) retrying: BTreeSet<(Timestamp, StepIndex)>,
    pub(super) running: usize,
    pub(super) running_on: BTreeMap<ClusterName, usize>,
    clusters_of: Vec<Vec<ClusterName>>,
    /// Of each step: the instances that it is in, the innermost first, each as its group and its place there.
    membership: Vec<Vec<(usize, usize)>>,
    groups: Vec<Group>,
}

/// Steps that touch the same clusters.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub clusters: Vec<ClusterName>,
    /// Pending, every need fulfilled.
    pub startable: BTreeSet<StepIndex>,
}

#[derive(Debug, Clone)]
struct Group {
    parallel: Option<usize>,
    on_failure: OnFailure,
    failed: usize,
    instances: Vec<Instance>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Instance {
    /// Steps that are not pending.
    begun: usize,
    /// Running or between two attempts.
    under_way: usize,
    startable: usize,
}

impl Instance {
    /// Takes one of the group's places. An instance that is stuck behind a failure takes none, or `finish-others` could not.
    fn is_active(self) -> bool {
        self.under_way > 0 || (self.begun > 0 && self.startable > 0)
    }
}

impl Ready {
    pub fn new(plan: &Plan, index: &BTreeMap<StepId, StepIndex>) -> Ready {
        let count = plan.steps.len();
        let mut successors = vec![Vec::new(); count];
        let mut open_needs = vec![0; count];
        for (i, step) in plan.steps.iter().enumerate() {
            for need in &step.needs {
                let needed = *index.get(&need.step).expect("the planner checks that every need is a step of the plan");
                successors[needed.0].push((StepIndex(i), need.rule));
                open_needs[i] += 1;
            }
        }
        let mut lane_by_clusters: BTreeMap<Vec<ClusterName>, usize> = BTreeMap::new();
        let mut lanes = Vec::new();
        let mut lane_of = Vec::with_capacity(count);
        for step in &plan.steps {
            let lane = *lane_by_clusters.entry(step.clusters.clone()).or_insert_with(|| {
                lanes.push(Lane { clusters: step.clusters.clone(), startable: BTreeSet::new() });
                lanes.len() - 1
            });
            lane_of.push(lane);
        }
        let (groups, membership) = groups(plan);
        let mut ready = Ready {
            successors,
            open_needs,
            pending: vec![true; count],
            lane_of,
            lanes,
            retrying: BTreeSet::new(),
            running: 0,
            running_on: BTreeMap::new(),
            clusters_of: plan.steps.iter().map(|step| step.clusters.clone()).collect(),
            membership,
            groups,
        };
        for i in (0..count).map(StepIndex) {
            ready.refresh(i);
        }
        ready
    }

    /// Takes note of one change of a state.
    pub fn moved(&mut self, index: StepIndex, before: &StepState, after: &StepState) {
        self.count_running(index, before, after);
        if let StepState::Retrying { until, .. } = before {
            self.retrying.remove(&(*until, index));
        }
        if let StepState::Retrying { until, .. } = after {
            self.retrying.insert((*until, index));
        }
        self.count_group(index, before, after);
        self.pending[index.0] = matches!(after, StepState::Pending);
        self.refresh(index);
        for (successor, rule) in self.successors[index.0].clone() {
            match (fulfils(before, rule), fulfils(after, rule)) {
                (false, true) => self.open_needs[successor.0] -= 1,
                (true, false) => self.open_needs[successor.0] += 1,
                _ => continue,
            }
            self.refresh(successor);
        }
    }

    pub fn successors(&self, index: StepIndex) -> impl Iterator<Item = StepIndex> {
        self.successors[index.0].iter().map(|(successor, _)| *successor)
    }

    /// Whether the groups of a step let it start now, given the instances that were chosen in this round already.
    pub fn group_allows(&self, index: StepIndex, chosen: &mut BTreeSet<(usize, usize)>) -> bool {
        let around = &self.membership[index.0];
        let is_allowed = around.iter().all(|(group, instance)| self.instance_allowed(*group, *instance, chosen));
        if is_allowed {
            let new = around.iter().filter(|(group, instance)| !self.groups[*group].instances[*instance].is_active());
            chosen.extend(new);
        }
        is_allowed
    }

    fn instance_allowed(&self, group: usize, instance: usize, chosen: &BTreeSet<(usize, usize)>) -> bool {
        let rules = &self.groups[group];
        if rules.on_failure == OnFailure::Stop && rules.failed > 0 {
            return false;
        }
        let Some(parallel) = rules.parallel else {
            return true;
        };
        if rules.instances[instance].is_active() || chosen.contains(&(group, instance)) {
            return true;
        }
        let active = rules.instances.iter().filter(|i| i.is_active()).count()
            + chosen.iter().filter(|(g, _)| *g == group).count();
        active < parallel
    }

    fn refresh(&mut self, index: StepIndex) {
        let startable = self.pending[index.0] && self.open_needs[index.0] == 0;
        let queue = &mut self.lanes[self.lane_of[index.0]].startable;
        let changed = if startable { queue.insert(index) } else { queue.remove(&index) };
        if !changed {
            return;
        }
        for (group, instance) in &self.membership[index.0] {
            let count = &mut self.groups[*group].instances[*instance].startable;
            *count = if startable { *count + 1 } else { *count - 1 };
        }
    }

    fn count_running(&mut self, index: StepIndex, before: &StepState, after: &StepState) {
        let is_running = |state: &StepState| matches!(state, StepState::Running { .. });
        match (is_running(before), is_running(after)) {
            (false, true) => {
                self.running += 1;
                for cluster in &self.clusters_of[index.0] {
                    *self.running_on.entry(cluster.clone()).or_default() += 1;
                }
            }
            (true, false) => {
                self.running -= 1;
                for cluster in &self.clusters_of[index.0] {
                    *self.running_on.get_mut(cluster).expect("it was counted when the step started") -= 1;
                }
            }
            _ => {}
        }
    }

    fn count_group(&mut self, index: StepIndex, before: &StepState, after: &StepState) {
        let change = |count: &mut usize, holds: fn(&StepState) -> bool| match (holds(before), holds(after)) {
            (false, true) => *count += 1,
            (true, false) => *count -= 1,
            _ => {}
        };
        for (group, instance) in &self.membership[index.0] {
            let group = &mut self.groups[*group];
            change(&mut group.failed, |state| matches!(state, StepState::Failed { .. }));
            change(&mut group.instances[*instance].begun, |state| !matches!(state, StepState::Pending));
            change(&mut group.instances[*instance].under_way, |state| {
                matches!(state, StepState::Running { .. } | StepState::Retrying { .. })
            });
        }
    }
}

/// Whether a step in this state fulfils a need of this rule.
pub(super) fn fulfils(state: &StepState, rule: NeedRule) -> bool {
    match rule {
        NeedRule::Success => state.is_satisfied(),
        NeedRule::End => state.is_ended(),
    }
}

/// The groups with their instances, and for each step the instances that it is in.
fn groups(plan: &Plan) -> (Vec<Group>, Vec<Vec<(usize, usize)>>) {
    let mut groups: Vec<Group> = plan
        .groups
        .iter()
        .map(|g| Group { parallel: g.parallel, on_failure: g.on_failure, failed: 0, instances: Vec::new() })
        .collect();
    let mut keys: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    let mut membership = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let mut around = Vec::new();
        for member in plan.memberships(step) {
            let instances = &mut groups[member.group].instances;
            let instance = *keys.entry((member.group, member.key.as_str())).or_insert_with(|| {
                instances.push(Instance::default());
                instances.len() - 1
            });
            around.push((member.group, instance));
        }
        membership.push(around);
    }
    (groups, membership)
}
