//! The certificates of a control plane: its own authority, the API server's certificate, and one for each client. All keys are
//! ECDSA, which takes a millisecond where RSA takes seconds.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use super::error::LabError;
use super::record::write_private;

/// The files of one control plane, by their directory.
#[derive(Clone, Debug)]
pub struct Certificates {
    dir: PathBuf,
}

/// Who asks the API server.
#[derive(Clone, Copy, Debug)]
pub enum Client {
    /// May do everything: the person with the kubeconfig, and the agent.
    Admin,
    ControllerManager,
}

impl Client {
    pub fn file(self) -> &'static str {
        match self {
            Client::Admin => "admin",
            Client::ControllerManager => "controller-manager",
        }
    }

    /// Common name and organization, which the API server reads as user and group.
    fn subject(self) -> (&'static str, Option<&'static str>) {
        match self {
            Client::Admin => ("admin", Some("system:masters")),
            Client::ControllerManager => ("system:kube-controller-manager", None),
        }
    }
}

impl Certificates {
    /// Makes all of them for an API server at an address.
    pub fn make(dir: &Path, cluster: &str, address: IpAddr) -> Result<Certificates, LabError> {
        fs::create_dir_all(dir).map_err(LabError::file(format!("make {}", dir.display())))?;
        let made = Certificates { dir: dir.to_owned() };
        let authority = authority(cluster)?;
        write_private(&made.authority(), &authority.pem())?;

        let names = [address.to_string(), "localhost".into(), "kubernetes.default.svc".into()];
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name = name("kube-apiserver", None);
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        made.sign("apiserver", server, &authority)?;

        for client in [Client::Admin, Client::ControllerManager] {
            let mut params = CertificateParams::default();
            let (common, organization) = client.subject();
            params.distinguished_name = name(common, organization);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            made.sign(client.file(), params, &authority)?;
        }
        let tokens = KeyPair::generate()?;
        write_private(&made.token_key(), &tokens.serialize_pem())?;
        write_private(&made.token_key_public(), &tokens.public_key_pem())?;
        Ok(made)
    }

    /// Those that are there already.
    pub fn of(dir: &Path) -> Certificates {
        Certificates { dir: dir.to_owned() }
    }

    pub fn authority(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    pub fn certificate(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.crt"))
    }

    pub fn key(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }

    /// What tokens of service accounts are signed with.
    pub fn token_key(&self) -> PathBuf {
        self.key("service-accounts")
    }

    /// What tokens of service accounts are verified with.
    pub fn token_key_public(&self) -> PathBuf {
        self.dir.join("service-accounts.pub")
    }

    fn sign(
        &self,
        file: &str,
        mut params: CertificateParams,
        by: &CertifiedIssuer<'_, KeyPair>,
    ) -> Result<(), LabError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, by)?;
        write_private(&self.certificate(file), &certificate.pem())?;
        write_private(&self.key(file), &key.serialize_pem())
    }
}

fn authority(cluster: &str) -> Result<CertifiedIssuer<'static, KeyPair>, LabError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&format!("{cluster} lab authority"), None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn name(common: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}
