//! The parts of a lab, each seen to be real: control planes, Pods and load balancers, the DNS server. One lab serves all tests here.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

#[allow(dead_code, reason = "its other functions serve the other tests of the lab")]
mod objects;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine_tests::lab::Lab;
use engine_tests::lab::shared::shared;
use hickory_net::client::{Client as DnsClient, ClientHandle as _};
use hickory_net::proto::op::ResponseCode;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::udp::UdpClientStream;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigner};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use objects::{client, create, eventually, netexec};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const HOST: &str = "web.trust.example.test";
const PORT: u16 = 8443;

fn lab() -> Option<&'static Lab> {
    shared(Path::new(env!("CARGO_BIN_EXE_lab")))
}

#[tokio::test]
async fn every_context_leads_to_a_cluster_of_its_own() {
    let Some(lab) = lab() else { return };
    let mut seen = Vec::new();
    for cluster in lab.clusters() {
        let client = client(lab, &cluster.name).await;
        assert_eq!(client.apiserver_version().await.unwrap().git_version, "v1.34.4");
        let uid = Api::<Namespace>::all(client).get("kube-system").await.unwrap().metadata.uid.unwrap();
        assert_eq!(uid, cluster.kube_system_uid);
        assert!(!seen.contains(&uid), "{} is another cluster under a second name", cluster.name);
        seen.push(uid);
    }
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_pod_waits_for_its_secret_and_then_serves_it_through_the_load_balancer() {
    let Some(lab) = lab() else { return };
    for cluster in lab.clusters() {
        let client = client(lab, &cluster.name).await;
        let namespace = "serves";
        deploy(&client, namespace).await;

        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let waits = eventually("the pod waits for its secret", || async {
            let pod = pods.list(&ListParams::default()).await.unwrap().items.pop().ok_or("no pod")?;
            let state =
                pod.status.and_then(|s| s.container_statuses?.pop()?.state?.waiting).ok_or("it does not wait")?;
            state.message.ok_or_else(|| "it does not say for what".to_owned())
        });
        assert_eq!(waits.await, "not found: secret web-tls");

        let (authority, leaf) = certificate(&client, namespace).await;
        let at = balancer(&client, namespace).await;
        assert!(at.to_string().starts_with(&cluster.load_balancers), "{at} is not one of {}", cluster.name);
        let (host, presented) = eventually("it answers", || async { ask_host(at, &authority) }).await;
        assert_eq!(presented, leaf, "another certificate than that of the secret");
        let pod = pods.list(&ListParams::default()).await.unwrap().items.pop().unwrap();
        assert_eq!(Some(host), pod.metadata.name, "the answer comes from the pod's own process");

        // Once the pods are gone nothing may listen there any more, or a check would see a region that is not there.
        Api::<Deployment>::namespaced(client, namespace).delete("web", &DeleteParams::default()).await.unwrap();
        eventually("connections are refused", || async {
            match TcpStream::connect_timeout(&at, Duration::from_secs(2)) {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

async fn deploy(client: &Client, namespace: &str) {
    let metadata = json!({ "name": "web", "namespace": namespace });
    let labels = json!({ "app": "web" });
    create::<Namespace>(Api::all(client.clone()), json!({ "metadata": { "name": namespace } })).await;
    let port = format!("--http-port={PORT}");
    let mut container =
        netexec(&[&port, "--tls-cert-file=/etc/trust/tls.crt", "--tls-private-key-file=/etc/trust/tls.key"]);
    container["ports"] = json!([{ "name": "https", "containerPort": PORT }]);
    container["readinessProbe"] = json!({ "httpGet": { "path": "/readyz", "port": "https", "scheme": "HTTPS" } });
    container["volumeMounts"] = json!([{ "name": "tls", "mountPath": "/etc/trust" }]);
    let pod =
        json!({ "containers": [container], "volumes": [{ "name": "tls", "secret": { "secretName": "web-tls" } }] });
    let deployment = json!({
        "metadata": metadata,
        "spec": { "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels }, "spec": pod } }
    });
    create::<Deployment>(Api::namespaced(client.clone(), namespace), deployment).await;
    let service = json!({
        "metadata": metadata,
        "spec": { "type": "LoadBalancer", "selector": labels, "ports": [{ "port": PORT, "targetPort": "https" }] }
    });
    create::<Service>(Api::namespaced(client.clone(), namespace), service).await;
}

/// Where the Service `web` of a namespace can be reached.
async fn balancer(client: &Client, namespace: &str) -> SocketAddr {
    let services = Api::<Service>::namespaced(client.clone(), namespace);
    let address = eventually("the load balancer has an address", || async {
        let status = services.get("web").await.unwrap().status;
        let ingress = status.and_then(|s| s.load_balancer?.ingress?.pop()).ok_or("no ingress")?;
        ingress.ip.ok_or_else(|| "no address".to_owned())
    });
    SocketAddr::from_str(&format!("{}:{PORT}", address.await)).unwrap()
}

/// Puts a new certificate into the cluster, and returns its authority's and its own.
async fn certificate(client: &Client, namespace: &str) -> (CertificateDer<'static>, CertificateDer<'static>) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let secret = json!({
        "metadata": { "name": "web-tls" },
        "type": "kubernetes.io/tls",
        "data": { "tls.crt": STANDARD.encode(leaf.pem()), "tls.key": STANDARD.encode(key.serialize_pem()) }
    });
    create::<Secret>(Api::namespaced(client.clone(), namespace), secret).await;
    (authority.der().clone(), leaf.der().clone())
}

/// Asks for the host's name over TLS: the answer, and the certificate that was presented and verified.
fn ask_host(at: SocketAddr, authority: &CertificateDer<'static>) -> Result<(String, CertificateDer<'static>), String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from(HOST).unwrap()).unwrap();
    let exchange = || -> std::io::Result<(String, CertificateDer<'static>)> {
        let mut stream = rustls::StreamOwned::new(session, connect(at)?);
        let host = get(&mut stream, "/hostname")?;
        Ok((host, stream.conn.peer_certificates().unwrap()[0].clone().into_owned()))
    };
    exchange().map_err(|error| error.to_string())
}

fn connect(at: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(socket)
}

/// The body of an answer, whatever its status.
fn get(stream: &mut (impl Read + Write), path: &str) -> std::io::Result<String> {
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_pod_sees_its_own_files_and_follows_their_changes() {
    let Some(lab) = lab() else { return };
    let (client, namespace) = (client(lab, "region-a").await, "sees");
    create::<Namespace>(Api::all(client.clone()), json!({ "metadata": { "name": namespace } })).await;
    let config = |greeting: &str| json!({ "metadata": { "name": "words" }, "data": { "greeting": greeting } });
    create::<ConfigMap>(Api::namespaced(client.clone(), namespace), config("good morning")).await;
    let mut container = netexec(&["--http-port=$(PORT)"]);
    container["env"] = json!([{ "name": "PORT", "value": PORT.to_string() }]);
    container["volumeMounts"] = json!([{ "name": "words", "mountPath": "/etc/words" }]);
    let pod = json!({ "containers": [container], "volumes": [{ "name": "words", "configMap": { "name": "words" } }] });
    let metadata = json!({ "name": "web", "labels": { "app": "web" } });
    create::<Pod>(Api::namespaced(client.clone(), namespace), json!({ "metadata": metadata, "spec": pod })).await;
    let ports = json!([{ "port": PORT }]);
    let service = json!({ "metadata": metadata, "spec": { "type": "LoadBalancer", "selector": { "app": "web" }, "ports": ports } });
    create::<Service>(Api::namespaced(client.clone(), namespace), service).await;

    let at = balancer(&client, namespace).await;
    let inside = |command: &'static str| async move {
        let answer = connect(at).and_then(|mut stream| get(&mut stream, &format!("/shell?cmd={command}")));
        let answer: Value =
            serde_json::from_str(&answer.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        answer["output"].as_str().map(str::to_owned).ok_or_else(|| answer.to_string())
    };
    assert_eq!(eventually("the pod answers", || inside("cat+/etc/words/greeting")).await, "good morning");
    assert_eq!(inside("ls+-m+/etc").await.unwrap().trim(), "group, hostname, hosts, passwd, ssl, words");

    let configs = Api::<ConfigMap>::namespaced(client, namespace);
    configs.patch("words", &PatchParams::default(), &Patch::Merge(config("good night"))).await.unwrap();
    eventually("the file follows", || async {
        let greeting = inside("cat+/etc/words/greeting").await?;
        if greeting == "good night" { Ok(()) } else { Err(greeting) }
    })
    .await;
}

#[tokio::test]
async fn a_pod_whose_program_fails_says_so_and_is_started_again() {
    let Some(lab) = lab() else { return };
    let (client, namespace) = (client(lab, "region-b").await, "fails");
    create::<Namespace>(Api::all(client.clone()), json!({ "metadata": { "name": namespace } })).await;
    let pod = json!({ "metadata": { "name": "web" }, "spec": { "containers": [netexec(&["--no-such-flag"])] } });
    let pods = Api::<Pod>::namespaced(client, namespace);
    create(pods.clone(), pod).await;
    let said = eventually("the pod crashes twice", || async {
        let pod = pods.get("web").await.unwrap();
        let container = pod.status.and_then(|s| s.container_statuses?.pop()).ok_or("no status")?;
        let waiting = container.state.and_then(|s| s.waiting).ok_or("it does not wait")?;
        if container.restart_count > 0 { Ok(waiting) } else { Err("not started again".to_owned()) }
    })
    .await;
    assert_eq!((said.reason.as_deref(), said.message.as_deref()), (Some("CrashLoopBackOff"), Some("exit status 1")));
}

#[tokio::test]
async fn a_signed_update_is_answered_and_an_unsigned_one_refused() {
    let Some(lab) = lab() else { return };
    let dns = lab.dns();
    let zone = Name::from_ascii(&dns.zone).unwrap();
    let name = Name::from_ascii("region-a").unwrap().append_domain(&zone).unwrap();
    let record = Record::from_rdata(name.clone(), 5, RData::A("127.10.1.101".parse().unwrap()));

    // Ends both clients with the test.
    let mut tasks = JoinSet::new();
    let mut stranger = resolver(lab, None, &mut tasks);
    let refused = stranger.create(record.clone(), zone.clone()).await.unwrap();
    assert_ne!(refused.response_code, ResponseCode::NoError);

    let secret = STANDARD.decode(&dns.key.secret).unwrap();
    let key_name = Name::from_ascii(&dns.key.name).unwrap();
    let signer = TSigner::new(secret, TsigAlgorithm::HmacSha256, key_name, 300).unwrap();
    let mut owner = resolver(lab, Some(signer), &mut tasks);
    let done = owner.create(record.clone(), zone.clone()).await.unwrap();
    assert_eq!(done.response_code, ResponseCode::NoError);

    let found = stranger.query(name, DNSClass::IN, RecordType::A).await.unwrap();
    assert_eq!(found.answers.iter().map(|answer| answer.data.clone()).collect::<Vec<_>>(), [record.data]);
}

fn resolver(lab: &Lab, signer: Option<TSigner>, background_of: &mut JoinSet<()>) -> DnsClient<TokioRuntimeProvider> {
    let stream =
        UdpClientStream::builder(lab.dns().server.into(), TokioRuntimeProvider::default()).with_signer(signer).build();
    let (client, background) = DnsClient::from_sender(stream);
    background_of.spawn(background);
    client
}
