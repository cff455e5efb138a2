//! One key of a Kubernetes Secret, for inputs that name it.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use steps_sdk::StepError;
use steps_sdk::context::SecretBytes;
use zeroize::Zeroize as _;

/// Reads the bytes under `key`. What is missing may be made by a person or by another step's controller at any time, so it is
/// worth another try only when the cluster itself was in trouble.
pub async fn read_key(client: &Client, namespace: &str, name: &str, key: &str) -> Result<SecretBytes, StepError> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let mut secret = secrets.get(name).await.map_err(|error| refusal(&error, namespace, name))?;
    let mut data = secret.data.take().unwrap_or_default();
    let found = data.remove(key).map(|bytes| SecretBytes::new(bytes.0));
    let others: Vec<String> = data.keys().cloned().collect();
    // The other keys of the Secret were not asked for.
    data.values_mut().for_each(|bytes| bytes.0.zeroize());
    found.ok_or_else(|| {
        let has = if others.is_empty() { "it has none".to_owned() } else { format!("it has {}", others.join(", ")) };
        StepError::needs_person("S005", format!("Secret {namespace}/{name} has no key `{key}`")).help(has).not_started()
    })
}

fn refusal(error: &kube::Error, namespace: &str, name: &str) -> StepError {
    let text = format!("Secret {namespace}/{name} cannot be read");
    let refused = match error {
        kube::Error::Api(status) if status.code == 404 => {
            StepError::needs_person("S005", format!("there is no Secret {namespace}/{name}"))
        }
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => StepError::needs_person("S005", text)
            .help(format!("grant `get` on the Secret {name} in namespace {namespace}, or sign in again")),
        kube::Error::Api(status) if status.code < 500 && status.code != 429 => StepError::permanent("S005", text),
        _ => StepError::transient("S005", text),
    };
    refused.caused_by(error).not_started()
}
