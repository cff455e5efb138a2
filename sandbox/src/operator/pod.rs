//! What the Deployments and Services of shards and proxies have in common: mounts, probes, labels that follow the versions of what is
//! mounted, and the number of replicas: kcp notes, sections 2.3, 2.5 and 2.7.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::names::{owned, wants_bundle};
use crate::control::{World, meta, name, namespace, text};

/// The newest kcp that operator v0.9.0 takes if nobody names another.
const IMAGE: (&str, &str) = ("kcp-dev/kcp", "v0.32.3");
const DESIRED_REPLICAS: &str = "operator.kcp.io/bundle-desired-replicas";

/// Where a Pod finds what.
#[derive(Default)]
pub struct Mounts(Vec<Mount>);

struct Mount {
    path: String,
    kind: &'static str,
    source: String,
}

impl Mounts {
    pub fn secret(&mut self, path: impl Into<String>, secret: impl Into<String>) {
        self.0.push(Mount { path: path.into(), kind: "Secret", source: secret.into() });
    }

    pub fn config_map(&mut self, path: impl Into<String>, config_map: impl Into<String>) {
        self.0.push(Mount { path: path.into(), kind: "ConfigMap", source: config_map.into() });
    }

    /// The labels that make a Deployment roll when something mounted changes; nothing while something is missing. The real ones are
    /// named by SHA-3, these by SHA-256: as long, and as good to be dropped by whoever copies the Deployment.
    fn revisions(&self, world: &World, namespace: &str) -> Option<Map<String, Value>> {
        let mut labels = Map::new();
        for mount in &self.0 {
            let version = meta(world.get(mount.kind, namespace, &mount.source)?, "resourceVersion");
            let digest = Sha256::digest(mount.source.as_bytes());
            let short: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
            labels.insert(format!("operator.kcp.io/{}-{short}-rev", mount.kind.to_lowercase()), version.clone());
        }
        Some(labels)
    }

    fn volumes(&self) -> Vec<Value> {
        let volume = |mount: &Mount| match mount.kind {
            "Secret" => json!({ "name": mount.volume(), "secret": { "secretName": mount.source } }),
            _ => json!({ "name": mount.volume(), "configMap": { "name": mount.source } }),
        };
        self.0.iter().map(volume).collect()
    }

    fn mounts(&self) -> Vec<Value> {
        let mount = |mount: &Mount| json!({ "name": mount.volume(), "mountPath": mount.path, "readOnly": true });
        self.0.iter().map(mount).collect()
    }
}

impl Mount {
    /// One volume for one path, so that two paths may hold the same Secret; a volume's name is a DNS label.
    fn volume(&self) -> String {
        let plain: String = self.path.trim_start_matches('/').chars().map(dash).collect();
        let from = plain.len().saturating_sub(63);
        plain[from..].trim_matches('-').to_owned()
    }
}

fn dash(c: char) -> char {
    if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }
}

/// A Deployment with its Service.
pub struct Running<'a> {
    /// The Compiled object.
    pub owner: &'a Value,
    /// What the person declared of it: replicas, image, templates.
    pub spec: &'a Value,
    pub called: String,
    pub container: &'static str,
    pub command: Vec<&'static str>,
    pub args: Vec<String>,
    pub mounts: Mounts,
    /// Name, port of the Service, port of the Pod.
    pub ports: Vec<(&'static str, u64, u64)>,
}

impl Running<'_> {
    /// The Service, and the Deployment once all that it mounts exists. Until then nothing is said of it anywhere.
    pub fn objects(self, world: &World) -> Vec<Value> {
        let service = self.service();
        let deployment =
            self.mounts.revisions(world, namespace(self.owner)).map(|labels| self.deployment(world, labels));
        std::iter::once(service).chain(deployment).collect()
    }

    fn selector(&self) -> Map<String, Value> {
        let mut labels = Map::new();
        labels.insert("app.kubernetes.io/name".into(), self.container.into());
        labels.insert("app.kubernetes.io/instance".into(), self.called.as_str().into());
        labels.insert("app.kubernetes.io/managed-by".into(), "kcp-operator".into());
        labels
    }

    fn service(&self) -> Value {
        let template = &self.spec["serviceTemplate"];
        let port = |(called, port, target): &(&str, u64, u64)| json!({ "name": called, "port": port, "targetPort": target, "protocol": "TCP" });
        let mut spec = json!({
            "type": template["spec"]["type"].as_str().unwrap_or("ClusterIP"),
            "selector": self.selector(),
            "ports": self.ports.iter().map(port).collect::<Vec<_>>(),
        });
        if let Some(address) = template["spec"]["clusterIP"].as_str() {
            spec["clusterIP"] = address.into();
        }
        let mut made = owned(self.owner, "v1", "Service", &self.called, json!({ "spec": spec }));
        for (part, wanted) in template["metadata"].as_object().into_iter().flatten() {
            for (key, value) in wanted.as_object().into_iter().flatten() {
                made["metadata"][part][key] = value.clone();
            }
        }
        made
    }

    fn deployment(&self, world: &World, revisions: Map<String, Value>) -> Value {
        let mut labels = self.selector();
        labels.extend(revisions);
        let now = world.get("Deployment", namespace(self.owner), &self.called);
        let template = json!({ "metadata": { "labels": labels }, "spec": self.pod() });
        let mut spec = json!({ "selector": { "matchLabels": self.selector() }, "template": template });
        let declared = self.spec["replicas"].as_u64();
        let bundled = wants_bundle(self.owner);
        // What is not declared stays as it is, so that a person's scaling sticks; the version makes the server refuse to write it back
        // over a scaling that has not been seen here yet.
        let kept = now.and_then(|now| now["spec"]["replicas"].as_u64());
        let replicas = if bundled { 0 } else { declared.or(kept).unwrap_or(2) };
        spec["replicas"] = replicas.into();
        let mut made = owned(self.owner, "apps/v1", "Deployment", &self.called, json!({ "spec": spec }));
        if bundled {
            made["metadata"]["annotations"] = json!({ DESIRED_REPLICAS: declared.unwrap_or(2).to_string() });
        } else if declared.is_none()
            && let Some(now) = now
        {
            made["metadata"]["resourceVersion"] = meta(now, "resourceVersion").clone();
        }
        made
    }

    fn pod(&self) -> Value {
        let port = self.ports.first().map_or(6443, |(_, _, target)| *target);
        let probe = |path: &str, failures: u64, period: u64| {
            json!({ "httpGet": { "scheme": "HTTPS", "port": port, "path": path },
                "failureThreshold": failures, "periodSeconds": period })
        };
        // Without names: that of the virtual workspaces' port is longer than a container's may be.
        let port_of = |(_, _, target): &(&str, u64, u64)| json!({ "containerPort": target, "protocol": "TCP" });
        let ports: Vec<_> = self.ports.iter().map(port_of).collect();
        let (mut volumes, mut mounts) = (self.mounts.volumes(), self.mounts.mounts());
        volumes.extend(self.spec["extraVolumes"].as_array().cloned().unwrap_or_default());
        mounts.extend(self.spec["extraVolumeMounts"].as_array().cloned().unwrap_or_default());
        let mut args = self.args.clone();
        if let Some(level) = self.spec["logging"]["level"].as_u64() {
            args.push(format!("-v={level}"));
        }
        args.extend(self.spec["extraArgs"].as_array().into_iter().flatten().map(|arg| text(arg).to_owned()));
        let resources = &self.spec["resources"];
        let mut container = json!({
            "name": self.container,
            "image": self.image(),
            "command": self.command,
            "args": args,
            "ports": ports,
            "volumeMounts": mounts,
            "securityContext": { "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false },
            "startupProbe": probe("/readyz", 60, 5),
            "readinessProbe": probe("/readyz", 3, 10),
            "livenessProbe": probe("/livez", 3, 10),
        });
        container["resources"] = match resources.is_object() {
            true => resources.clone(),
            false => json!({ "requests": { "cpu": "1", "memory": "1Gi" }, "limits": { "memory": "1Gi" } }),
        };
        let mut pod = json!({
            "automountServiceAccountToken": false,
            "containers": [container],
            "volumes": volumes,
        });
        let wanted = &self.spec["deploymentTemplate"]["spec"]["template"]["spec"];
        for (field, value) in wanted.as_object().into_iter().flatten() {
            pod[field] = value.clone();
        }
        pod
    }

    fn image(&self) -> String {
        let image = &self.spec["image"];
        let (repository, tag) = (image["repository"].as_str(), image["tag"].as_str());
        format!("{}:{}", repository.unwrap_or(IMAGE.0), tag.unwrap_or(IMAGE.1))
    }
}

/// The flags of an OpenID provider and of service accounts, the same for shards and proxies.
pub fn oidc_args(auth: &Value) -> Vec<String> {
    let oidc = &auth["oidc"];
    let flags = [
        ("issuerURL", "oidc-issuer-url"),
        ("clientID", "oidc-client-id"),
        ("groupsClaim", "oidc-groups-claim"),
        ("usernameClaim", "oidc-username-claim"),
        ("groupsPrefix", "oidc-groups-prefix"),
        ("usernamePrefix", "oidc-username-prefix"),
    ];
    flags.iter().filter_map(|(field, flag)| Some(format!("--{flag}={}", oidc[field].as_str()?))).collect()
}

/// Whether tokens of service accounts are accepted everywhere, for which everyone mounts everyone's public key.
pub fn trusts_service_accounts(auth: &Value) -> bool {
    auth["serviceAccount"]["enabled"] == true
}

/// The root shard of a Compiled object, and its siblings, by name.
pub fn family(compiled: &Value) -> Vec<&str> {
    let root = compiled["spec"]["rootShard"]["name"].as_str().unwrap_or_else(|| name(compiled));
    let shards = compiled["spec"]["shards"].as_array();
    std::iter::once(root).chain(shards.into_iter().flatten().map(text)).collect()
}
