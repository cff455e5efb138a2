//! The lanes that steps are shown in, one for each cluster, and the counts of a lane.

use std::collections::BTreeSet;

use engine_core::plan::{Plan, PlannedStep};
use steps_sdk::value::ClusterName;

use super::step_view::StepState;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub name: String,
    pub counts: Counts,
}

/// How many steps stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub total: usize,
    pub pending: usize,
    pub running: usize,
    pub retrying: usize,
    pub succeeded: usize,
    /// Of the succeeded ones: nothing had to be changed.
    pub same: usize,
    pub failed: usize,
    pub skipped: usize,
    pub parked: usize,
    pub cancelled: usize,
    pub undone: usize,
}

impl Counts {
    pub(super) fn add(&mut self, state: StepState, by: isize) {
        let slot = match state {
            StepState::Pending => &mut self.pending,
            StepState::Running => &mut self.running,
            StepState::Retrying { .. } => &mut self.retrying,
            StepState::Succeeded { .. } => &mut self.succeeded,
            StepState::Failed => &mut self.failed,
            StepState::Skipped => &mut self.skipped,
            StepState::Parked => &mut self.parked,
            StepState::Cancelled => &mut self.cancelled,
            StepState::Undone => &mut self.undone,
        };
        *slot = slot.saturating_add_signed(by);
        if state == (StepState::Succeeded { same: true }) {
            self.same = self.same.saturating_add_signed(by);
        }
    }

    /// Steps that need nothing more.
    pub fn done(&self) -> usize {
        self.succeeded + self.skipped
    }
}

/// Which lane a step is drawn in.
pub(super) struct Lanes<'a> {
    clusters: Vec<&'a ClusterName>,
    several: bool,
    none: bool,
}

impl<'a> Lanes<'a> {
    pub(super) fn of(plan: &'a Plan) -> Lanes<'a> {
        let mut lanes = Lanes { clusters: Vec::new(), several: false, none: false };
        let used: BTreeSet<&ClusterName> = plan.steps.iter().filter_map(only_cluster).collect();
        lanes.clusters.extend(plan.clusters.iter().map(|cluster| &cluster.name).filter(|name| used.contains(name)));
        lanes.clusters.extend(used.iter().filter(|name| !plan.clusters.iter().any(|cluster| cluster.name == ***name)));
        for step in plan.steps.iter().filter(|step| only_cluster(step).is_none()) {
            if step.clusters.is_empty() { lanes.none = true } else { lanes.several = true }
        }
        lanes
    }

    pub(super) fn position(&self, step: &PlannedStep) -> usize {
        let clusters = self.clusters.len();
        match only_cluster(step) {
            Some(name) => self.clusters.iter().position(|cluster| *cluster == name).unwrap_or(clusters),
            None if step.clusters.is_empty() => clusters + usize::from(self.several),
            None => clusters,
        }
    }

    pub(super) fn named(&self) -> Vec<Lane> {
        let mut names: Vec<String> = self.clusters.iter().map(|name| name.0.clone()).collect();
        // A cluster may bear one of these names too.
        let free = |name: &str, names: &[String]| {
            if names.iter().any(|taken| taken == name) { format!("({name})") } else { name.to_owned() }
        };
        if self.several {
            names.push(free("several", &names));
        }
        if self.none {
            names.push(free("local", &names));
        }
        names.into_iter().map(|name| Lane { name, counts: Counts::default() }).collect()
    }
}

/// The cluster that a step works on, if it is one.
fn only_cluster(step: &PlannedStep) -> Option<&ClusterName> {
    step.on.as_ref().or(match step.clusters.as_slice() {
        [only] => Some(only),
        _ => None,
    })
}
