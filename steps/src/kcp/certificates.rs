//! The certificates of one etcd as cert-manager objects: who may call whom, under which names, for how long.
//!
//! They stand beside the Etcd because their names follow from its name and namespace; who signs them is a matter of the cluster and
//! comes from elsewhere. Peers have a root of their own, so that a client's certificate lets nobody into the ring of members.

use serde_json::json;
use steps_sdk::Value;

use super::parts::Keys;

/// Ten years, and a new certificate for the old key a month before.
const CA_VALID: &str = "87600h0m0s";
const CA_RENEW_BEFORE: &str = "720h0m0s";

/// What the names of an etcd's certificates are made of.
pub struct Names<'a> {
    pub namespace: &'a str,
    pub etcd: &'a str,
    pub cluster_domain: &'a str,
    /// Names of Secrets and objects begin with this.
    pub prefix: &'a str,
}

impl Names<'_> {
    pub fn secret(&self, of: &str) -> String {
        format!("{}-{of}-tls", self.prefix)
    }

    /// The Secrets that the Etcd mounts.
    pub fn secrets(&self) -> [String; 5] {
        ["server", "client", "peer", "backup-restore-server", "backup-restore-client"].map(|of| self.secret(of))
    }

    /// A Service under every name by which Pods call it.
    fn service(&self, name: &str) -> [String; 4] {
        let (namespace, domain) = (self.namespace, self.cluster_domain);
        [
            name.to_owned(),
            format!("{name}.{namespace}"),
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}.svc.{domain}"),
        ]
    }

    /// Issuers and certificates; `issuer` signs all but the peers'.
    pub fn objects(&self, issuer: &Value, keys: Keys) -> Vec<Value> {
        let etcd = self.etcd;
        let local = format!("{etcd}-local");
        let client = self.service(&format!("{etcd}-client"));
        let peer = self.service(&format!("{etcd}-peer"));
        let members = peer.clone().map(|name| format!("*.{name}"));
        let own_root = self.issuer_ref("peer-root");
        let own_ca = self.issuer_ref("peer-ca");
        let server = [std::slice::from_ref(&local), &client[..], &members[..]].concat();
        let ring = [peer, members].concat();
        let beside = [local, "localhost".to_owned()];
        vec![
            self.object("Issuer", "peer-root", json!({ "selfSigned": {} })),
            self.ca("peer-ca", &own_root, keys),
            self.object("Issuer", "peer-ca", json!({ "ca": { "secretName": self.secret("peer-ca") } })),
            self.leaf("server", issuer, keys, &BOTH, &server, false),
            self.leaf("client", issuer, keys, &["client auth"], &[], false),
            self.leaf("peer", &own_ca, keys, &BOTH, &ring, false),
            // Clients compare an address with addresses, never with DNS names.
            self.leaf("backup-restore-server", issuer, keys, &BOTH, &beside, true),
            self.leaf("backup-restore-client", issuer, keys, &["client auth"], &[], false),
        ]
    }

    fn issuer_ref(&self, of: &str) -> Value {
        json!({ "group": "cert-manager.io", "kind": "Issuer", "name": format!("{}-{of}", self.prefix) })
    }

    fn ca(&self, of: &str, issuer: &Value, keys: Keys) -> Value {
        let spec = json!({
            "isCA": true, "commonName": format!("{}-{of}", self.etcd), "secretName": self.secret(of), "issuerRef": issuer,
            "duration": CA_VALID, "renewBefore": CA_RENEW_BEFORE, "privateKey": keys.kept(),
            "usages": ["cert sign", "crl sign"],
        });
        self.object("Certificate", of, spec)
    }

    fn leaf(&self, of: &str, issuer: &Value, keys: Keys, usages: &[&str], dns: &[String], is_local: bool) -> Value {
        let all = [&["digital signature", "key encipherment"], usages].concat();
        let mut spec = json!({
            "commonName": format!("{}-{of}", self.etcd), "secretName": self.secret(of), "issuerRef": issuer,
            "privateKey": keys.key(), "usages": all,
        });
        if !dns.is_empty() {
            spec["dnsNames"] = json!(dns);
        }
        if is_local {
            spec["ipAddresses"] = json!(["127.0.0.1"]);
        }
        self.object("Certificate", of, spec)
    }

    fn object(&self, kind: &str, of: &str, spec: Value) -> Value {
        json!({ "apiVersion": "cert-manager.io/v1", "kind": kind, "spec": spec,
                "metadata": { "name": format!("{}-{of}", self.prefix), "namespace": self.namespace } })
    }
}

/// Members are clients of each other, and etcd-druid calls with the server's own pair.
const BOTH: [&str; 2] = ["server auth", "client auth"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_has_its_names_and_the_ca_of_peers_keeps_its_key() {
        let names = Names { namespace: "kcp", etcd: "root", cluster_domain: "cluster.local", prefix: "etcd" };
        let issuer = json!({ "name": "etcd-ca" });
        let objects = names.objects(&issuer, Keys::Ecdsa);
        let spec = |name: &str| {
            let found =
                objects.iter().find(|object| object["kind"] == "Certificate" && object["metadata"]["name"] == name);
            found.unwrap()["spec"].clone()
        };
        assert_eq!(
            spec("etcd-server")["dnsNames"],
            json!([
                "root-local",
                "root-client",
                "root-client.kcp",
                "root-client.kcp.svc",
                "root-client.kcp.svc.cluster.local",
                "*.root-peer",
                "*.root-peer.kcp",
                "*.root-peer.kcp.svc",
                "*.root-peer.kcp.svc.cluster.local"
            ])
        );
        assert_eq!(spec("etcd-backup-restore-server")["ipAddresses"], json!(["127.0.0.1"]));
        assert_eq!(spec("etcd-backup-restore-server")["dnsNames"], json!(["root-local", "localhost"]));
        let ca = spec("etcd-peer-ca");
        assert_eq!((&ca["duration"], &ca["privateKey"]["rotationPolicy"]), (&json!("87600h0m0s"), &json!("Never")));
        assert_eq!(spec("etcd-peer")["issuerRef"]["name"], "etcd-peer-ca");
        assert!(["etcd-server", "etcd-client"].iter().all(|name| spec(name)["issuerRef"] == issuer));
    }
}
