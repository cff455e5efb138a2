//! The lab of kcp-zheng, each part seen to be real: regions that are clusters of their own, certificates, Services and names in a
//! network, a region that is cut off. One lab serves all tests here.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

#[allow(dead_code, reason = "its other functions serve the other tests of the lab")]
mod objects;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_tests::lab::open_kinds::OPEN;
use engine_tests::lab::shared::shared_zheng;
use engine_tests::lab::{Lab, ZHENG_REGIONS};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, PostParams, TypeMeta};
use kube::{Api, Client, ResourceExt as _};
use objects::{any, client, create, create_any, eventually, netexec};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const HOST: &str = "web.zheng.example.test";
/// How long a connection is waited for: one that is dropped takes all of it.
const LIMIT: Duration = Duration::from_secs(2);

/// The test that cuts a region off, and those that need all regions, one at a time.
static REGIONS_ALL: Mutex<()> = Mutex::const_new(());

fn lab() -> Option<&'static Lab> {
    shared_zheng(Path::new(env!("CARGO_BIN_EXE_lab")))
}

async fn namespace(lab: &Lab, region: &str, name: &str) -> Client {
    let client = client(lab, region).await;
    create::<Namespace>(Api::all(client.clone()), json!({ "metadata": { "name": name } })).await;
    client
}

#[tokio::test]
async fn each_region_is_a_cluster_with_the_kinds_that_belong_there() {
    let Some(lab) = lab() else { return };
    let _all = REGIONS_ALL.lock().await;
    for (index, region) in ZHENG_REGIONS.iter().enumerate() {
        let client = client(lab, region).await;
        let uid = Api::<Namespace>::all(client.clone()).get("kube-system").await.unwrap().metadata.uid.unwrap();
        assert_eq!(uid, lab.cluster(index).kube_system_uid);
        let groups = client.list_api_groups().await.unwrap();
        let served: Vec<&str> = groups.groups.iter().map(|group| group.name.as_str()).collect();
        for (group, expected) in
            [("cert-manager.io", true), ("druid.gardener.cloud", true), ("operator.kcp.io", index == 0)]
        {
            assert_eq!(served.contains(&group), expected, "{group} in {region}: {served:?}");
        }
    }
}

#[tokio::test]
async fn the_operators_own_definitions_check_what_we_make() {
    let Some(lab) = lab() else { return };
    let client = client(lab, "root").await;
    let kinds = Api::<CustomResourceDefinition>::all(client.clone());
    if kinds.get("rootshards.operator.kcp.io").await.unwrap().annotations().contains_key(OPEN) {
        eprintln!("left out: the operator's own definitions are not in LAB_PROGRAMS/crds/kcp-operator");
        return;
    }
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let shard = |spec: Value| json!({ "apiVersion": "operator.kcp.io/v1alpha1", "kind": "RootShard", "metadata": { "name": "root" }, "spec": spec });
    let mut spec = json!({
        "external": { "hostname": "api.zheng.example.test", "port": 6443 },
        "certificates": { "issuerRef": { "group": "cert-manager.io", "kind": "Issuer", "name": "kcp-ca" } },
        "cache": { "embedded": { "enabled": true } },
        "etcd": { "endpoints": ["https://root-client.kcp.svc.cluster.local:2379"] },
        "replicaCount": 2
    });
    let made = create_any(&client, "default", shard(spec.clone()), &dry).await.unwrap();
    assert_eq!(made.data["spec"]["replicaCount"], Value::Null, "a field that the operator does not have is taken away");
    assert_eq!(made.data["spec"]["external"]["port"], 6443);

    spec["external"] = json!({ "hostname": "api.zheng.example.test", "port": "6443" });
    spec.as_object_mut().unwrap().remove("etcd");
    let refused = create_any(&client, "default", shard(spec), &dry).await.unwrap_err().to_string();
    assert!(refused.contains("spec.external.port") && refused.contains("spec.etcd"), "{refused}");
}

#[tokio::test]
async fn a_certificate_of_cert_manager_is_served_by_a_pod_behind_a_load_balancer() {
    let Some(lab) = lab() else { return };
    let (client, namespace) = (namespace(lab, "root", "serves").await, "serves");
    for object in certificates() {
        create_any(&client, namespace, object, &PostParams::default()).await.unwrap();
    }
    let mut container =
        netexec(&["--http-port=6443", "--tls-cert-file=/etc/web/tls.crt", "--tls-private-key-file=/etc/web/tls.key"]);
    container["readinessProbe"] = json!({ "httpGet": { "path": "/readyz", "port": 6443, "scheme": "HTTPS" } });
    container["volumeMounts"] = json!([{ "name": "tls", "mountPath": "/etc/web" }]);
    let spec =
        json!({ "containers": [container], "volumes": [{ "name": "tls", "secret": { "secretName": "leaf-tls" } }] });
    web(&client, namespace, spec, 6443).await;

    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let authority = eventually("the certificate is issued", || async {
        let secret = secrets.get_opt("leaf-tls").await.unwrap().ok_or("no secret")?;
        Ok(secret.data.unwrap()["ca.crt"].0.clone())
    })
    .await;
    let types = TypeMeta { api_version: "cert-manager.io/v1".into(), kind: "Certificate".into() };
    eventually("it says that it is ready", || async {
        let leaf = any(&client, namespace, &types).get("leaf").await.unwrap();
        let conditions = leaf.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is_ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        is_ready.then_some(()).ok_or_else(|| format!("{conditions:?}"))
    })
    .await;
    let at = balancer(&client, namespace, 6443).await;
    assert!(at.to_string().starts_with("10.1.1."), "{at} is not a load balancer of region 1");
    eventually("the pod shows it", || async { shown(at, &authority) }).await;
}

/// An authority that signs itself, and a certificate of it.
fn certificates() -> [Value; 4] {
    let key = json!({ "algorithm": "ECDSA", "size": 256 });
    let object = |kind: &str, name: &str, spec: Value| json!({ "apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": { "name": name }, "spec": spec });
    [
        object("Issuer", "selfsigned", json!({ "selfSigned": {} })),
        object("Issuer", "authority", json!({ "ca": { "secretName": "authority-tls" } })),
        object(
            "Certificate",
            "authority",
            json!({ "isCA": true, "commonName": "authority", "secretName": "authority-tls", "privateKey": key, "issuerRef": { "name": "selfsigned" } }),
        ),
        object(
            "Certificate",
            "leaf",
            json!({ "dnsNames": [HOST], "secretName": "leaf-tls", "privateKey": key, "issuerRef": { "name": "authority" } }),
        ),
    ]
}

/// A Pod and a load balancer `web` in front of it.
async fn web(client: &Client, namespace: &str, spec: Value, port: u16) {
    let metadata = json!({ "name": "behind", "labels": { "app": "web" } });
    create::<Pod>(Api::namespaced(client.clone(), namespace), json!({ "metadata": metadata, "spec": spec })).await;
    let metadata = json!({ "name": "web" });
    let service = json!({ "type": "LoadBalancer", "selector": { "app": "web" }, "ports": [{ "port": port }] });
    create::<Service>(Api::namespaced(client.clone(), namespace), json!({ "metadata": metadata, "spec": service }))
        .await;
}

async fn balancer(client: &Client, namespace: &str, port: u16) -> SocketAddr {
    let services = Api::<Service>::namespaced(client.clone(), namespace);
    let address = eventually("the load balancer has an address", || async {
        let status = services.get("web").await.unwrap().status;
        let ingress = status.and_then(|s| s.load_balancer?.ingress?.pop()).ok_or("no ingress")?;
        ingress.ip.ok_or_else(|| "no address".to_owned())
    });
    SocketAddr::new(address.await.parse().unwrap(), port)
}

/// Whether what answers at an address shows a certificate of an authority for our host.
fn shown(at: SocketAddr, authority: &[u8]) -> Result<(), String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from(HOST).unwrap()).unwrap();
    let socket = connect(at).map_err(|error| error.to_string())?;
    get(rustls::StreamOwned::new(session, socket), "/hostname").map(drop)
}

fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&at, LIMIT)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(socket)
}

/// The body of an answer, whatever its status.
fn get(mut stream: impl io::Read + io::Write, path: &str) -> Result<String, String> {
    let mut answer = String::new();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(|error| error.to_string())?;
    Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned())
}

/// A Pod that carries commands out for whoever asks it.
async fn shell(client: &Client, namespace: &str) -> SocketAddr {
    web(client, namespace, json!({ "containers": [netexec(&["--http-port=8080"])] }), 8080).await;
    balancer(client, namespace, 8080).await
}

/// What a command in that Pod says.
fn inside(at: SocketAddr, command: &str) -> Result<String, String> {
    let socket = connect(at).map_err(|error| error.to_string())?;
    let encoded: String = command.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer: Value =
        serde_json::from_str(&get(socket, &format!("/shell?cmd={encoded}"))?).map_err(|error| error.to_string())?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) if !error.is_empty() => Err(answer.to_string()),
        _ => Ok(answer["output"].as_str().unwrap_or_default().trim().to_owned()),
    }
}

#[tokio::test]
async fn a_pod_knows_services_by_name_and_the_public_zone() {
    let Some(lab) = lab() else { return };
    let (client, namespace) = (namespace(lab, "alpha", "names").await, "names");
    let at = shell(&client, namespace).await;
    eventually("the pod answers", || async { inside(at, "true") }).await;
    let service = Api::<Service>::namespaced(client, namespace).get("web").await.unwrap();
    let address = service.spec.unwrap().cluster_ip.unwrap();
    for (name, expected) in [
        ("web", address.as_str()),
        ("web.names.svc.cluster.local", &address),
        ("ns.zheng.example.test", &lab.dns().address().to_string()),
    ] {
        let found = inside(at, &format!("getent hosts {name}")).unwrap();
        assert_eq!(found.split_whitespace().next(), Some(expected), "{name}");
    }
    assert!(inside(at, "getent hosts nothing.names.svc.cluster.local").is_err());
    let other = Ipv4Addr::new(10, 1, 128, 1);
    assert!(connect((other, 443).into()).is_err(), "a service is reached from outside of its region");
}

#[tokio::test]
async fn a_region_that_is_cut_off_says_nothing_and_goes_on_inside() {
    let Some(lab) = lab() else { return };
    let (client, namespace) = (namespace(lab, "beta", "alone").await, "alone");
    let at = shell(&client, namespace).await;
    eventually("the pod answers", || async { inside(at, "true") }).await;
    let _all = REGIONS_ALL.lock().await;
    // The pod tries the whole time to find a neighbour and to find somebody outside, and notes what came of it.
    for tries in [
        // With its last dot, or other names are tried too, some of them outside.
        "getent hosts web.alone.svc.cluster.local. && date +%s%N >/tmp/found",
        "timeout 1 getent hosts ns.zheng.example.test || echo lost >>/tmp/lost",
    ] {
        inside(at, &format!("(while sleep 0.1; do {tries}; done) >/dev/null 2>&1 &")).unwrap();
    }
    eventually("it finds its neighbour", || async { inside(at, "cat /tmp/found") }).await;
    inside(at, "rm -f /tmp/lost").unwrap();

    let began = Instant::now();
    lab.cut(2).unwrap();
    let failed = connect(at).unwrap_err();
    assert_eq!((failed.kind(), began.elapsed() >= LIMIT), (io::ErrorKind::TimedOut, true), "{failed}");
    let other = lab.cluster(1).apiserver;
    assert!(connect(other.into()).is_ok(), "another region is cut off too");
    lab.mend(2).unwrap();
    let cut_for = began.elapsed();

    let noted = eventually("it comes back", || async { inside(at, "cat /tmp/found; date +%s%N; cat /tmp/lost") }).await;
    let [found, now, ..] = noted.lines().collect::<Vec<_>>()[..] else { panic!("{noted}") };
    let silent = Duration::from_nanos(now.parse::<u64>().unwrap() - found.parse::<u64>().unwrap());
    assert!(silent < cut_for, "inside nothing was found for {silent:?}");
    assert!(noted.ends_with("lost"), "from inside, what is outside was found the whole time");
    assert!(lab.mend(2).is_err(), "what is not cut off cannot be connected again");
}

#[tokio::test]
async fn three_members_of_an_etcd_find_each_other_and_keep_what_they_have() {
    let Some(lab) = lab() else { return };
    let (client, namespace) = (namespace(lab, "alpha", "members").await, "members");
    for object in etcd() {
        create_any(&client, namespace, object, &PostParams::default()).await.unwrap();
    }
    let sets = Api::<StatefulSet>::namespaced(client.clone(), namespace);
    let is_whole = || async {
        let status = sets.get("etcd").await.unwrap().status.unwrap_or_default();
        if status.ready_replicas == Some(3) { Ok(()) } else { Err(format!("{status:?}")) }
    };
    eventually("all members are ready", is_whole).await;
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
    let bound = claims.list(&ListParams::default()).await.unwrap().items;
    assert!(bound.len() == 3 && bound.iter().all(|c| c.status.as_ref().unwrap().phase.as_deref() == Some("Bound")));

    // A member that lost its data could not come back: the others know it, and it would not know them.
    let pods = Api::<Pod>::namespaced(client, namespace);
    let before = pods.get("etcd-1").await.unwrap().metadata.uid;
    pods.delete("etcd-1", &DeleteParams::default()).await.unwrap();
    eventually("the member is another pod", || async {
        let after = pods.get_opt("etcd-1").await.unwrap().and_then(|pod| pod.metadata.uid);
        if after.is_some() && after != before { Ok(()) } else { Err(format!("{after:?}")) }
    })
    .await;
    eventually("all members are ready again", is_whole).await;
}

/// An etcd of three members, as an operator makes it: found by the names of its Pods, with a volume for each, and a companion in every
/// Pod that has no program here.
fn etcd() -> [Value; 2] {
    let domain = "etcd.members.svc.cluster.local";
    let peers: Vec<String> = (0..3).map(|n| format!("etcd-{n}=http://etcd-{n}.{domain}:2380")).collect();
    let args = json!([
        "--name=$(NAME)",
        "--data-dir=/data/member",
        "--listen-client-urls=http://0.0.0.0:2379",
        format!("--advertise-client-urls=http://$(NAME).{domain}:2379"),
        "--listen-peer-urls=http://0.0.0.0:2380",
        format!("--initial-advertise-peer-urls=http://$(NAME).{domain}:2380"),
        format!("--initial-cluster={}", peers.join(",")),
        "--unsafe-no-fsync"
    ]);
    let member = json!({
        "name": "etcd",
        "image": "etcd",
        "command": ["/etcd"],
        "args": args,
        "env": [{ "name": "NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": 2379 } },
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }]
    });
    let labels = json!({ "app": "etcd" });
    let claim = json!({
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } }
    });
    let set = json!({
        "serviceName": "etcd",
        "replicas": 3,
        "podManagementPolicy": "Parallel",
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [member, { "name": "companion", "image": "none" }] }
        },
        "volumeClaimTemplates": [claim]
    });
    let service = json!({
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": labels,
        "ports": [{ "port": 2379 }]
    });
    let metadata = json!({ "name": "etcd" });
    [
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service }),
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": set }),
    ]
}
