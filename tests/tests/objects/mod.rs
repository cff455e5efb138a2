//! Kubernetes objects for the tests of the lab: a client of one cluster, objects written as JSON, and waiting for what they become.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use engine_tests::lab::Lab;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams, TypeMeta};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A client of one cluster, by its context in the kubeconfig with all of them.
pub async fn client(lab: &Lab, context: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(lab.kubeconfig()).unwrap();
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
}

pub async fn create<K: Clone + Debug + Serialize + DeserializeOwned>(api: Api<K>, value: Value) {
    api.create(&PostParams::default(), &serde_json::from_value(value).unwrap()).await.unwrap();
}

/// Makes an object of any kind in a namespace; what comes back is what the API server made of it.
pub async fn create_any(
    client: &Client,
    namespace: &str,
    object: Value,
    how: &PostParams,
) -> kube::Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    any(client, namespace, object.types.as_ref().unwrap()).create(how, &object).await
}

/// The objects of any kind in a namespace.
pub fn any(client: &Client, namespace: &str, types: &TypeMeta) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::try_from(types).unwrap());
    Api::namespaced_with(client.clone(), namespace, &kind)
}

/// A container that really runs: Kubernetes' own `agnhost netexec`.
pub fn netexec(args: &[&str]) -> Value {
    let args: Vec<&str> = std::iter::once("netexec").chain(args.iter().copied()).collect();
    json!({ "name": "web", "image": "registry.k8s.io/e2e-test-images/agnhost:2.56", "args": args })
}

/// Asks until the answer is there; what was there instead is shown when patience ends.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(what: &str, ask: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(instead) => assert!(Instant::now() < deadline, "{what}: {instead}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
