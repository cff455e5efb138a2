//! A client of one context, and the identity of the cluster that answers it.

use std::time::Duration;

use engine_core::plan::PlannedCluster;
use k8s_openapi::api::core::v1::Namespace;
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config};
use steps_sdk::value::ClusterName;

use super::error::OpenError;
use super::kubeconfig::Chosen;
use super::workspace;

/// How long each part of an opening may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub connect: Duration,
    /// A program for credentials included, which may ask a person.
    pub sign_in: Duration,
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connect: Duration::from_secs(10), sign_in: Duration::from_secs(60), answer: Duration::from_secs(20) }
    }
}

/// A request body that takes longer to send is not going to arrive.
const WRITE_LIMIT: Duration = Duration::from_secs(60);

/// The namespace that every cluster has and none loses.
const IDENTITY_NAMESPACE: &str = "kube-system";

/// Makes the client. Starts a program for credentials if the context wants one.
pub(super) async fn client(cluster: &ClusterName, chosen: &Chosen, limits: Limits) -> Result<Client, OpenError> {
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Unusable {
        cluster: cluster.clone(),
        context: chosen.context.clone(),
        source,
    };
    let config = Config::from_custom_kubeconfig(chosen.kubeconfig.clone(), &KubeConfigOptions::default()).await;
    let mut config = config.map_err(|error| unusable(error.into()))?;
    config.default_retry = false;
    config.connect_timeout = Some(limits.connect);
    config.write_timeout = Some(WRITE_LIMIT);
    // A watch is silent for minutes, so reading has no limit of its own; whoever asks sets a deadline.
    config.read_timeout = None;

    // Making a client waits for the program for credentials: not on a thread of the runtime.
    let made = tokio::task::spawn_blocking(move || Client::try_from(config));
    match tokio::time::timeout(limits.sign_in, made).await {
        Ok(Ok(made)) => made.map_err(|error| unusable(error.into())),
        Ok(Err(panicked)) => Err(unusable(panicked.into())),
        Err(_) => Err(OpenError::SignInTooLong {
            cluster: cluster.clone(),
            context: chosen.context.clone(),
            limit: limits.sign_in,
        }),
    }
}

/// Asks the cluster who it is. The only request that is made before the answer is known.
pub(super) async fn identity(
    planned: &PlannedCluster,
    chosen: &Chosen,
    client: Client,
    limits: Limits,
) -> Result<String, OpenError> {
    let (cluster, context) = (planned.name.clone(), chosen.context.clone());
    let asked = async {
        match planned.workspace {
            Some(_) => workspace::logical_cluster(client).await,
            None => {
                let namespaces = Api::<Namespace>::all(client);
                let found = namespaces.get_metadata(IDENTITY_NAMESPACE).await?;
                Ok(found.metadata.uid.filter(|uid| !uid.is_empty()))
            }
        }
    };
    let no_identity = |source| match planned.workspace.clone() {
        Some(workspace) => {
            OpenError::NoWorkspace { cluster: cluster.clone(), context: context.clone(), workspace, source }
        }
        None => OpenError::NoIdentity { cluster: cluster.clone(), context: context.clone(), source },
    };
    let answer = tokio::time::timeout(limits.answer, asked).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(elapsed) => {
            return Err(OpenError::Unreachable {
                cluster,
                context,
                server: chosen.server.clone(),
                source: elapsed.into(),
            });
        }
    };
    match answer {
        Ok(identity) => identity.ok_or_else(|| no_identity(None)),
        Err(kube::Error::Api(status)) if status.code == 401 => {
            Err(OpenError::SignedOut { cluster, context, source: Box::new(kube::Error::Api(status)) })
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
            Err(no_identity(Some(Box::new(kube::Error::Api(status)))))
        }
        Err(kube::Error::Auth(error)) => {
            Err(OpenError::SignedOut { cluster, context, source: Box::new(kube::Error::Auth(error)) })
        }
        Err(error) => {
            Err(OpenError::Unreachable { cluster, context, server: chosen.server.clone(), source: error.into() })
        }
    }
}
