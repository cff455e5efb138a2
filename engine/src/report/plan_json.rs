//! A forecast for machines, `engine.plan/v1`, and the totals that the text shows too.
//!
//! `change` and `certainty` speak of the whole step; `objects` lists its changes with their own. A step whose preview failed has
//! `change` unknown and, beside the fields that every step has, `error`.

use engine_core::plan::{Expectation, Forecast, PlannedStep, StepForecast};
use serde::Serialize;
use serde_json::json;
use steps_sdk::Value;
use steps_sdk::outcome::{Certainty, ChangeAction, Preview};

use super::custom;

/// `engine.plan/v1`.
pub fn json(forecast: &Forecast) -> Value {
    let steps: Vec<Value> =
        forecast.plan.steps.iter().zip(&forecast.steps).map(|(step, forecast)| step_json(step, forecast)).collect();
    let components: Vec<Value> = custom::of_plan(&forecast.plan).iter().map(custom::json).collect();
    json!({
        "schema": "engine.plan/v1", "digest": forecast.plan.digest, "components": components, "steps": steps,
        "totals": Totals::of(forecast),
    })
}

fn step_json(step: &PlannedStep, forecast: &StepForecast) -> Value {
    let needs: Vec<&str> = step.needs.iter().map(|need| need.step.as_str()).collect();
    let objects: Vec<Value> = forecast
        .expected
        .changes()
        .iter()
        .map(|change| {
            json!({
                "object": change.object, "change": change.action, "certainty": change.certainty,
                "fields": change.fields, "conflict": change.conflict, "waits_for": change.waits_for,
            })
        })
        .collect();
    let mut json = json!({
        "id": step.id, "kind": step.kind, "cluster": step.on, "needs": needs,
        "change": forecast.expected.action(), "certainty": forecast.expected.certainty(),
        "waits_for": forecast.waits_for, "objects": objects,
    });
    if let Expectation::Failed(error) = &forecast.expected {
        json["error"] = json!(error);
    }
    json
}

/// How many changes of each sort, how many steps in each degree of certainty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    pub steps: usize,
    pub create: usize,
    pub update: usize,
    pub same: usize,
    pub delete: usize,
    pub run: usize,
    pub unknown: usize,
    pub skipped: usize,
    pub conflicts: usize,
    /// Steps whose preview failed.
    pub failed: usize,
    pub server: usize,
    pub schema: usize,
    pub later: usize,
    pub has_changes: bool,
}

impl Totals {
    pub fn of(forecast: &Forecast) -> Totals {
        let mut totals =
            Totals { steps: forecast.steps.len(), has_changes: forecast.has_changes(), ..Totals::default() };
        for StepForecast { expected, .. } in &forecast.steps {
            match expected {
                Expectation::Skipped { .. } => totals.skipped += 1,
                Expectation::Failed(_) => totals.failed += 1,
                Expectation::Previewed(Preview::Changes(_))
                | Expectation::Previewed(Preview::Later(_))
                | Expectation::Later
                | Expectation::NotAsked => {}
            }
            if let Expectation::Skipped { .. } | Expectation::Failed(_) = expected {
                continue;
            }
            match expected.certainty() {
                Certainty::Server => totals.server += 1,
                Certainty::Schema => totals.schema += 1,
                Certainty::Later => totals.later += 1,
            }
            match expected.changes() {
                [] => totals.count(expected.action()),
                changes => changes.iter().for_each(|change| totals.count(change.action)),
            }
            totals.conflicts += expected.changes().iter().filter(|change| change.conflict.is_some()).count();
        }
        totals
    }

    fn count(&mut self, action: ChangeAction) {
        let slot = match action {
            ChangeAction::Create => &mut self.create,
            ChangeAction::Update => &mut self.update,
            ChangeAction::Same => &mut self.same,
            ChangeAction::Delete => &mut self.delete,
            ChangeAction::Run => &mut self.run,
            ChangeAction::Unknown => &mut self.unknown,
        };
        *slot += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{cdn, forecast, plan_with_cdn};
    use super::*;

    #[test]
    fn json_has_exactly_the_fields_of_the_schema() {
        let json = json(&forecast());
        assert_eq!(
            json.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["schema", "digest", "components", "steps", "totals"]
        );
        assert_eq!(json["schema"], "engine.plan/v1");
        assert_eq!(json["components"], json!([]));
        let custom = super::json(&Forecast { plan: plan_with_cdn(), ..forecast() });
        assert_eq!(custom["components"], json!([custom::json(&cdn())]));
        let steps = json["steps"].as_array().unwrap();
        for step in steps {
            let mut fields: Vec<&str> = step.as_object().unwrap().keys().map(String::as_str).collect();
            fields.retain(|field| *field != "error");
            assert_eq!(fields, ["id", "kind", "cluster", "needs", "change", "certainty", "waits_for", "objects"]);
        }
        let changes: Vec<&str> = steps.iter().map(|step| step["change"].as_str().unwrap()).collect();
        assert_eq!(changes, ["same", "update", "unknown", "create", "unknown", "unknown"]);
        let certainties: Vec<&str> = steps.iter().map(|step| step["certainty"].as_str().unwrap()).collect();
        assert_eq!(certainties, ["server", "server", "later", "schema", "later", "schema"]);
        assert_eq!((&steps[1]["cluster"], &steps[1]["needs"]), (&"hub".into(), &json!(["names"])));
        assert_eq!(steps[4]["waits_for"], json!(["etcd"]));
        assert_eq!(
            steps[1]["objects"][0]["fields"][0],
            json!({ "path": "spec.external.hostname", "before": "api.zheng.example.com", "after": "api.zheng.example.io" })
        );
        assert_eq!((&steps[5]["error"]["code"], steps[0].get("error")), (&"D104".into(), None));
    }

    #[test]
    fn totals_count_changes_and_the_certainty_of_steps() {
        let totals = Totals::of(&forecast());
        let expected = Totals {
            steps: 6,
            create: 1,
            update: 1,
            same: 2,
            unknown: 2,
            conflicts: 1,
            failed: 1,
            server: 2,
            schema: 1,
            later: 2,
            has_changes: true,
            ..Totals::default()
        };
        assert_eq!(totals, expected);
    }
}
