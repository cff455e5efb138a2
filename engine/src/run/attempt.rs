//! From a planned step to the call of its kind: identity, limits, clusters, and where large outputs go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine_core::id::{Digest, RunId};
use engine_core::limits::{OUTPUT_BYTES_MAX, OUTPUT_INLINE_BYTES_MAX};
use engine_core::plan::PlannedStep;
use engine_core::run::Outputs;
use steps_sdk::context::{CallIdentity, ClusterHandle, Clusters};
use steps_sdk::spec::TimeLimit;
use steps_sdk::{StepError, Value};
use tokio_util::sync::CancellationToken;

use super::late::{LateClusters, ToOpen};
use super::secrets::SecretStore;
use super::verbs::{Limit, Setting};
use crate::journal::{RunDir, values};
use crate::load::Registry;

/// A verb that only reads or gives back may take this long, whatever the step's own limit.
const SIDE_VERB_LIMIT: Duration = Duration::from_secs(60);

/// What every call of a run is made from.
pub struct Desk {
    pub run: RunId,
    pub registry: Arc<Registry>,
    pub clusters: BTreeMap<String, ClusterHandle>,
    pub late: Arc<LateClusters>,
    pub secrets: Arc<SecretStore>,
    pub cancel: CancellationToken,
}

impl Desk {
    /// The setting for an attempt of `run`.
    pub fn attempt(
        &self,
        step: &PlannedStep,
        inputs: Value,
        notes: BTreeMap<String, Value>,
        attempt: u32,
    ) -> Result<Setting, StepError> {
        let limit = match step.time_limit {
            TimeLimit::Action { timeout_ms } => Limit::Action(Duration::from_millis(timeout_ms)),
            TimeLimit::Wait { for_ms } => Limit::Wait(Duration::from_millis(step.wait_for_ms.unwrap_or(for_ms))),
        };
        self.setting(step, inputs, notes, attempt, limit)
    }

    /// The setting for `preview` and `verify`.
    pub fn side_call(
        &self,
        step: &PlannedStep,
        inputs: Value,
        notes: BTreeMap<String, Value>,
    ) -> Result<Setting, StepError> {
        self.setting(step, inputs, notes, 1, Limit::Action(SIDE_VERB_LIMIT))
    }

    /// The setting for `release`: what was taken is given back even while the run is being stopped.
    pub fn release_call(
        &self,
        step: &PlannedStep,
        inputs: Value,
        notes: BTreeMap<String, Value>,
    ) -> Result<Setting, StepError> {
        Ok(Setting { cancel: CancellationToken::new(), ..self.side_call(step, inputs, notes)? })
    }

    fn setting(
        &self,
        step: &PlannedStep,
        inputs: Value,
        notes: BTreeMap<String, Value>,
        attempt: u32,
        limit: Limit,
    ) -> Result<Setting, StepError> {
        let handler = self.registry.handler(&step.kind).ok_or_else(|| {
            StepError::permanent("E106", format!("this binary has no kind `{}`", step.kind)).not_started()
        })?;
        Ok(Setting {
            handler: Arc::clone(handler),
            identity: self.identity(step, attempt),
            inputs,
            notes,
            clusters: self.clusters_of(step)?,
            to_open: ToOpen { kubeconfigs: BTreeMap::new(), late: Arc::clone(&self.late) },
            secrets: Arc::clone(&self.secrets),
            cancel: self.cancel.child_token(),
            limit,
            wait_for: step.wait_for_ms.map(Duration::from_millis),
        })
    }

    fn identity(&self, step: &PlannedStep, attempt: u32) -> CallIdentity {
        CallIdentity {
            run: self.run.to_string(),
            step: step.id.to_string(),
            owner: step.owner.clone(),
            once: Digest::of_bytes(format!("{}\n{}", self.run, step.id).as_bytes()).to_string(),
            attempt,
            on: step.on.clone(),
        }
    }

    fn clusters_of(&self, step: &PlannedStep) -> Result<Clusters, StepError> {
        let mut handles = Vec::with_capacity(step.clusters.len());
        for name in step.clusters.iter().filter(|name| !self.late.contains(name)) {
            let handle = self.clusters.get(&name.0).cloned();
            handles.push(
                handle.ok_or_else(|| {
                    StepError::permanent("C001", format!("cluster `{name}` is not open")).not_started()
                })?,
            );
        }
        Ok(Clusters::new(handles))
    }
}

/// Puts outputs into the record, or into a file of their own when they are too large for one.
pub async fn store_outputs(files: &RunDir, outputs: &Value) -> Result<Outputs, StepError> {
    let files = files.clone();
    // Only large outputs are worth another thread; most are told apart without one.
    let text_bytes = outputs.to_string().len();
    if text_bytes > OUTPUT_BYTES_MAX {
        let message = format!("the outputs have {text_bytes} bytes, at most {OUTPUT_BYTES_MAX} are allowed");
        return Err(StepError::permanent("E104", message)
            .help("write large results to a file or an object, and put its name into the outputs"));
    }
    if text_bytes <= OUTPUT_INLINE_BYTES_MAX {
        return Ok(Outputs::Inline(outputs.clone()));
    }
    let outputs = outputs.clone();
    let stored = tokio::task::spawn_blocking(move || values::store(&files, outputs))
        .await
        .expect("writing a file does not panic");
    stored.map_err(|e| {
        StepError::transient("J610", "the outputs could not be written to the state directory").caused_by(&e)
    })
}
