//! Generated plans and whole runs over them: the scheduler against its plain definition, and a crash after every event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use steps_sdk::spec::TimeLimit;
use steps_sdk::value::ClusterName;
use steps_sdk::{Effect, EffectOf, StepError};

use super::resume::{Recheck, Restart};
use super::*;
use crate::diagnostic::{Place, SourceId};
use crate::id::{Digest, StepId, StepIndex, Timestamp};
use crate::plan::*;

/// What the outside does with a step.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Succeeds,
    FailsOnceThenSucceeds,
    Fails,
    Parks,
}

#[derive(Debug, Clone)]
struct Case {
    plan: Arc<Plan>,
    fates: Vec<Fate>,
}

fn step(i: usize, needs: Vec<Need>, cluster: Option<usize>, group: Option<Membership>, effect: Effect) -> PlannedStep {
    let clusters: Vec<ClusterName> = cluster.into_iter().map(|c| ClusterName(format!("c{c}"))).collect();
    PlannedStep {
        id: StepId::new(format!("s{i}")),
        kind: "test.step".parse().unwrap(),
        doc: String::new(),
        on: clusters.first().cloned(),
        clusters,
        inputs: Input::Known(json!({})),
        needs,
        under: Vec::new(),
        when: None,
        effect: EffectOf::Fixed(effect),
        retry: RetryPolicy::default(),
        time_limit: TimeLimit::Action { timeout_ms: 1_000 },
        wait_for_ms: None,
        group,
        owner: format!("engine/test/s{i}"),
        at: Place::new(SourceId(0), 0, 0),
    }
}

fn plan(steps: Vec<PlannedStep>, groups: Vec<PlannedGroup>, limits: RunLimits) -> Arc<Plan> {
    Arc::new(Plan {
        format: PLAN_FORMAT,
        workflow: "test".into(),
        lock: "test".into(),
        digest: Digest::of_bytes(b"test"),
        steps,
        groups,
        clusters: Vec::new(),
        components: Vec::new(),
        outputs: Vec::new(),
        limits,
        kinds: BTreeMap::new(),
        inputs: BTreeMap::new(),
    })
}

prop_compose! {
    fn arbitrary_step()(needs in prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.2)), 0..3), cluster in prop::option::of(0..3_usize),
        group in prop::option::of((0..2_usize, 0..3_u8)), once in prop::bool::weighted(0.3),
        fate in prop_oneof![5 => Just(Fate::Succeeds), 1 => Just(Fate::FailsOnceThenSucceeds), 1 => Just(Fate::Fails), 1 => Just(Fate::Parks)])
        -> (Vec<(prop::sample::Index, bool)>, Option<usize>, Option<(usize, u8)>, bool, Fate) {
        (needs, cluster, group, once, fate)
    }
}

prop_compose! {
    fn arbitrary_case()(steps in prop::collection::vec(arbitrary_step(), 1..14), parallel in 1..5_usize, per_cluster in 1..3_usize,
        group_limits in prop::collection::vec((prop::option::of(1..3_usize), any::<bool>()), 2), nested in prop::option::of(0..2_u8)) -> Case {
        let fates = steps.iter().map(|(.., fate)| *fate).collect();
        let planned = steps.into_iter().enumerate().map(|(i, (needs, cluster, group, once, _))| {
            let needed: BTreeMap<usize, bool> = if i == 0 { BTreeMap::new() } else { needs.into_iter().map(|(n, end)| (n.index(i), end)).collect() };
            let needs = needed.into_iter().map(|(n, end)| Need { step: StepId::new(format!("s{n}")), rule: if end { NeedRule::End } else { NeedRule::Success } }).collect();
            let group = group.map(|(group, key)| Membership { group, key: key.to_string() });
            step(i, needs, cluster, group, if once { Effect::Once } else { Effect::Converge })
        }).collect();
        let groups = group_limits.into_iter().enumerate().map(|(i, (parallel, stop))| PlannedGroup {
            id: format!("g{i}"), parallel, on_failure: if stop { OnFailure::Stop } else { OnFailure::FinishOthers },
            // The second group may stand in an instance of the first, as a group of a called template does.
            outer: nested.filter(|_| i == 1).map(|key| Membership { group: 0, key: key.to_string() }) }).collect();
        Case { plan: plan(planned, groups, RunLimits { parallel, per_cluster }), fates }
    }
}

/// What may start, by definition: from the states alone, in the plan's order, with no memory.
fn naive_starts(state: &RunState) -> BTreeSet<usize> {
    let plan = state.plan().clone();
    let at = |id: &StepId| &state.record(state.index_of(id).unwrap()).state;
    let open = |step: &PlannedStep| {
        step.needs.iter().all(|need| match need.rule {
            NeedRule::Success => matches!(at(&need.step), StepState::Succeeded | StepState::Skipped { .. }),
            NeedRule::End => at(&need.step).is_ended(),
        })
    };
    let state_of = |i: usize| &state.record(StepIndex(i)).state;
    let members = |g: usize, key: &str| -> Vec<usize> {
        (0..plan.steps.len())
            .filter(|i| plan.memberships(&plan.steps[*i]).any(|m| m.group == g && m.key == key))
            .collect()
    };
    let startable = |i: usize| matches!(state_of(i), StepState::Pending) && open(&plan.steps[i]);
    let active = |g: usize, key: &str| {
        let members = members(g, key);
        let under_way =
            members.iter().any(|i| matches!(state_of(*i), StepState::Running { .. } | StepState::Retrying { .. }));
        under_way
            || (members.iter().any(|i| !matches!(state_of(*i), StepState::Pending))
                && members.iter().any(|i| startable(*i)))
    };
    let mut running: Vec<usize> =
        (0..plan.steps.len()).filter(|i| matches!(state_of(*i), StepState::Running { .. })).collect();
    let mut chosen: BTreeSet<(usize, String)> = BTreeSet::new();
    let mut starts = BTreeSet::new();
    for i in 0..plan.steps.len() {
        let step = &plan.steps[i];
        let on = |name: &ClusterName| running.iter().filter(|r| plan.steps[**r].clusters.contains(name)).count();
        if running.len() >= plan.limits.parallel
            || !startable(i)
            || step.clusters.iter().any(|c| on(c) >= plan.limits.per_cluster)
        {
            continue;
        }
        let mut taken = Vec::new();
        let is_allowed = plan.memberships(step).all(|m| {
            let group = &plan.groups[m.group];
            let failed = (0..plan.steps.len()).any(|j| {
                plan.memberships(&plan.steps[j]).any(|o| o.group == m.group)
                    && matches!(state_of(j), StepState::Failed { .. })
            });
            if group.on_failure == OnFailure::Stop && failed {
                return false;
            }
            let keys: BTreeSet<&str> = plan
                .steps
                .iter()
                .flat_map(|s| plan.memberships(s))
                .filter(|o| o.group == m.group)
                .map(|o| o.key.as_str())
                .collect();
            let busy = keys
                .iter()
                .filter(|key| active(m.group, key) || chosen.contains(&(m.group, (**key).to_owned())))
                .count();
            let has_place = active(m.group, &m.key) || chosen.contains(&(m.group, m.key.clone()));
            taken.push((m.group, m.key.clone()));
            has_place || group.parallel.is_none_or(|most| busy < most)
        });
        if !is_allowed {
            continue;
        }
        chosen.extend(taken);
        running.push(i);
        starts.insert(i);
    }
    starts
}

/// Lives through a run without the engine: applies what decide says and what fate brings. Returns the events in their order.
struct Life {
    state: RunState,
    now: Timestamp,
    events: Vec<(Event, Timestamp)>,
}

impl Life {
    fn new(plan: Arc<Plan>) -> Life {
        let mut life = Life { state: RunState::new(plan.clone()), now: Timestamp(1_000), events: Vec::new() };
        life.happens(Event::RunStarted {
            workflow: "test".into(),
            plan: plan.digest.clone(),
            steps: plan.steps.len(),
            by: "t".into(),
            binary: "t".into(),
            granted: Vec::new(),
        });
        life
    }

    fn happens(&mut self, event: Event) {
        self.state.apply(&event, self.now).unwrap_or_else(|e| panic!("{e}"));
        self.events.push((event, self.now));
    }

    fn end(&mut self, index: StepIndex, fate: Fate) {
        let step = self.state.plan().step(index).id.clone();
        let attempt = self.state.record(index).attempt;
        let failed =
            |retry_at| Event::StepFailed { step: step.clone(), error: StepError::transient("T1", "broken"), retry_at };
        let event = match fate {
            Fate::FailsOnceThenSucceeds if attempt == 1 => failed(Some(self.now.plus_ms(500))),
            Fate::Succeeds | Fate::FailsOnceThenSucceeds => Event::StepSucceeded {
                step: step.clone(),
                outputs: Outputs::Inline(json!({ "n": index.0 })),
                summary: "done".into(),
                same: false,
            },
            Fate::Fails => failed(None),
            Fate::Parks => Event::StepParked { step: step.clone(), why: "asks".into() },
        };
        self.happens(event);
    }

    /// Runs to the end; `pick` chooses which of the running steps ends next.
    fn run(&mut self, fates: &[Fate], mut pick: impl FnMut(usize) -> usize, check: bool) -> RunOutcome {
        for _ in 0..1_000 {
            let decisions = self.state.decide(self.now, Gate::Open, 0);
            if check {
                self.compare_with_naive(&decisions);
            }
            let mut wake = None;
            for decision in &decisions {
                match decision {
                    Decision::Start(index) => {
                        let step = self.state.plan().step(*index).id.clone();
                        let attempt = self.state.record(*index).attempt + 1;
                        self.happens(Event::StepStarted { step, attempt, inputs: Digest::of_bytes(b"") });
                    }
                    Decision::WakeAt(at) => wake = Some(*at),
                    Decision::Finish(outcome) => {
                        self.happens(Event::RunFinished { outcome: *outcome });
                        return *outcome;
                    }
                    Decision::Release(..) => panic!("nothing was held"),
                }
            }
            let running: Vec<StepIndex> = self
                .state
                .records()
                .filter(|(_, r)| matches!(r.state, StepState::Running { .. }))
                .map(|(i, _)| i)
                .collect();
            if let Some(index) = running.get(pick(running.len().max(1)) % running.len().max(1)) {
                self.end(*index, fates[index.0]);
            } else {
                self.now = wake.unwrap_or_else(|| {
                    panic!("nothing runs, nothing is due, and the run is not finished: {decisions:?}")
                });
            }
        }
        panic!("the run does not end");
    }

    fn compare_with_naive(&self, decisions: &[Decision]) {
        let retrying_due = self
            .state
            .records()
            .any(|(_, r)| matches!(&r.state, StepState::Retrying { until, .. } if *until <= self.now));
        if retrying_due {
            return;
        }
        let starts: BTreeSet<usize> =
            decisions.iter().filter_map(|d| if let Decision::Start(i) = d { Some(i.0) } else { None }).collect();
        assert_eq!(starts, naive_starts(&self.state));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn schedule_matches_the_naive_one(case in arbitrary_case(), picks in prop::collection::vec(0..8_usize, 64)) {
        let mut life = Life::new(case.plan.clone());
        let mut picks = picks.into_iter().cycle();
        life.run(&case.fates, |_| picks.next().unwrap(), true);
    }

    #[test]
    fn a_step_never_starts_before_what_it_needs(case in arbitrary_case(), picks in prop::collection::vec(0..8_usize, 64)) {
        let mut life = Life::new(case.plan.clone());
        let mut picks = picks.into_iter().cycle();
        life.run(&case.fates, |_| picks.next().unwrap(), false);
        let mut replayed = RunState::new(case.plan.clone());
        for (event, time) in &life.events {
            if let Event::StepStarted { step, .. } = event {
                for need in &case.plan.step(replayed.index_of(step).unwrap()).needs {
                    let needed = &replayed.record(replayed.index_of(&need.step).unwrap()).state;
                    let fulfilled = if need.rule == NeedRule::Success { needed.is_satisfied() } else { needed.is_ended() };
                    prop_assert!(fulfilled);
                }
            }
            replayed.apply(event, *time).unwrap();
            let running = replayed.records().filter(|(_, r)| matches!(r.state, StepState::Running { .. })).count();
            prop_assert!(running <= case.plan.limits.parallel);
        }
    }

    /// Invariant 4. The engine dies after any event; what the journal holds is folded again, through a checkpoint or not, and the
    /// run goes on. Every step whose outcome was recorded keeps it, and the run comes to the end that it would have come to.
    #[test]
    fn a_crash_after_any_event_leads_to_the_same_end(case in arbitrary_case(), crash in any::<prop::sample::Index>()) {
        let mut whole = Life::new(case.plan.clone());
        let expected = whole.run(&case.fates, |_| 0, false);
        let cut = 1 + crash.index(whole.events.len());

        let mut state = RunState::new(case.plan.clone());
        for (event, time) in &whole.events[..cut] {
            state.apply(event, *time).unwrap();
        }
        let through_checkpoint: Folded = serde_json::from_str(&serde_json::to_string(&state.folded()).unwrap()).unwrap();
        let again = RunState::from_folded(case.plan.clone(), through_checkpoint).unwrap();
        prop_assert_eq!(again.folded(), state.folded());
        prop_assert_eq!(again.decide(Timestamp(9_999), Gate::Open, 0), state.decide(Timestamp(9_999), Gate::Open, 0));

        let finished: Vec<StepIndex> = again.records().filter(|(_, r)| r.state.is_satisfied()).map(|(i, _)| i).collect();
        let mut life = Life { state: again, now: Timestamp(50_000), events: Vec::new() };
        life.happens(Event::RunResumed { by: "t".into(), binary: "t".into() });
        for index in (0..case.plan.steps.len()).map(StepIndex) {
            let step = case.plan.step(index).id.clone();
            let EffectOf::Fixed(effect) = case.plan.step(index).effect else { unreachable!() };
            match life.state.restart(index, effect, Recheck::No) {
                Restart::Reset { reason } => life.happens(Event::StepReset { step, reason }),
                // The outside tells the truth: a once step that was under way, or had failed, has not happened.
                Restart::Ask { reason } => life.happens(Event::StepReset { step, reason }),
                Restart::Keep | Restart::NotStarted | Restart::Retry | Restart::Waits { .. } => {}
            }
        }
        let outcome = life.run(&case.fates, |_| 0, true);
        prop_assert_eq!(outcome, expected);
        for index in finished {
            let step = &case.plan.step(index).id;
            prop_assert!(!life.events.iter().any(|(e, _)| matches!(e, Event::StepStarted { step: s, .. } if s == step)), "{} ran again", step);
        }
    }
}

#[test]
fn what_does_not_fit_the_state_is_refused_and_changes_nothing() {
    let case = plan(
        vec![step(0, Vec::new(), None, None, Effect::Converge)],
        Vec::new(),
        RunLimits { parallel: 1, per_cluster: 1 },
    );
    let mut life = Life::new(case);
    let id = StepId::new("s0");
    let success = Event::StepSucceeded {
        step: id.clone(),
        outputs: Outputs::Inline(json!(null)),
        summary: String::new(),
        same: false,
    };
    let before = life.state.folded();
    for (event, words) in [
        (success.clone(), "step `s0` is pending, so `step-succeeded` cannot follow"),
        (
            Event::StepStarted { step: id.clone(), attempt: 2, inputs: Digest::of_bytes(b"") },
            "step `s0` is pending, so `step-started` cannot follow",
        ),
        (
            Event::StepReset { step: id.clone(), reason: String::new() },
            "step `s0` is pending, so `step-reset` cannot follow",
        ),
        (Event::StepSkipped { step: StepId::new("x"), because: String::new() }, "step `x` is not in the plan"),
        (
            Event::HoldReleased { step: id.clone(), name: "h".into(), because: String::new() },
            "step `s0` holds nothing called `h`",
        ),
        (
            Event::RunStarted {
                workflow: String::new(),
                plan: Digest::of_bytes(b""),
                steps: 1,
                by: String::new(),
                binary: String::new(),
                granted: Vec::new(),
            },
            "`run-started` cannot follow: the run has started",
        ),
    ] {
        assert_eq!(life.state.apply(&event, life.now).unwrap_err().to_string(), words);
        assert_eq!(life.state.folded(), before);
    }
    life.happens(Event::StepStarted { step: id, attempt: 1, inputs: Digest::of_bytes(b"") });
    life.happens(success.clone());
    assert!(life.state.apply(&success, life.now).is_err(), "one outcome, for ever");
}

#[test]
fn a_hold_keeps_the_run_open_until_it_is_given_back() {
    let case = plan(
        vec![step(0, Vec::new(), None, None, Effect::Converge)],
        Vec::new(),
        RunLimits { parallel: 1, per_cluster: 1 },
    );
    let mut life = Life::new(case);
    let id = StepId::new("s0");
    life.happens(Event::StepStarted { step: id.clone(), attempt: 1, inputs: Digest::of_bytes(b"") });
    life.happens(Event::HoldTaken { step: id.clone(), name: "root".into(), data: json!({ "replicas": 1 }) });
    assert_eq!(life.state.decide(life.now, Gate::Open, 0), [], "a running step gives back at its end");
    life.end(StepIndex(0), Fate::Fails);
    assert_eq!(life.state.decide(life.now, Gate::Open, 0), [Decision::Release(StepIndex(0), "root".into())]);
    let again = RunState::from_folded(life.state.plan().clone(), life.state.folded()).unwrap();
    assert_eq!(
        again.decide(life.now, Gate::Open, 0),
        [Decision::Release(StepIndex(0), "root".into())],
        "after a crash too"
    );
    life.happens(Event::HoldReleased { step: id, name: "root".into(), because: "the step has ended".into() });
    assert_eq!(life.state.decide(life.now, Gate::Open, 0), [Decision::Finish(RunOutcome::Failed)]);
}

#[test]
fn a_step_begins_again_when_what_it_held_is_given_back_and_not_before() {
    let case = plan(
        vec![step(0, Vec::new(), None, None, Effect::Converge), step(1, Vec::new(), None, None, Effect::Converge)],
        Vec::new(),
        RunLimits { parallel: 2, per_cluster: 2 },
    );
    let mut life = Life::new(case);
    let id = StepId::new("s0");
    let released = Event::HoldReleased { step: id.clone(), name: "root".into(), because: "the step has ended".into() };
    let take = |life: &mut Life| {
        let attempt = life.state.record(StepIndex(0)).attempt + 1;
        life.happens(Event::StepStarted { step: id.clone(), attempt, inputs: Digest::of_bytes(b"") });
        life.happens(Event::HoldTaken { step: id.clone(), name: "root".into(), data: json!({ "replicas": 1 }) });
    };
    let release = || Decision::Release(StepIndex(0), "root".into());

    // The engine is killed while the step runs; the step beside it waits for nobody.
    take(&mut life);
    life.happens(Event::StepReset { step: id.clone(), reason: "was under way when the engine stopped".into() });
    assert_eq!(life.state.decide(life.now, Gate::Open, 0), [release(), Decision::Start(StepIndex(1))]);
    life.happens(released.clone());
    assert!(life.state.decide(life.now, Gate::Open, 0).contains(&Decision::Start(StepIndex(0))));

    // The next attempt of a failed step, whose time has come.
    take(&mut life);
    let error = steps_sdk::StepError::transient("E000", "not now");
    life.happens(Event::StepFailed { step: id.clone(), error, retry_at: Some(life.now) });
    assert_eq!(life.state.decide(life.now, Gate::Open, 1), [release(), Decision::Start(StepIndex(1))]);
    life.happens(released);
    assert!(life.state.decide(life.now, Gate::Open, 0).contains(&Decision::Start(StepIndex(0))));
}
