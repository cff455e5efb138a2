//! Inputs that several kinds of this family share, and how each becomes a part of a spec.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use steps_sdk::value::{Span, Url};
use steps_sdk::{StepError, Value};

use crate::cluster::reference::ObjectRef;

/// The port on which kcp serves.
pub const PORT: u16 = 6443;

/// The Secret of `kcp.etcd` with which kcp signs in at its store.
pub const CLIENT_SECRET: &str = "etcd-client-tls";

/// How a server is reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    LoadBalancer,
    NodePort,
    ClusterIP,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["type"]))]
pub struct Service {
    /// `LoadBalancer`, `NodePort` or `ClusterIP`.
    r#type: ServiceType,
    /// What the cloud wants to know of its load balancer: the operator passes on nothing but annotations.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Service {
    /// What is wanted if the file says nothing.
    pub fn or(service: &Option<Service>, default: ServiceType) -> (ServiceType, Value) {
        match service {
            None => (default, json!({ "spec": { "type": default } })),
            Some(Service { r#type, annotations }) if annotations.is_empty() => {
                (*r#type, json!({ "spec": { "type": r#type } }))
            }
            Some(Service { r#type, annotations }) => {
                (*r#type, json!({ "metadata": { "annotations": annotations }, "spec": { "type": r#type } }))
            }
        }
    }
}

/// Where kcp keeps its data.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["endpoints"]))]
pub struct Store {
    /// Addresses of the etcd, as kcp's own Pods reach it.
    endpoints: Vec<Url>,
    /// The Secret with `tls.crt`, `tls.key` and `ca.crt` of a client; left out: `etcd-client-tls`.
    #[serde(default)]
    tls: Option<String>,
    /// Keys in a shared etcd begin with this.
    #[serde(default)]
    prefix: Option<String>,
}

impl Store {
    pub fn spec(&self) -> Result<Value, StepError> {
        if self.endpoints.is_empty() {
            return Err(refused("kcp has no store: `etcd` names no endpoint").help("write `etcd \"https://…:2379\"`"));
        }
        let tls = self.tls.as_deref().unwrap_or(CLIENT_SECRET);
        let mut spec = json!({ "endpoints": self.endpoints, "tlsConfig": { "secretRef": { "name": tls } } });
        if let Some(prefix) = &self.prefix {
            spec["prefix"] = prefix.as_str().into();
        }
        Ok(spec)
    }
}

/// Which kcp is run.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Image {
    /// The repository; left out: the operator's.
    #[serde(default)]
    repository: Option<String>,
    /// The tag, for instance `v0.32.3`; left out: the operator's.
    #[serde(default)]
    tag: Option<String>,
}

/// Who may sign in besides client certificates. Root shard, shards and front-proxy must say the same.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Auth {
    /// Accept tokens of service accounts; left out: yes.
    #[serde(default)]
    service_account: Option<bool>,
    /// Accept tokens of this issuer.
    #[serde(default)]
    oidc: Option<Oidc>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Oidc {
    /// The issuer's address.
    issuer: Url,
    /// For whom tokens are.
    client_id: String,
    /// The claim that names the user.
    #[serde(default)]
    username_claim: Option<String>,
    /// Put before every user name.
    #[serde(default)]
    username_prefix: Option<String>,
    /// The claim that lists the groups.
    #[serde(default)]
    groups_claim: Option<String>,
    /// Put before every group.
    #[serde(default)]
    groups_prefix: Option<String>,
}

impl Auth {
    pub fn spec(&self) -> Result<Value, StepError> {
        let accounts = self.service_account.unwrap_or(true);
        let mut spec = json!({ "serviceAccount": { "enabled": accounts } });
        let Some(oidc) = &self.oidc else { return Ok(spec) };
        if !accounts {
            return Err(refused("kcp-operator takes `oidc` only together with tokens of service accounts")
                .help("leave `service-account #false` out"));
        }
        let mut fields = Map::new();
        fields.insert("issuerURL".into(), json!(oidc.issuer));
        fields.insert("clientID".into(), json!(oidc.client_id));
        for (name, value) in [
            ("usernameClaim", &oidc.username_claim),
            ("usernamePrefix", &oidc.username_prefix),
            ("groupsClaim", &oidc.groups_claim),
            ("groupsPrefix", &oidc.groups_prefix),
        ] {
            fields.extend(value.as_ref().map(|value| (name.to_owned(), json!(value))));
        }
        spec["oidc"] = Value::Object(fields);
        Ok(spec)
    }
}

/// Which keys certificates get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// 4096 bits, as the operator has it. Each takes seconds to make.
    #[default]
    Rsa,
    /// The curve P-256.
    Ecdsa,
}

impl Keys {
    /// A private key that outlives the renewals of its certificate, as a CA's has to: what was signed with it stays valid.
    pub fn kept(self) -> Value {
        let mut key = self.key();
        key["rotationPolicy"] = "Never".into();
        key
    }

    pub fn key(self) -> Value {
        match self {
            Keys::Rsa => json!({ "algorithm": "RSA", "size": 4096 }),
            Keys::Ecdsa => json!({ "algorithm": "ECDSA", "size": 256 }),
        }
    }

    /// Templates of the operator for these CAs and leaves: the keys of CAs are kept, and of leaves only another form is said.
    pub fn templates(self, cas: &[&str], leaves: &[&str]) -> Map<String, Value> {
        let kept = cas.iter().map(|ca| (format!("{ca}-ca"), json!({ "spec": { "privateKey": self.kept() } })));
        let formed = leaves.iter().filter(|_| self != Keys::Rsa);
        let formed = formed.map(|leaf| ((*leaf).to_owned(), json!({ "spec": { "privateKey": self.key() } })));
        kept.chain(formed).collect()
    }
}

/// What root shard and shards have in common.
pub struct Server<'a> {
    pub base_url: &'a Url,
    pub store: &'a Store,
    pub image: &'a Option<Image>,
    pub auth: &'a Option<Auth>,
    pub ca_bundle: &'a Option<String>,
    pub keys: Keys,
}

/// Certificates that every kcp server has.
pub const LEAVES: [&str; 6] = [
    "server",
    "client",
    "service-account",
    "virtual-workspaces",
    "logical-cluster-admin",
    "external-logical-cluster-admin",
];

impl Server<'_> {
    /// The host of the base URL is named in the server's certificate whatever the operator's version puts there.
    pub fn spec(&self, cas: &[&str], more_leaves: &[&str]) -> Result<Map<String, Value>, StepError> {
        let leaves = [&LEAVES, more_leaves].concat();
        let mut templates = self.keys.templates(cas, &leaves);
        let server = templates.entry("server").or_insert_with(|| json!({ "spec": {} }));
        server["spec"]["dnsNames"] = json!([host(self.base_url)?]);
        let mut spec = Map::new();
        spec.insert("shardBaseURL".into(), json!(self.base_url));
        spec.insert("etcd".into(), self.store.spec()?);
        spec.insert("certificateTemplates".into(), Value::Object(templates));
        common(&mut spec, self.image, self.auth, self.ca_bundle)?;
        Ok(spec)
    }
}

/// What front-proxies have too.
pub fn common(
    spec: &mut Map<String, Value>,
    image: &Option<Image>,
    auth: &Option<Auth>,
    ca_bundle: &Option<String>,
) -> Result<(), StepError> {
    if let Some(Image { repository, tag }) = image {
        let named = [("repository", repository), ("tag", tag)];
        let fields = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
        spec.insert("image".into(), Value::Object(fields.collect()));
    }
    if let Some(auth) = auth {
        spec.insert("auth".into(), auth.spec()?);
    }
    if let Some(name) = ca_bundle {
        spec.insert("caBundleSecretRef".into(), json!({ "name": name }));
    }
    Ok(())
}

/// The host of an address.
pub fn host(address: &Url) -> Result<String, StepError> {
    let parsed = url::Url::parse(address.as_str()).ok();
    let host = parsed.as_ref().filter(|parsed| parsed.scheme() == "https").and_then(url::Url::host_str);
    host.map(str::to_owned).ok_or_else(|| {
        refused(format!("`{address}` is not an address at which kcp can serve"))
            .help("write `https://HOST:PORT`, without a path")
    })
}

/// What the file adds to a spec: maps are joined, anything else takes the place of what was there.
pub fn joined(mut spec: Value, more: Option<Value>) -> Value {
    if let Some(more) = more {
        join(&mut spec, more);
    }
    spec
}

fn join(spec: &mut Value, more: Value) {
    match (spec, more) {
        (Value::Object(fields), Value::Object(more)) => {
            for (name, value) in more {
                join(fields.entry(name).or_insert(Value::Null), value);
            }
        }
        (spec, more) => *spec = more,
    }
}

/// The namespace of an object that the operator made known, on the step's own cluster.
pub fn of_kind(reference: ObjectRef, kinds: &[&str], cluster: &str) -> Result<(ObjectRef, String), StepError> {
    let reference = reference.check()?.on(cluster)?;
    let is_known = reference.group() == Some("operator.kcp.io") && kinds.contains(&reference.kind.as_str());
    match &reference.namespace {
        Some(namespace) if is_known => {
            let namespace = namespace.clone();
            Ok((reference, namespace))
        }
        _ => Err(refused(format!("{reference} of {} is not a {}", reference.api_version, kinds.join(" or a ")))
            .help("write the `ref` that the step which made it puts out")),
    }
}

/// A duration as controllers written in Go write it back: in any other form, their first update would look like a change of ours.
pub fn go_duration(span: Span) -> String {
    let seconds = span.0.as_secs();
    format!("{}h{}m{}s", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Inputs that contradict each other, found before a cluster is asked.
pub fn refused(message: impl Into<String>) -> StepError {
    StepError::permanent("K230", message).not_started()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_keeps_its_key_and_a_leaf_gets_another_form_only_if_asked() {
        let rsa = Keys::Rsa.templates(&["server"], &["client"]);
        assert_eq!(
            Value::Object(rsa),
            json!({ "server-ca": { "spec": { "privateKey": { "algorithm": "RSA", "size": 4096, "rotationPolicy": "Never" } } } })
        );
        let ecdsa = Keys::Ecdsa.templates(&[], &["client"]);
        assert_eq!(
            Value::Object(ecdsa),
            json!({ "client": { "spec": { "privateKey": { "algorithm": "ECDSA", "size": 256 } } } })
        );
    }

    #[test]
    fn what_the_file_adds_is_joined_into_maps_and_replaces_the_rest() {
        let spec = json!({ "a": { "b": 1, "c": [1] }, "d": 2 });
        let more = json!({ "a": { "c": [2], "e": 3 }, "d": { "f": 4 } });
        assert_eq!(joined(spec.clone(), Some(more)), json!({ "a": { "b": 1, "c": [2], "e": 3 }, "d": { "f": 4 } }));
        assert_eq!(joined(spec.clone(), None), spec);
    }

    #[test]
    fn oidc_without_service_accounts_is_refused_before_the_operator_does() {
        let auth = |more: Value| {
            let mut auth = json!({ "oidc": { "issuer": "https://auth.example.io", "client-id": "kcp" } });
            join(&mut auth, more);
            serde_json::from_value::<Auth>(auth).unwrap().spec()
        };
        let spec = auth(json!({ "oidc": { "groups-claim": "groups" } })).unwrap();
        assert_eq!(spec["serviceAccount"]["enabled"], true);
        assert_eq!(
            spec["oidc"],
            json!({ "issuerURL": "https://auth.example.io", "clientID": "kcp", "groupsClaim": "groups" })
        );
        assert_eq!(auth(json!({ "service-account": false })).unwrap_err().code, "K230");
    }

    #[test]
    fn an_address_without_tls_is_no_base_url() {
        let host = |text: &str| host(&text.parse().unwrap()).map_err(|error| error.code);
        assert_eq!(host("https://root.example.io:6443").unwrap(), "root.example.io");
        assert_eq!(host("http://root.example.io:6443").unwrap_err(), "K230");
    }
}
