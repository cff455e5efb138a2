//! Opens every cluster of a plan at once, and lets none be used before all are known to be the right ones.

use std::path::PathBuf;
use std::sync::Arc;

use engine_core::plan::PlannedCluster;
use futures::future::join_all;
use kube::Client;
use steps_sdk::context::{ClusterHandle, SecretBytes};
use steps_sdk::value::ClusterName;

use super::connect::{self, Limits};
use super::error::{OpenError, PinnedBy, WrongCluster};
use super::kubeconfig::{self, Chosen};
use super::pins::{self, PinFile};
use super::{Opened, Settings, Trust};

/// All clusters of a plan in its order, or every problem. Identities that were met for the first time are kept before this returns,
/// and only when there was no problem.
pub async fn open_all(planned: &[PlannedCluster], settings: &Settings) -> Result<Vec<Opened>, Vec<OpenError>> {
    open_within(planned, settings, Limits::default()).await
}

pub(super) async fn open_within(
    planned: &[PlannedCluster],
    settings: &Settings,
    limits: Limits,
) -> Result<Vec<Opened>, Vec<OpenError>> {
    let met = join_all(planned.iter().map(|planned| meet(planned, settings, limits))).await;
    let (mut known, mut problems) = (Vec::new(), Vec::new());
    for one in met {
        match one {
            Ok(one) => known.push(one),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(known.iter().filter_map(|one| mismatch(one, &known)));
    if problems.is_empty() && settings.keeps_first_use {
        problems.extend(known.iter().filter_map(|one| keep(one, settings).err()));
    }
    if !problems.is_empty() {
        let position = |cluster: &ClusterName| planned.iter().position(|planned| planned.name == *cluster);
        problems.sort_by_key(|problem| position(problem.cluster()));
        return Err(problems);
    }
    let notes: Vec<_> = known.iter().map(|one| same_cluster(one, &known)).collect();
    Ok(known.into_iter().zip(notes).map(|(one, note)| one.opened(note)).collect())
}

/// One cluster whose kubeconfig a step has made, or that is kept as a secret.
pub async fn open_made(
    planned: &PlannedCluster,
    kubeconfig: &SecretBytes,
    settings: &Settings,
) -> Result<ClusterHandle, OpenError> {
    let chosen = kubeconfig::made(planned, kubeconfig.expose(), settings)?;
    let one = prove(planned, chosen, settings, Limits::default()).await?;
    if let Some(wrong) = mismatch(&one, &[]) {
        return Err(wrong);
    }
    if settings.keeps_first_use {
        keep(&one, settings)?;
    }
    Ok(one.opened(None).handle)
}

/// A cluster that has said who it is.
struct Met {
    name: ClusterName,
    chosen: Chosen,
    client: Client,
    found: String,
    expected: Expected,
}

/// Who it should be.
enum Expected {
    Stated(String),
    Kept {
        identity: String,
        path: PathBuf,
    },
    /// Whoever it is, from now on.
    Anyone {
        path: PathBuf,
    },
}

impl Expected {
    fn of(planned: &PlannedCluster, settings: &Settings) -> Result<Expected, OpenError> {
        if let Some(identity) = &planned.identity {
            return Ok(Expected::Stated(identity.clone()));
        }
        let path = pins::path(&settings.pins, &settings.lock, &planned.name);
        Ok(match pins::read(&path, &planned.name)? {
            Some(pin) => Expected::Kept { identity: pin.identity, path },
            None => Expected::Anyone { path },
        })
    }

    fn identity(&self) -> Option<&str> {
        match self {
            Expected::Stated(identity) | Expected::Kept { identity, .. } => Some(identity),
            Expected::Anyone { .. } => None,
        }
    }
}

impl Met {
    fn opened(self, note: Option<String>) -> Opened {
        let trust = match self.expected {
            Expected::Stated(_) => Trust::Pinned,
            Expected::Kept { .. } => Trust::Kept,
            Expected::Anyone { .. } => Trust::FirstUse,
        };
        let Chosen { kubeconfig, context, .. } = self.chosen;
        let text = Arc::new(move || kubeconfig::text(&kubeconfig));
        Opened { handle: ClusterHandle::new(self.name.0, self.found, self.client, text), context, trust, note }
    }
}

async fn meet(planned: &PlannedCluster, settings: &Settings, limits: Limits) -> Result<Met, OpenError> {
    let chosen = kubeconfig::choose(planned, settings)?;
    prove(planned, chosen, settings, limits).await
}

/// Asks who it is that the context leads to.
async fn prove(
    planned: &PlannedCluster,
    chosen: Chosen,
    settings: &Settings,
    limits: Limits,
) -> Result<Met, OpenError> {
    let expected = Expected::of(planned, settings)?;
    let client = connect::client(&planned.name, &chosen, limits).await?;
    let found = connect::identity(planned, &chosen, client.clone(), limits).await?;
    Ok(Met { name: planned.name.clone(), chosen, client, found, expected })
}

/// Compares one cluster with what it should be; the others tell where the two identities belong.
fn mismatch(one: &Met, all: &[Met]) -> Option<OpenError> {
    let pinned_by = match &one.expected {
        Expected::Stated(_) => PinnedBy::Workflow,
        Expected::Kept { path, .. } => PinnedBy::FirstUse(path.clone()),
        Expected::Anyone { .. } => return None,
    };
    let expected = one.expected.identity()?;
    if expected == one.found {
        return None;
    }
    Some(OpenError::WrongCluster(Box::new(WrongCluster {
        cluster: one.name.clone(),
        context: one.chosen.context.clone(),
        expected: expected.to_owned(),
        pinned_by,
        found: one.found.clone(),
        meant_context: all.iter().find(|other| other.found == expected).map(|other| other.chosen.context.clone()),
        found_cluster: all
            .iter()
            .find(|other| other.expected.identity() == Some(&one.found))
            .map(|other| other.name.clone()),
    })))
}

fn keep(one: &Met, settings: &Settings) -> Result<(), OpenError> {
    let Expected::Anyone { path } = &one.expected else {
        return Ok(());
    };
    let pin = PinFile {
        lock: settings.lock.clone(),
        cluster: one.name.clone(),
        identity: one.found.clone(),
        context: one.chosen.context.clone(),
        server: one.chosen.server.clone(),
    };
    pins::keep(path, &pin)
}

/// A workflow may give one cluster two names on purpose, so this is worth a word and no error.
fn same_cluster(one: &Met, all: &[Met]) -> Option<String> {
    let other = all.iter().find(|other| other.name != one.name && other.found == one.found)?;
    Some(format!("`{}` and `{}` are the same cluster ({})", one.name, other.name, one.found))
}
