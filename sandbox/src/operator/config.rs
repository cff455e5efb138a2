//! The controller group `config`: from RootShard, Shard and FrontProxy to the Issuers, Certificates, Secrets and Compiled objects
//! that the group `workload` needs. Compiled objects come last, when every Certificate is ready: kcp notes, sections 2.4, 2.6, 2.10.

use serde_json::{Value, json};

use super::access::{Trust, kubeconfig, merged, secret};
use super::certificates::{Leaf, authority, is_ready, issuer_of, leaf};
use super::names::{
    AUTHORITIES, DEPLOY_VERSION, Role, base_url, base_url_of, external_url, host, in_cluster, owned, private_url,
    root_of,
};
use crate::control::{World, meta, name, namespace, text};

const CA: &str = "/etc/kcp/tls/ca";
const TLS: &str = "/etc/kcp/tls";

/// What the group makes of a RootShard.
pub fn root_shard(world: &World, root: &Value) -> Vec<Value> {
    let (called, spec) = (name(root), &root["spec"]);
    let templates = &spec["certificateTemplates"];
    let mut made = root_authority(root);
    for middle in AUTHORITIES {
        let issuer = json!({ "name": format!("{called}-ca"), "kind": "Issuer", "group": "cert-manager.io" });
        let template = &templates[format!("{middle}-ca")];
        made.extend(authority(root, &format!("{called}-{middle}-ca"), issuer, template));
    }
    made.extend(shard_leaves(root, called, spec));
    made.push(client(root, called, "kcp-operator", "system:kcp-operator", &["system:kcp:admin"], templates));
    let proxy = Proxy::internal(root);
    made.extend(proxy.leaves());
    let secrets = shard_secrets(world, root, called, spec);
    let complete = secrets.len() == shard_secret_count(root) && all_ready(world, root, &made);
    made.extend(secrets);
    made.extend(proxy.secrets(world));
    if complete {
        let spec = json!({ "rootShard": spec, "shards": siblings(world, root, called) });
        made.push(compiled(root, "CompiledRootShard", spec));
    }
    made
}

/// What the group makes of a Shard whose root shard is known. Where it is not, there is nothing but a condition.
pub fn shard(world: &World, shard: &Value, root: &Value) -> Vec<Value> {
    let (root_name, spec) = (name(root), &shard["spec"]);
    let mut made = shard_leaves(shard, root_name, &root["spec"]);
    made.push(leaf(
        shard,
        Leaf {
            name: format!("{}-mounts-proxy", name(shard)),
            common_name: "kcp-mounts-proxy".into(),
            organizations: &[],
            dns_names: Vec::new(),
            authority: format!("{root_name}-requestheader-client-ca"),
            is_server: false,
            template: &spec["certificateTemplates"]["mounts-proxy"],
        },
    ));
    let secrets = shard_secrets(world, shard, root_name, &root["spec"]);
    let complete = secrets.len() == shard_secret_count(shard) && all_ready(world, shard, &made);
    made.extend(secrets);
    if complete {
        let spec = json!({
            "shard": spec,
            "rootShard": { "name": root_name, "spec": root["spec"] },
            "shards": siblings(world, shard, root_name),
        });
        made.push(compiled(shard, "CompiledShard", spec));
    }
    made
}

/// What the group makes of a FrontProxy whose root shard is known.
pub fn front_proxy(world: &World, front: &Value, root: &Value) -> Vec<Value> {
    let proxy = Proxy::front(front, root);
    let mut made = proxy.leaves();
    let complete = all_ready(world, front, &made);
    made.extend(proxy.secrets(world));
    if complete {
        let spec = json!({
            "frontProxy": front["spec"],
            "rootShard": { "name": name(root), "spec": root["spec"] },
            "shards": siblings(world, front, name(root)),
        });
        made.push(compiled(front, "CompiledFrontProxy", spec));
    }
    made
}

/// `R-ca`: signed by the issuer that is named, or an issuer made of a Secret that is there already.
fn root_authority(root: &Value) -> Vec<Value> {
    let called = format!("{}-ca", name(root));
    let certificates = &root["spec"]["certificates"];
    match certificates["caSecretRef"]["name"].as_str() {
        Some(given) => vec![issuer_of(root, &called, given)],
        None => {
            let template = &root["spec"]["certificateTemplates"]["root-ca"];
            authority(root, &called, certificates["issuerRef"].clone(), template).into()
        }
    }
}

/// The Certificates that every shard has; `root_spec` knows the outside name of kcp, which the root shard answers to, too.
fn shard_leaves(owner: &Value, root: &str, root_spec: &Value) -> Vec<Value> {
    let (called, spec, role) = (name(owner), &owner["spec"], Role::of(owner));
    let templates = &spec["certificateTemplates"];
    let service = role.deployment(called);
    let mut dns_names = vec!["localhost".to_owned(), in_cluster(&service, namespace(owner), spec)];
    if role == Role::Root {
        dns_names.push(text(&root_spec["external"]["hostname"]).to_owned());
    }
    dns_names.push(host(&base_url(owner, spec)));
    dns_names.dedup();
    let mut made = Vec::new();
    for of in ["server", "virtual-workspaces"] {
        made.push(leaf(
            owner,
            Leaf {
                name: format!("{called}-{of}"),
                common_name: service.clone(),
                organizations: &[],
                dns_names: dns_names.clone(),
                authority: format!("{root}-server-ca"),
                is_server: true,
                template: &templates[of],
            },
        ));
    }
    made.push(leaf(
        owner,
        Leaf {
            name: format!("{called}-service-account"),
            common_name: service,
            organizations: &[],
            dns_names: Vec::new(),
            authority: format!("{root}-service-account-ca"),
            is_server: false,
            template: &templates["service-account"],
        },
    ));
    made.push(client(owner, root, "client", &format!("shard-{called}"), &["system:masters"], templates));
    let admin = "logical-cluster-admin";
    made.push(client(owner, root, admin, admin, &["system:kcp:logical-cluster-admin"], templates));
    let admin = "external-logical-cluster-admin";
    made.push(client(owner, root, admin, admin, &["system:kcp:external-logical-cluster-admin"], templates));
    made
}

fn client(owner: &Value, root: &str, of: &str, common_name: &str, organizations: &[&str], templates: &Value) -> Value {
    let shape = Leaf {
        name: format!("{}-{of}", name(owner)),
        common_name: common_name.to_owned(),
        organizations,
        dns_names: Vec::new(),
        authority: format!("{root}-client-ca"),
        is_server: false,
        template: &templates[of],
    };
    leaf(owner, shape)
}

/// The Secrets of a shard that are written by code. Those of merged authorities are left out until their sources exist.
fn shard_secrets(world: &World, owner: &Value, root: &str, root_spec: &Value) -> Vec<Value> {
    let (called, spec, role) = (name(owner), &owner["spec"], Role::of(owner));
    let (server_ca, bundle) = (format!("{CA}/server/tls.crt"), format!("{CA}/ca-bundle/tls.crt"));
    let front_ca = if spec["caBundleSecretRef"].is_object() { &bundle } else { &server_ca };
    let root_url = base_url_of(Role::Root, root, namespace(owner), root_spec);
    let admin = |of: &str, context: &str, server: String, authority: &str| {
        let trust = Trust::Files { authority, client: &format!("{TLS}/{of}") };
        let text = kubeconfig(&[(context, server)], &trust);
        secret(owner, &format!("{called}-{of}-kubeconfig"), "kubeconfig", text.as_bytes())
    };
    let mut made = vec![
        admin("logical-cluster-admin", "logical-cluster", base_url(owner, spec), &server_ca),
        admin("external-logical-cluster-admin", "external-logical-cluster", private_url(root_spec), front_ca),
    ];
    if role == Role::Shard {
        made.push(admin("client", "shard-base", root_url, &server_ca));
    }
    if let Some(extra) = spec["caBundleSecretRef"]["name"].as_str() {
        // By the shard's own chain, not by the authority's name: cert-manager puts the intermediates into it.
        let merged = merged(world, owner, &[&format!("{called}-server"), extra]);
        made.extend(merged.map(|pem| secret(owner, &format!("{called}-merged-ca-bundle"), "tls.crt", &pem)));
    }
    if let Some(extra) = spec["clientCABundleRef"]["name"].as_str() {
        let merged = merged(world, owner, &[&format!("{root}-client-ca"), extra]);
        made.extend(merged.map(|pem| secret(owner, &format!("{called}-merged-client-ca"), "tls.crt", &pem)));
    }
    made
}

/// How many Secrets [`shard_secrets`] makes when all their sources are there.
fn shard_secret_count(owner: &Value) -> usize {
    let always = if Role::of(owner) == Role::Root { 2 } else { 3 };
    let spec = &owner["spec"];
    always + ["caBundleSecretRef", "clientCABundleRef"].iter().filter(|field| spec[field].is_object()).count()
}

/// A front-proxy, that of a FrontProxy or the internal one that each root shard has.
struct Proxy<'a> {
    owner: &'a Value,
    root: &'a Value,
    /// Its Certificates and kubeconfig begin so ...
    prefix: String,
    /// ... and its merged authorities so.
    short: String,
    /// It says this of itself to shards.
    common_name: &'static str,
    service: String,
    spec: &'a Value,
}

impl<'a> Proxy<'a> {
    fn front(front: &'a Value, root: &'a Value) -> Proxy<'a> {
        let called = name(front);
        Proxy {
            owner: front,
            root,
            prefix: format!("{}-{called}", name(root)),
            short: called.to_owned(),
            common_name: "kcp-front-proxy",
            service: format!("{called}-front-proxy"),
            spec: &front["spec"],
        }
    }

    fn internal(root: &'a Value) -> Proxy<'a> {
        let prefix = format!("{}-proxy", name(root));
        let (short, service) = (prefix.clone(), prefix.clone());
        let spec = &root["spec"]["proxy"];
        Proxy { owner: root, root, prefix, short, common_name: "kcp-root-shard-proxy", service, spec }
    }

    fn leaves(&self) -> Vec<Value> {
        let (root, root_spec) = (name(self.root), &self.root["spec"]);
        let templates = &self.spec["certificateTemplates"];
        let outside = self.spec["external"]["hostname"].as_str().or_else(|| self.spec["externalHostname"].as_str());
        let outside = outside.unwrap_or_else(|| text(&root_spec["external"]["hostname"])).to_owned();
        let inside = in_cluster(&self.service, namespace(self.owner), root_spec);
        let shape = |of: &str, common_name: &str, organizations, dns_names, middle: &str, is_server| {
            leaf(
                self.owner,
                Leaf {
                    name: format!("{}-{of}", self.prefix),
                    common_name: common_name.to_owned(),
                    organizations,
                    dns_names,
                    authority: format!("{root}-{middle}-ca"),
                    is_server,
                    template: &templates[of],
                },
            )
        };
        let names = vec!["localhost".to_owned(), inside, outside];
        vec![
            shape("server", &self.service, &[], names, "server", true),
            shape("kubeconfig", self.common_name, &["system:masters"], Vec::new(), "client", false),
            shape("requestheader", self.common_name, &[], Vec::new(), "requestheader-client", false),
        ]
    }

    /// The merged authorities, as far as their sources exist.
    fn secrets(&self, world: &World) -> Vec<Value> {
        let root = name(self.root);
        let (client_ca, server) = (format!("{root}-client-ca"), format!("{}-server", self.prefix));
        let extra = |field: &str| self.spec[field]["name"].as_str();
        let mut clients = vec![client_ca.as_str()];
        clients.extend(extra("clientCABundleRef"));
        let mut servers = vec![server.as_str()];
        servers.extend(extra("caBundleSecretRef"));
        let mut made = Vec::new();
        for (of, sources) in [("merged-client-ca", clients), ("merged-ca-bundle", servers)] {
            let pem = merged(world, self.owner, &sources);
            made.extend(pem.map(|pem| secret(self.owner, &format!("{}-{of}", self.short), "tls.crt", &pem)));
        }
        made
    }
}

/// Whether all Certificates among these objects are there and ready.
fn all_ready(world: &World, owner: &Value, made: &[Value]) -> bool {
    let certificates = made.iter().filter(|object| object["kind"] == "Certificate");
    certificates
        .into_iter()
        .all(|wanted| world.get("Certificate", namespace(owner), name(wanted)).is_some_and(is_ready))
}

/// What the group `workload` is given. The wish for a bundle goes along as an annotation.
fn compiled(owner: &Value, kind: &str, spec: Value) -> Value {
    let mut made = owned(owner, DEPLOY_VERSION, kind, name(owner), json!({ "spec": spec }));
    if let Some(wish) = meta(owner, "annotations")["operator.kcp.io/bundle"].as_str() {
        made["metadata"]["annotations"] = json!({ "operator.kcp.io/bundle": wish });
    }
    made
}

/// The names of all shards of a root but the one that asks: with service accounts, each trusts the keys of all.
fn siblings(world: &World, asking: &Value, root: &str) -> Vec<Value> {
    let same = |shard: &&Value| namespace(shard) == namespace(asking) && root_of(shard) == Some(root);
    let other = |shard: &&Value| asking["kind"] != "Shard" || name(shard) != name(asking);
    world.list("Shard").filter(same).filter(other).map(|shard| name(shard).into()).collect()
}

/// Where the front-proxy is found by people; a FrontProxy may have its own name.
pub fn front_url(front: &Value, root: &Value) -> String {
    let own = &front["spec"]["external"];
    if own["hostname"].is_string() { external_url(&front["spec"]) } else { external_url(&root["spec"]) }
}
