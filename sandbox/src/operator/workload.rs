//! The controller group `workload`: from Compiled objects to Deployments, Services and the configuration of front-proxies. It looks at
//! nothing else but what is mounted, so it may run where only that has been copied to: kcp notes, sections 2.5 and 2.10.

use serde_json::{Value, json};

use super::access::{Trust, kubeconfig, secret};
use super::names::{Role, base_url_of, external_url, owned, root_of};
use super::pod::{Mounts, Running, family, oidc_args, trusts_service_accounts};
use crate::control::{World, name, namespace, text};

const CA: &str = "/etc/kcp/tls/ca";
const TLS: &str = "/etc/kcp/tls";
const PROXY: &str = "/etc/kcp-front-proxy";

/// What the group makes of a CompiledRootShard or CompiledShard.
pub fn shard(world: &World, compiled: &Value) -> Vec<Value> {
    let role = Role::of(compiled);
    let (spec, root, root_spec) = match role {
        Role::Root => (&compiled["spec"]["rootShard"], name(compiled), &compiled["spec"]["rootShard"]),
        Role::Shard => {
            let root = &compiled["spec"]["rootShard"];
            (&compiled["spec"]["shard"], text(&root["name"]), &root["spec"])
        }
    };
    let mut ports = vec![("https", 6443, 6443)];
    if role == Role::Root {
        ports.push(("https-virtual-workspaces", 6444, 6444));
    }
    let running = Running {
        owner: compiled,
        spec,
        called: role.deployment(name(compiled)),
        container: "kcp",
        command: vec!["/kcp", "start"],
        args: shard_args(compiled, role, spec, root, root_spec),
        mounts: shard_mounts(compiled, role, spec, root),
        ports,
    };
    let mut made = running.objects(world);
    if role == Role::Root {
        made.extend(Proxy::internal(compiled).objects(world));
    }
    made
}

/// What the group makes of a CompiledFrontProxy.
pub fn front_proxy(world: &World, compiled: &Value) -> Vec<Value> {
    Proxy::front(compiled).objects(world)
}

fn shard_mounts(compiled: &Value, role: Role, spec: &Value, root: &str) -> Mounts {
    let called = name(compiled);
    let mut mounts = Mounts::default();
    mounts.secret(format!("{CA}/root"), format!("{root}-ca"));
    for middle in ["server", "service-account", "requestheader-client"] {
        mounts.secret(format!("{CA}/{middle}"), format!("{root}-{middle}-ca"));
    }
    let merged = spec["clientCABundleRef"].is_object();
    let client_ca = if merged { format!("{called}-merged-client-ca") } else { format!("{root}-client-ca") };
    mounts.secret(format!("{CA}/client"), client_ca);
    for own in ["server", "service-account", "client", "logical-cluster-admin", "external-logical-cluster-admin"] {
        mounts.secret(format!("{TLS}/{own}"), format!("{called}-{own}"));
    }
    for own in ["logical-cluster-admin", "external-logical-cluster-admin"] {
        mounts.secret(format!("/etc/kcp/{own}-kubeconfig"), format!("{called}-{own}-kubeconfig"));
    }
    if role == Role::Shard {
        mounts.secret(format!("{TLS}/mounts-proxy"), format!("{called}-mounts-proxy"));
        mounts.secret("/etc/kcp/client-kubeconfig", format!("{called}-client-kubeconfig"));
    }
    if spec["caBundleSecretRef"].is_object() {
        mounts.secret(format!("{CA}/ca-bundle"), format!("{called}-merged-ca-bundle"));
    }
    if let Some(secret) = spec["etcd"]["tlsConfig"]["secretRef"]["name"].as_str() {
        mounts.secret("/etc/etcd/tls", secret);
    }
    if trusts_service_accounts(&spec["auth"]) {
        for other in family(compiled).into_iter().filter(|other| *other != called) {
            mounts.secret(format!("{TLS}/{other}/service-account"), format!("{other}-service-account"));
        }
    }
    mounts
}

fn shard_args(compiled: &Value, role: Role, spec: &Value, root: &str, root_spec: &Value) -> Vec<String> {
    let called = name(compiled);
    let base = base_url_of(role, called, namespace(compiled), spec);
    let mut args = vec![
        format!("--root-ca-file={CA}/root/tls.crt"),
        format!("--client-ca-file={CA}/client/tls.crt"),
        format!("--requestheader-client-ca-file={CA}/requestheader-client/tls.crt"),
        "--requestheader-allowed-names=kcp-front-proxy,kcp-root-shard-proxy".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!("--tls-cert-file={TLS}/server/tls.crt"),
        format!("--tls-private-key-file={TLS}/server/tls.key"),
        format!("--service-account-key-file={TLS}/service-account/tls.crt"),
        format!("--service-account-private-key-file={TLS}/service-account/tls.key"),
        "--service-account-lookup=false".to_owned(),
        format!("--shard-client-cert-file={TLS}/client/tls.crt"),
        format!("--shard-client-key-file={TLS}/client/tls.key"),
        format!("--shard-virtual-workspace-ca-file={CA}/server/tls.crt"),
        format!("--shard-name={called}"),
        format!("--shard-base-url={base}"),
        format!("--shard-external-url={}", external_url(root_spec)),
        format!("--external-hostname={}", super::names::host(&base)),
        "--logical-cluster-admin-kubeconfig=/etc/kcp/logical-cluster-admin-kubeconfig/kubeconfig".to_owned(),
        "--external-logical-cluster-admin-kubeconfig=/etc/kcp/external-logical-cluster-admin-kubeconfig/kubeconfig"
            .to_owned(),
        "--batteries-included=workspace-types".to_owned(),
        "--root-directory=".to_owned(),
        "--enable-leader-election=true".to_owned(),
        "--logging-format=json".to_owned(),
    ];
    if role == Role::Shard {
        // Without a cache server of its own the root shard serves the cache: every other shard hangs on it.
        args.push("--cache-kubeconfig=/etc/kcp/client-kubeconfig/kubeconfig".to_owned());
        args.push("--root-shard-kubeconfig-file=/etc/kcp/client-kubeconfig/kubeconfig".to_owned());
        args.push(format!("--mount-proxy-client-cert-file={TLS}/mounts-proxy/tls.crt"));
        args.push(format!("--mount-proxy-client-key-file={TLS}/mounts-proxy/tls.key"));
    }
    args.extend(etcd_args(&spec["etcd"]));
    if trusts_service_accounts(&spec["auth"]) {
        let others = family(compiled).into_iter().filter(|other| *other != called);
        args.extend(others.map(|other| format!("--service-account-key-file={TLS}/{other}/service-account/tls.crt")));
    }
    debug_assert!(role == Role::Shard || root == called, "a root shard is its own root");
    args.extend(oidc_args(&spec["auth"]));
    args
}

fn etcd_args(etcd: &Value) -> Vec<String> {
    let endpoints: Vec<_> = etcd["endpoints"].as_array().into_iter().flatten().map(text).collect();
    let mut args = vec![format!("--etcd-servers={}", endpoints.join(","))];
    if let Some(prefix) = etcd["prefix"].as_str() {
        args.push(format!("--etcd-prefix={prefix}"));
    }
    if etcd["tlsConfig"].is_object() {
        for (flag, file) in [("certfile", "tls.crt"), ("keyfile", "tls.key"), ("cafile", "ca.crt")] {
            args.push(format!("--etcd-{flag}=/etc/etcd/tls/{file}"));
        }
    }
    args
}

/// A front-proxy: that of a FrontProxy, or the one that each root shard has for the operator's own requests.
struct Proxy<'a> {
    compiled: &'a Value,
    spec: &'a Value,
    root: &'a str,
    root_spec: &'a Value,
    /// See the namesakes in `config`.
    prefix: String,
    short: String,
    service: String,
    port: u64,
}

impl<'a> Proxy<'a> {
    fn front(compiled: &'a Value) -> Proxy<'a> {
        let (spec, root_spec) = (&compiled["spec"]["frontProxy"], &compiled["spec"]["rootShard"]["spec"]);
        let root = root_of(compiled).unwrap_or_default();
        let called = name(compiled);
        let port = spec["external"]["port"].as_u64().or_else(|| root_spec["external"]["port"].as_u64()).unwrap_or(6443);
        let (prefix, service) = (format!("{root}-{called}"), format!("{called}-front-proxy"));
        Proxy { compiled, spec, root, root_spec, prefix, short: called.to_owned(), service, port }
    }

    fn internal(compiled: &'a Value) -> Proxy<'a> {
        let (root, root_spec) = (name(compiled), &compiled["spec"]["rootShard"]);
        let prefix = format!("{root}-proxy");
        let (short, service) = (prefix.clone(), prefix.clone());
        Proxy { compiled, spec: &root_spec["proxy"], root, root_spec, prefix, short, service, port: 6443 }
    }

    fn objects(self, world: &World) -> Vec<Value> {
        let base = base_url_of(Role::Root, self.root, namespace(self.compiled), self.root_spec);
        let config = owned(
            self.compiled,
            "v1",
            "ConfigMap",
            &format!("{}-config", self.short),
            json!({ "data": { "path-mapping.yaml": self.path_mapping(&base) } }),
        );
        let (authority, client) = (format!("{PROXY}/server-ca/tls.crt"), format!("{PROXY}/kubeconfig-client"));
        let text = kubeconfig(&[("system:admin", base)], &Trust::Files { authority: &authority, client: &client });
        let dynamic =
            secret(self.compiled, &format!("{}-dynamic-kubeconfig", self.prefix), "kubeconfig", text.as_bytes());
        let mut made = vec![config, dynamic];
        let (mounts, args) = (self.mounts(), self.args());
        let running = Running {
            owner: self.compiled,
            spec: self.spec,
            called: self.service,
            container: "kcp-front-proxy",
            command: vec!["/kcp-front-proxy"],
            args,
            mounts,
            ports: vec![("https", self.port, 6443)],
        };
        made.extend(running.objects(world));
        made
    }

    /// Every path goes to the root shard first; `/clusters/` is then routed by the proxy's index, `/services/` is not.
    fn path_mapping(&self, base: &str) -> String {
        let entry = |path: &str| {
            json!({
                "path": path,
                "backend": base,
                "backend_server_ca": format!("{PROXY}/server-ca/tls.crt"),
                "proxy_client_cert": format!("{PROXY}/requestheader-client/tls.crt"),
                "proxy_client_key": format!("{PROXY}/requestheader-client/tls.key"),
            })
        };
        let mut mapping = vec![entry("/clusters/"), entry("/services/")];
        for added in self.spec["additionalPathMappings"].as_array().into_iter().flatten() {
            mapping.push(added.clone());
        }
        Value::from(mapping).to_string()
    }

    fn mounts(&self) -> Mounts {
        let (root, prefix, short) = (self.root, &self.prefix, &self.short);
        let mut mounts = Mounts::default();
        mounts.secret(format!("{PROXY}/tls"), format!("{prefix}-server"));
        mounts.secret(format!("{PROXY}/kubeconfig-client"), format!("{prefix}-kubeconfig"));
        mounts.secret(format!("{PROXY}/requestheader-client"), format!("{prefix}-requestheader"));
        mounts.secret(format!("{PROXY}/kubeconfig"), format!("{prefix}-dynamic-kubeconfig"));
        mounts.config_map(format!("{PROXY}/config"), format!("{short}-config"));
        mounts.secret(format!("{PROXY}/server-ca"), format!("{root}-server-ca"));
        mounts.secret(format!("{PROXY}/client-ca"), format!("{short}-merged-client-ca"));
        mounts.secret(format!("{PROXY}/requestheader-ca"), format!("{root}-requestheader-client-ca"));
        if trusts_service_accounts(&self.spec["auth"]) {
            for shard in family(self.compiled) {
                mounts.secret(format!("{PROXY}/{shard}/service-account"), format!("{shard}-service-account"));
            }
        }
        mounts
    }

    fn args(&self) -> Vec<String> {
        let mut args = vec![
            "--secure-port=6443".to_owned(),
            format!("--root-kubeconfig={PROXY}/kubeconfig/kubeconfig"),
            format!("--shards-kubeconfig={PROXY}/kubeconfig/kubeconfig"),
            format!("--tls-cert-file={PROXY}/tls/tls.crt"),
            format!("--tls-private-key-file={PROXY}/tls/tls.key"),
            "--root-directory=".to_owned(),
            format!("--mapping-file={PROXY}/config/path-mapping.yaml"),
            format!("--client-ca-file={PROXY}/client-ca/tls.crt"),
            format!("--requestheader-client-ca-file={PROXY}/requestheader-ca/tls.crt"),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            "--requestheader-allowed-names=kcp-front-proxy,kcp-mounts-proxy".to_owned(),
        ];
        if trusts_service_accounts(&self.spec["auth"]) {
            let keys = family(self.compiled).into_iter();
            args.extend(
                keys.map(|shard| format!("--service-account-key-file={PROXY}/{shard}/service-account/tls.crt")),
            );
            args.push("--service-account-lookup=false".to_owned());
        }
        args.extend(oidc_args(&self.spec["auth"]));
        args
    }
}
