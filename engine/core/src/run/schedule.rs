//! What to do next: a pure function of the state and the time.

use std::collections::{BTreeMap, BTreeSet};

use steps_sdk::value::ClusterName;

use super::event::RunOutcome;
use super::state::{RunState, StepState};
use crate::id::{StepIndex, Timestamp};

/// One thing to do. The runner does it only after the events that lead to it are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Evaluate `when` and inputs, then start an attempt (or skip, or fail).
    Start(StepIndex),
    /// Give back what an ended step still holds.
    Release(StepIndex, String),
    /// Nothing can be done before this time.
    WakeAt(Timestamp),
    /// Nothing is left to do.
    Finish(RunOutcome),
}

/// Whether new steps may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// After an interrupt, or after a failure under `--fail-fast`: what runs may end, nothing begins.
    Closed(RunOutcome),
}

impl RunState {
    /// What to do next. Costs what is ready, not the size of the plan.
    ///
    /// `busy` counts calls that are under way outside of [`StepState::Running`]: releases and verifications. A release is named
    /// again until its `HoldReleased` is applied; the runner knows which of them it has begun.
    pub fn decide(&self, now: Timestamp, gate: Gate, busy: usize) -> Vec<Decision> {
        let mut decisions = self.releases();
        let mut next_retry = None;
        if gate == Gate::Open {
            let mut places = Places::new(self);
            self.start_retries(now, &mut places, &mut decisions);
            self.start_ready(&mut places, &mut decisions);
            next_retry = self
                .ready
                .retrying
                .last()
                .map(|_| self.ready.retrying.iter().map(|(until, _)| *until).find(|until| *until > now));
        }
        match next_retry {
            Some(Some(until)) => decisions.push(Decision::WakeAt(until)),
            // Retries whose time has come and that found no place wait for an outcome, not for the clock.
            Some(None) => {}
            None if decisions.is_empty() && self.ready.running == 0 && busy == 0 => {
                decisions.push(Decision::Finish(self.outcome(gate)))
            }
            None => {}
        }
        decisions
    }

    fn start_retries<'a>(&'a self, now: Timestamp, places: &mut Places<'a>, decisions: &mut Vec<Decision>) {
        for (until, index) in &self.ready.retrying {
            if *until > now {
                break;
            }
            if self.may_begin(index) && places.take(&self.plan.step(*index).clusters) {
                decisions.push(Decision::Start(*index));
            }
        }
    }

    /// In the plan's order across all lanes, so that the same state always gives the same decisions.
    fn start_ready<'a>(&'a self, places: &mut Places<'a>, decisions: &mut Vec<Decision>) {
        let mut chosen = BTreeSet::new();
        let mut lanes: Vec<_> = self
            .ready
            .lanes
            .iter()
            .map(|lane| (lane, lane.startable.iter().copied().filter(|index| self.may_begin(index)).peekable()))
            .collect();
        while places.left > 0 {
            let mut first: Option<(StepIndex, usize)> = None;
            for (position, (lane, queue)) in lanes.iter_mut().enumerate() {
                if let Some(index) = queue.peek().copied().filter(|_| places.has(&lane.clusters)) {
                    first = Some(first.map_or((index, position), |best| best.min((index, position))));
                }
            }
            let Some((index, position)) = first else {
                break;
            };
            let (lane, queue) = &mut lanes[position];
            queue.next();
            if self.ready.group_allows(index, &mut chosen) && places.take(&lane.clusters) {
                decisions.push(Decision::Start(index));
            }
        }
    }

    /// What an earlier attempt took has to be given back first: a step that takes the same again while that goes on would lose it to
    /// the end of that.
    fn may_begin(&self, index: &StepIndex) -> bool {
        !self.holding.contains(index)
    }

    /// Holds of steps that are not running. A step that runs gives back at its end.
    fn releases(&self) -> Vec<Decision> {
        let ended = self.holding.iter().filter(|index| !matches!(self.steps[index.0].state, StepState::Running { .. }));
        ended
            .flat_map(|index| self.steps[index.0].holds.keys().map(|name| Decision::Release(*index, name.clone())))
            .collect()
    }

    /// How a run ends in which nothing more can be done.
    fn outcome(&self, gate: Gate) -> RunOutcome {
        if let Gate::Closed(outcome) = gate {
            return outcome;
        }
        let mut outcome = RunOutcome::Succeeded;
        for record in &self.steps {
            outcome = match (&record.state, outcome) {
                (StepState::Failed { .. }, _) | (_, RunOutcome::Failed) => RunOutcome::Failed,
                (StepState::Parked { .. }, _) | (_, RunOutcome::Parked) => RunOutcome::Parked,
                (StepState::Cancelled { .. }, _) | (_, RunOutcome::Cancelled) => RunOutcome::Cancelled,
                _ => RunOutcome::Succeeded,
            };
        }
        outcome
    }

    /// Steps that ended before `index` was run again and whose inputs may have changed by it.
    pub fn ended_successors(&self, index: StepIndex) -> impl Iterator<Item = StepIndex> {
        self.ready.successors(index).filter(|successor| self.steps[successor.0].state.is_ended())
    }
}

/// Free places, in all and on each cluster.
struct Places<'a> {
    left: usize,
    per_cluster: usize,
    running_on: BTreeMap<&'a ClusterName, usize>,
}

impl<'a> Places<'a> {
    fn new(state: &'a RunState) -> Self {
        let limits = state.plan.limits;
        Places {
            left: limits.parallel.saturating_sub(state.ready.running),
            per_cluster: limits.per_cluster,
            running_on: state.ready.running_on.iter().map(|(name, count)| (name, *count)).collect(),
        }
    }

    fn has(&self, clusters: &[ClusterName]) -> bool {
        self.left > 0
            && clusters.iter().all(|cluster| self.running_on.get(cluster).is_none_or(|count| *count < self.per_cluster))
    }

    fn take(&mut self, clusters: &'a [ClusterName]) -> bool {
        let free = self.has(clusters);
        if free {
            self.left -= 1;
            for cluster in clusters {
                *self.running_on.entry(cluster).or_default() += 1;
            }
        }
        free
    }
}
