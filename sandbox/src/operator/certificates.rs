//! cert-manager's Certificates and Issuers as the operator asks for them: kcp notes, section 2.4.

use serde_json::{Value, json};

use super::names::owned;

/// What a leaf certificate is for; who signs it follows from its authority.
pub struct Leaf<'a> {
    /// Name of the Certificate and of its Secret.
    pub name: String,
    pub common_name: String,
    pub organizations: &'a [&'a str],
    pub dns_names: Vec<String>,
    /// Name of the Issuer.
    pub authority: String,
    pub is_server: bool,
    /// What the person may have asked for differently: an entry of `certificateTemplates`.
    pub template: &'a Value,
}

/// A Certificate of ten years and, next to it, the Issuer that signs with it.
pub fn authority(owner: &Value, called: &str, issuer: Value, template: &Value) -> [Value; 2] {
    let spec = json!({
        "commonName": called,
        "secretName": called,
        "isCA": true,
        "duration": "87600h0m0s",
        "renewBefore": "720h0m0s",
        "privateKey": private_key(),
        "issuerRef": issuer,
    });
    [certificate(owner, called, spec, template), issuer_of(owner, called, called)]
}

/// An Issuer that signs with the pair in this Secret.
pub fn issuer_of(owner: &Value, called: &str, secret: &str) -> Value {
    owned(owner, "cert-manager.io/v1", "Issuer", called, json!({ "spec": { "ca": { "secretName": secret } } }))
}

/// A Certificate of one year.
pub fn leaf(owner: &Value, leaf: Leaf<'_>) -> Value {
    let usage = if leaf.is_server { "server auth" } else { "client auth" };
    let mut spec = json!({
        "commonName": leaf.common_name,
        "secretName": leaf.name,
        "duration": "8760h0m0s",
        "renewBefore": "168h0m0s",
        "privateKey": private_key(),
        "usages": [usage, "digital signature", "key encipherment"],
        "issuerRef": { "name": leaf.authority, "kind": "Issuer", "group": "cert-manager.io" },
    });
    if !leaf.organizations.is_empty() {
        spec["subject"] = json!({ "organizations": leaf.organizations });
    }
    if !leaf.dns_names.is_empty() {
        spec["dnsNames"] = leaf.dns_names.into();
    }
    certificate(owner, &leaf.name, spec, leaf.template)
}

fn private_key() -> Value {
    json!({ "algorithm": "RSA", "size": 4096, "rotationPolicy": "Never" })
}

fn certificate(owner: &Value, called: &str, mut spec: Value, template: &Value) -> Value {
    spec["secretTemplate"] = json!({ "labels": super::names::labels(owner) });
    merge(&mut spec, &template["spec"]);
    let mut made = owned(owner, "cert-manager.io/v1", "Certificate", called, json!({ "spec": spec }));
    for part in ["labels", "annotations"].into_iter().filter(|part| template["metadata"][part].is_object()) {
        overlay(&mut made["metadata"][part], &template["metadata"][part]);
    }
    made
}

/// Names are added to those that the operator knows of, unless the template names an issuer, too: then they take their place.
fn merge(spec: &mut Value, template: &Value) {
    let replaces = !template["issuerRef"].is_null();
    for (field, wanted) in template.as_object().into_iter().flatten() {
        match (field.as_str(), wanted) {
            ("dnsNames" | "ipAddresses", Value::Array(wanted)) => {
                let mut names = if replaces { Vec::new() } else { spec[field].as_array().cloned().unwrap_or_default() };
                for name in wanted {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
                spec[field] = names.into();
            }
            ("secretTemplate", wanted) => {
                for part in ["labels", "annotations"].into_iter().filter(|part| wanted[part].is_object()) {
                    overlay(&mut spec[field][part], &wanted[part]);
                }
            }
            (_, Value::Object(_)) => overlay(&mut spec[field], wanted),
            (_, wanted) => spec[field] = wanted.clone(),
        }
    }
}

/// The fields of an object over those of another.
fn overlay(under: &mut Value, over: &Value) {
    for (field, value) in over.as_object().into_iter().flatten() {
        under[field] = value.clone();
    }
}

/// Whether cert-manager says that a Certificate holds for what is asked now.
pub fn is_ready(certificate: &Value) -> bool {
    let conditions = certificate["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(template: Value) -> Value {
        let owner = json!({ "apiVersion": "operator.kcp.io/v1alpha1", "kind": "RootShard",
            "metadata": { "name": "root", "namespace": "n", "uid": "1" } });
        leaf(
            &owner,
            Leaf {
                name: "root-server".into(),
                common_name: "root-kcp".into(),
                organizations: &[],
                dns_names: vec!["localhost".into(), "root.example.com".into()],
                authority: "root-server-ca".into(),
                is_server: true,
                template: &template,
            },
        )
    }

    #[test]
    fn names_of_a_template_are_added_once() {
        let made = made(json!({ "spec": { "dnsNames": ["root.example.com", "other.example.com"] } }));
        assert_eq!(made["spec"]["dnsNames"], json!(["localhost", "root.example.com", "other.example.com"]));
        assert_eq!(made["spec"]["issuerRef"]["name"], "root-server-ca");
    }

    #[test]
    fn a_template_with_an_issuer_replaces_the_names() {
        let issuer = json!({ "name": "letsencrypt-prod", "kind": "ClusterIssuer" });
        let made = made(json!({ "metadata": { "annotations": { "a": "b" } },
            "spec": { "issuerRef": issuer, "dnsNames": ["api.example.com"] } }));
        assert_eq!(made["spec"]["dnsNames"], json!(["api.example.com"]));
        assert_eq!(made["spec"]["issuerRef"]["kind"], "ClusterIssuer");
        assert_eq!(made["metadata"]["annotations"]["a"], "b");
    }

    #[test]
    fn a_template_chooses_the_kind_of_key() {
        let made = made(json!({ "spec": { "privateKey": { "algorithm": "ECDSA", "size": 256 } } }));
        let key = json!({ "algorithm": "ECDSA", "size": 256, "rotationPolicy": "Never" });
        assert_eq!(made["spec"]["privateKey"], key);
        assert_eq!(made["spec"]["secretTemplate"]["labels"]["operator.kcp.io/rootshard"], "root");
    }
}
