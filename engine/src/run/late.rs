//! Clusters that steps make: opened when a step works on them, with the kubeconfig that was made.
//!
//! They are opened for each call anew. A kubeconfig that is made again, with new credentials or after another certificate authority, is
//! then never mistaken for the one before, and two small requests are little beside what a step does.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine_core::plan::{Plan, PlannedCluster};
use futures::future::try_join_all;
use steps_sdk::context::ClusterHandle;
use steps_sdk::value::ClusterName;
use steps_sdk::{Secret, StepError};

use super::secrets::SecretStore;
use crate::cluster::{self, Settings};

/// The clusters of a plan that are opened during the run.
pub struct LateClusters {
    planned: BTreeMap<ClusterName, PlannedCluster>,
    settings: Settings,
}

/// The kubeconfigs that one call needs, and the means to open them.
#[derive(Clone)]
pub struct ToOpen {
    pub kubeconfigs: BTreeMap<ClusterName, Secret>,
    pub late: Arc<LateClusters>,
}

impl LateClusters {
    pub fn new(plan: &Plan, settings: Settings) -> LateClusters {
        let late = plan.clusters.iter().filter(|cluster| cluster.from.is_some());
        LateClusters { planned: late.map(|cluster| (cluster.name.clone(), cluster.clone())).collect(), settings }
    }

    pub fn contains(&self, cluster: &ClusterName) -> bool {
        self.planned.contains_key(cluster)
    }
}

impl ToOpen {
    /// All of them, each with its identity checked.
    pub async fn open(&self, secrets: &SecretStore) -> Result<Vec<ClusterHandle>, StepError> {
        try_join_all(self.kubeconfigs.iter().map(async |(name, secret)| {
            let planned = &self.late.planned[name];
            let kubeconfig = secrets.open(secret).await?;
            cluster::open_made(planned, &kubeconfig, &self.late.settings).await.map_err(|error| error.of_step())
        }))
        .await
    }
}
