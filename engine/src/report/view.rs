//! A run as it is shown: the fold of notices into states, counts, ages and reasons.
//!
//! The truth about a run is `RunState`, which also checks transitions. This is a picture of it for people: it keeps what
//! deciding does not need (summaries, start times, reasons of waits) and takes every event as it comes. Counts are kept per
//! lane while events arrive, so that a frame costs what is under way, not what the plan holds.

use std::collections::{BTreeSet, HashMap};

use engine_core::id::{Digest, Epoch, RunId, Sequence, StepId, Timestamp};
use engine_core::plan::Plan;
use engine_core::run::{Event, Recorded, RunOutcome};
use steps_sdk::value::ClusterName;

use super::lanes::{Counts, Lane, Lanes};
use super::notice::Notice;
use super::step_view::{StepState, StepView, Waiting};

/// One run, seen from outside.
#[derive(Debug, Clone)]
pub struct RunView {
    pub run: RunId,
    pub workflow: String,
    pub plan: Digest,
    /// In the order of the plan.
    pub steps: Vec<StepView>,
    /// One for each cluster that has steps, in the order of the file; then one for steps on several and one for steps on none.
    pub lanes: Vec<Lane>,
    pub clusters: Vec<ClusterView>,
    pub counts: Counts,
    /// When the run was first started.
    pub started: Option<Timestamp>,
    pub started_by: String,
    /// When the process began that runs it now, or ran it last.
    pub session: Option<Timestamp>,
    /// How many processes have worked on it: the first run is 1.
    pub sessions: u32,
    /// The last event's time.
    pub latest: Option<Timestamp>,
    pub sequence: Sequence,
    pub epoch: Epoch,
    pub outcome: Option<RunOutcome>,
    /// Nothing is started any more.
    pub is_stopping: bool,
    /// Taken away and not yet given back, oldest first.
    pub holds: Vec<HoldView>,
    index: HashMap<StepId, usize>,
    active: BTreeSet<usize>,
    failures: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldView {
    pub step: StepId,
    pub name: String,
    pub cluster: Option<ClusterName>,
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    pub name: ClusterName,
    pub context: Option<String>,
}

impl RunView {
    /// The run before its first event.
    pub fn new(run: RunId, plan: &Plan) -> RunView {
        let lanes = Lanes::of(plan);
        let mut view = RunView {
            run,
            workflow: plan.workflow.clone(),
            plan: plan.digest.clone(),
            steps: Vec::with_capacity(plan.steps.len()),
            lanes: lanes.named(),
            clusters: plan
                .clusters
                .iter()
                .map(|c| ClusterView { name: c.name.clone(), context: c.kubeconfig.context.clone() })
                .collect(),
            counts: Counts { total: plan.steps.len(), pending: plan.steps.len(), ..Counts::default() },
            started: None,
            started_by: String::new(),
            session: None,
            sessions: 0,
            latest: None,
            sequence: Sequence(0),
            epoch: Epoch(0),
            outcome: None,
            is_stopping: false,
            holds: Vec::new(),
            index: plan.steps.iter().enumerate().map(|(at, step)| (step.id.clone(), at)).collect(),
            active: BTreeSet::new(),
            failures: Vec::new(),
        };
        for step in &plan.steps {
            let lane = lanes.position(step);
            view.lanes[lane].counts.total += 1;
            view.lanes[lane].counts.pending += 1;
            view.steps.push(StepView::new(step, lane));
        }
        view
    }

    /// Takes one notice into the picture; answers whether it said anything new. A step that looks every half second and tells
    /// each time why it still waits must neither fill a log nor make an old reason look young.
    pub fn apply(&mut self, notice: &Notice) -> bool {
        match notice {
            Notice::Recorded(recorded) => self.record(recorded),
            Notice::StepWaiting { step, reason, since } => {
                let Some(step) = self.step_mut(step) else { return false };
                if step.waiting.as_ref().is_some_and(|waiting| waiting.reason == *reason) {
                    return false;
                }
                step.waiting = Some(Waiting { reason: reason.clone(), since: *since });
            }
            Notice::Stopping { .. } => self.is_stopping = true,
            Notice::Remark { .. } => {}
            Notice::Log { step, message, .. } => {
                if let Some(step) = self.step_mut(step) {
                    step.last_log = Some(message.clone());
                }
            }
        }
        true
    }

    /// Takes one event into the picture; a resume and `status` feed the whole journal through here.
    pub fn record(&mut self, recorded: &Recorded) {
        let time = recorded.time;
        self.latest = Some(time);
        self.sequence = recorded.sequence;
        self.epoch = recorded.epoch;
        match &recorded.event {
            Event::RunStarted { by, .. } => {
                self.started = Some(time);
                self.started_by.clone_from(by);
                self.begin_session(time);
            }
            Event::RunResumed { .. } => self.begin_session(time),
            Event::RunFinished { outcome } => self.outcome = Some(*outcome),
            Event::MemoPut { .. } => {}
            Event::HoldTaken { step, name, .. } => {
                let cluster = self.step(step).and_then(|step| step.cluster.clone());
                self.holds.push(HoldView { step: step.clone(), name: name.clone(), cluster, since: time });
            }
            Event::HoldReleased { step, name, .. } => {
                self.holds.retain(|hold| hold.step != *step || hold.name != *name)
            }
            about_a_step => self.record_step(about_a_step, time),
        }
    }

    fn begin_session(&mut self, time: Timestamp) {
        self.session = Some(time);
        self.sessions += 1;
        self.outcome = None;
        self.is_stopping = false;
        // What was waited for is asked again; the reasons of a process that is gone are not those of this one.
        for step in &mut self.steps {
            step.waiting = None;
        }
    }

    fn record_step(&mut self, event: &Event, time: Timestamp) {
        let Some(at) = event.step().and_then(|id| self.index.get(id).copied()) else { return };
        let state = self.steps[at].take(event, time);
        self.set_state(at, state);
    }

    fn set_state(&mut self, at: usize, state: StepState) {
        let step = &mut self.steps[at];
        let before = std::mem::replace(&mut step.state, state);
        for counts in [&mut self.counts, &mut self.lanes[step.lane].counts] {
            counts.add(before, -1);
            counts.add(state, 1);
        }
        if state.is_active() {
            self.active.insert(at)
        } else {
            self.active.remove(&at)
        };
        self.failures.retain(|failed| *failed != at);
        if state == StepState::Failed {
            self.failures.push(at);
        }
    }

    pub fn step(&self, id: &StepId) -> Option<&StepView> {
        self.index.get(id).map(|at| &self.steps[*at])
    }

    fn step_mut(&mut self, id: &StepId) -> Option<&mut StepView> {
        self.index.get(id).map(|at| &mut self.steps[*at])
    }

    /// Running and retrying steps, in the order of the plan.
    pub fn active(&self) -> impl Iterator<Item = &StepView> {
        self.active.iter().map(|at| &self.steps[*at])
    }

    /// Failed steps, the first to fail first: it is the most likely root of the others.
    pub fn failures(&self) -> impl Iterator<Item = &StepView> {
        self.failures.iter().map(|at| &self.steps[*at])
    }

    pub fn parked(&self) -> impl Iterator<Item = &StepView> {
        self.steps.iter().filter(|step| step.state == StepState::Parked)
    }

    /// How a step is called where its cluster matters: `hub/etcd`, `ca`.
    pub fn label(&self, step: &StepView) -> String {
        match &step.cluster {
            Some(cluster) => format!("{cluster}/{}", step.id),
            None => step.id.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;

    #[test]
    fn counts_and_lanes_follow_the_events() {
        let view = after(&failing());
        let lanes: Vec<&str> = view.lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!(lanes, ["hub", "alpha", "several", "local"]);
        let expected = Counts { total: 6, succeeded: 3, same: 1, failed: 1, pending: 2, ..Counts::default() };
        assert_eq!(view.counts, expected);
        for field in
            [|counts: &Counts| counts.total, |counts: &Counts| counts.succeeded, |counts: &Counts| counts.pending]
        {
            assert_eq!(view.lanes.iter().map(|lane| field(&lane.counts)).sum::<usize>(), field(&view.counts));
        }
        assert_eq!(view.outcome, Some(RunOutcome::Failed));
        assert_eq!(view.failures().map(|step| step.id.as_str()).collect::<Vec<_>>(), ["etcd"]);
        assert_eq!(view.active().count(), 0);
    }

    #[test]
    fn a_resume_starts_a_session_and_a_reset_step_starts_anew() {
        let mut view = after(&failing());
        let mut tape = Tape::default();
        view.apply(&tape.record(400_000, Event::RunResumed { by: "mia".into(), binary: "0.1.0".into() }));
        assert_eq!((view.sessions, view.outcome, view.session), (2, None, Some(at(400_000))));
        view.apply(&tape.record(400_010, Event::StepReset { step: id("etcd"), reason: "failed last time".into() }));
        view.apply(&tape.record(400_020, started("etcd", 1)));
        let etcd = view.step(&id("etcd")).unwrap();
        assert_eq!((etcd.started, etcd.error.as_ref()), (Some(at(400_020)), None));
        assert_eq!((view.failures().count(), view.active().count()), (0, 1));
    }

    #[test]
    fn holds_are_open_until_they_are_given_back() {
        let mut view = view();
        let mut tape = Tape::default();
        for name in ["scale", "cordon"] {
            view.apply(
                &tape.record(0, Event::HoldTaken { step: id("ns"), name: name.into(), data: steps_sdk::Value::Null }),
            );
        }
        view.apply(
            &tape.record(
                5,
                Event::HoldReleased { step: id("ns"), name: "scale".into(), because: "the step ended".into() },
            ),
        );
        let open: Vec<(&str, Option<&str>)> =
            view.holds.iter().map(|hold| (hold.name.as_str(), hold.cluster.as_ref().map(|c| c.0.as_str()))).collect();
        assert_eq!(open, [("cordon", Some("hub"))]);
    }

    #[test]
    fn a_reason_that_is_told_again_keeps_its_age() {
        let mut view = after(&failing()[..9]);
        let reason = view.step(&id("etcd")).unwrap().waiting.clone().unwrap().reason;
        assert!(!view.apply(&waiting("etcd", 9_000, &reason)));
        assert_eq!(view.step(&id("etcd")).unwrap().waiting.as_ref().unwrap().since, at(2_430));
        assert!(view.apply(&waiting("etcd", 9_000, "another")));
        assert_eq!(view.step(&id("etcd")).unwrap().waiting.as_ref().unwrap().since, at(9_000));
    }

    #[test]
    fn a_wait_ends_with_the_next_event_of_its_step() {
        let notices = failing();
        let view = after(&notices[..9]);
        let etcd = view.step(&id("etcd")).unwrap();
        assert_eq!(etcd.waiting.as_ref().unwrap().since, at(2_430));
        assert_eq!(after(&notices[..10]).step(&id("etcd")).unwrap().waiting, None);
    }
}
