//! A cluster of the lab as a step sees it, with a line to its API server that can be made to break.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use engine_tests::lab::Lab;
use kube::Config;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use steps_sdk::context::{ClusterHandle, Clusters};
use steps_sdk::testing::Failing;
use tower::{BoxError, Service};

/// What a test knows of the line: how many requests went over it, and which is to fail.
#[derive(Clone, Default)]
pub struct Wire(Arc<Faults>);

#[derive(Default)]
struct Faults {
    calls: AtomicUsize,
    fails: Mutex<Option<(usize, usize)>>,
}

impl Failing for Wire {
    /// Cut before anything is done; cut after it was done.
    const WAYS: usize = 2;

    fn fail(&self, number: usize, way: usize) {
        *self.0.fails.lock().unwrap() = Some((self.calls() + number, way));
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }
}

/// The clusters of the lab under these names, all of them over one wire.
pub async fn clusters(lab: &Lab, contexts: &[&str], wire: &Wire) -> Clusters {
    let mut handles = Vec::new();
    for context in contexts {
        let kubeconfig = Kubeconfig::read_from(lab.kubeconfig()).unwrap();
        let options = KubeConfigOptions { context: Some((*context).to_owned()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        let layer = tower::layer::layer_fn(|line| Breakable { line, wire: wire.clone() });
        let client = ClientBuilder::try_from(config).unwrap().with_layer(&layer).build();
        let uid = lab.clusters().iter().find(|cluster| cluster.name == *context).unwrap().kube_system_uid.clone();
        handles.push(ClusterHandle::new((*context).to_owned(), uid, client, Arc::new(|| Ok(String::new()))));
    }
    Clusters::new(handles)
}

struct Breakable<S> {
    line: S,
    wire: Wire,
}

impl<S, R> Service<R> for Breakable<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.line.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let number = self.wire.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let way = self.wire.0.fails.lock().unwrap().filter(|(fails, _)| *fails == number).map(|(_, way)| way);
        let cut = || BoxError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        match way {
            None => Box::pin(self.line.call(request)),
            Some(0) => Box::pin(async move { Err(cut()) }),
            Some(_) => {
                let sent = self.line.call(request);
                Box::pin(async move {
                    sent.await?;
                    Err(cut())
                })
            }
        }
    }
}
