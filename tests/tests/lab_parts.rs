//! The parts of a lab, each seen to be real: control planes, Pods and load balancers, the DNS server. One lab serves all tests here.

use std::fmt::Debug;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const HOST: &str = "web.trust.example.test";
const PORT: u16 = 8443;

fn lab() -> Option<&'static Lab> {
    shared(Path::new(env!("CARGO_BIN_EXE_lab")))
}

/// A client of one cluster, by its context in the kubeconfig with all of them.
async fn client(lab: &Lab, context: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(lab.kubeconfig()).unwrap();
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
}

/// Asks until the answer is there; what was there instead is shown when patience ends.
async fn eventually<T, F: Future<Output = Result<T, String>>>(what: &str, ask: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(instead) => assert!(Instant::now() < deadline, "{what}: {instead}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
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
            let state = pod.status.and_then(|s| s.container_statuses?.pop()?.state?.waiting).ok_or("it does not wait")?;
            state.message.ok_or_else(|| "it does not say for what".to_owned())
        });
        assert_eq!(waits.await, "not found: secret web-tls");

        let (authority, leaf) = certificate(&client, namespace).await;
        let services = Api::<Service>::namespaced(client.clone(), namespace);
        let address = eventually("the load balancer has an address", || async {
            let status = services.get("web").await.unwrap().status;
            let ingress = status.and_then(|s| s.load_balancer?.ingress?.pop()).ok_or("no ingress")?;
            ingress.ip.ok_or_else(|| "no address".to_owned())
        })
        .await;
        assert!(address.starts_with(&cluster.load_balancers), "{address} is not one of {}", cluster.name);
        let at = SocketAddr::from_str(&format!("{address}:{PORT}")).unwrap();
        let (host, presented) = eventually("it answers", || async { ask(at, &authority) }).await;
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
    let container = json!({
        "name": "web",
        "image": "registry.k8s.io/e2e-test-images/agnhost:2.56",
        "args": [
            "netexec", format!("--http-port={PORT}"), "--tls-cert-file=/etc/trust/tls.crt", "--tls-private-key-file=/etc/trust/tls.key"
        ],
        "ports": [{ "name": "https", "containerPort": PORT }],
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": "https", "scheme": "HTTPS" } },
        "volumeMounts": [{ "name": "tls", "mountPath": "/etc/trust" }]
    });
    let pod = json!({ "containers": [container], "volumes": [{ "name": "tls", "secret": { "secretName": "web-tls" } }] });
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

async fn create<K: Clone + Debug + serde::Serialize + DeserializeOwned>(api: Api<K>, value: Value) {
    api.create(&PostParams::default(), &object(value)).await.unwrap();
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
fn ask(at: SocketAddr, authority: &CertificateDer<'static>) -> Result<(String, CertificateDer<'static>), String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from(HOST).unwrap()).unwrap();
    let exchange = || -> std::io::Result<(String, CertificateDer<'static>)> {
        let socket = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut stream = rustls::StreamOwned::new(session, socket);
        write!(stream, "GET /hostname HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let leaf = stream.conn.peer_certificates().unwrap()[0].clone().into_owned();
        Ok((answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned(), leaf))
    };
    exchange().map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_signed_update_is_answered_and_an_unsigned_one_refused() {
    let Some(lab) = lab() else { return };
    let dns = lab.dns();
    let zone = Name::from_ascii(&dns.zone).unwrap();
    let name = Name::from_ascii("region-a").unwrap().append_domain(&zone).unwrap();
    let record = Record::from_rdata(name.clone(), 5, RData::A("127.10.1.101".parse().unwrap()));

    let mut stranger = resolver(lab, None).await;
    let refused = stranger.create(record.clone(), zone.clone()).await.unwrap();
    assert_ne!(refused.response_code, ResponseCode::NoError);

    let secret = STANDARD.decode(&dns.key.secret).unwrap();
    let key_name = Name::from_ascii(&dns.key.name).unwrap();
    let signer = TSigner::new(secret, TsigAlgorithm::HmacSha256, key_name, 300).unwrap();
    let mut owner = resolver(lab, Some(signer)).await;
    let done = owner.create(record.clone(), zone.clone()).await.unwrap();
    assert_eq!(done.response_code, ResponseCode::NoError);

    let found = stranger.query(name, DNSClass::IN, RecordType::A).await.unwrap();
    assert_eq!(found.answers.iter().map(|answer| answer.data.clone()).collect::<Vec<_>>(), [record.data]);
}

async fn resolver(lab: &Lab, signer: Option<TSigner>) -> DnsClient<TokioRuntimeProvider> {
    let stream = UdpClientStream::builder(lab.dns().server.into(), TokioRuntimeProvider::default()).with_signer(signer).build();
    let (client, background) = DnsClient::from_sender(stream);
    // The runtime of the test ends it.
    drop(tokio::task::spawn(background));
    client
}
