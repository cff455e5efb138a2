//! What a file lets a component do through the host, what a kind asks for, and whether a request is within the grants.
//!
//! These are the only places that compare: `check` compares what is asked with what is granted, the host compares each request.
//! Nothing is granted that is not written.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::value::{ClusterName, Secret};

/// Everything that one `use` node grants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpGrant>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubernetes: Vec<KubernetesGrant>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<DnsGrant>,
}

/// What one call of a component may use. Raised only in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuestLimits {
    /// Of all its linear memories together.
    pub memory_bytes: u64,
    /// From the call to its answer, waits included; the step's own timeout counts too.
    pub wall_ms: u64,
    /// Of the guest's own code.
    pub cpu_ms: u64,
}

impl Default for GuestLimits {
    fn default() -> Self {
        GuestLimits { memory_bytes: 64 << 20, wall_ms: 5 * 60_000, cpu_ms: 30_000 }
    }
}

/// Requests to one origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpGrant {
    /// `https://api.example.io`, `http://10.0.0.1:8080`: scheme, host and, unless it is the scheme's own, port. Lower case.
    pub origin: String,
    /// Upper case. What the file leaves out is `GET` and `HEAD`.
    pub methods: Vec<String>,
    /// `/v1/zones/*`: one `*` at the end stands for any rest; without it the path must be the same. Several: any of them. None: any path.
    pub paths: Vec<String>,
    /// Loopback, private and link-local addresses are refused unless the grant says `private=#true`.
    pub private: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inject: Option<Inject>,
}

/// A secret that the host puts into a header of each request under this grant. The guest never has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inject {
    pub secret: Secret,
    /// Lower case.
    pub header: String,
    /// `Bearer {}`: the one `{}` is the secret.
    pub format: String,
}

/// Verbs on kinds of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesGrant {
    pub cluster: ClusterName,
    /// `None`: objects of every namespace, and those without one.
    pub namespace: Option<String>,
    pub verbs: Vec<KubernetesVerb>,
    /// `Service`, or `Certificate.cert-manager.io` to name the group.
    pub kinds: Vec<String>,
    /// None: any name.
    pub names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KubernetesVerb {
    Get,
    List,
    /// A wait on an object.
    Watch,
    /// Server-side apply, which creates or changes.
    Apply,
    Delete,
}

/// Questions about names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsGrant {
    /// `example.io` and every name below it; `*` alone: any name.
    pub domain: String,
}

/// One thing that a kind needs from the host, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub what: Permission,
    /// Shown to the person who grants.
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    Http {
        /// `None`: the file decides which server.
        origin: Option<String>,
        methods: Vec<String>,
        path: Option<String>,
    },
    Kubernetes {
        verbs: Vec<KubernetesVerb>,
        kinds: Vec<String>,
    },
    Dns {
        /// None: any name.
        domains: Vec<String>,
    },
}

/// One grant of a file, by its place in [`Grants`]: what a report of used and unused grants counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantIndex {
    Http(usize),
    Kubernetes(usize),
    Dns(usize),
}

/// An object that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectRequest<'a> {
    pub cluster: &'a str,
    pub verb: KubernetesVerb,
    /// `apps/v1`, `v1`.
    pub api_version: &'a str,
    pub kind: &'a str,
    pub namespace: Option<&'a str>,
    /// `None` for a list.
    pub name: Option<&'a str>,
}

impl Grants {
    pub fn is_empty(&self) -> bool {
        self.http.is_empty() && self.kubernetes.is_empty() && self.dns.is_empty()
    }

    /// Every grant in the order of the file, for reports.
    pub fn indices(&self) -> impl Iterator<Item = GrantIndex> {
        let http = (0..self.http.len()).map(GrantIndex::Http);
        let kubernetes = (0..self.kubernetes.len()).map(GrantIndex::Kubernetes);
        http.chain(kubernetes).chain((0..self.dns.len()).map(GrantIndex::Dns))
    }

    /// The words of one grant.
    pub fn words(&self, index: GrantIndex) -> String {
        match index {
            GrantIndex::Http(i) => self.http.get(i).map(HttpGrant::to_string),
            GrantIndex::Kubernetes(i) => self.kubernetes.get(i).map(KubernetesGrant::to_string),
            GrantIndex::Dns(i) => self.dns.get(i).map(DnsGrant::to_string),
        }
        .unwrap_or_default()
    }

    /// The first grant that a request is within. `origin` and `path` are those of the normalised URL that will be sent: `path` starts
    /// with `/`, has no `.` or `..` segment and no query.
    pub fn http(&self, method: &str, origin: &str, path: &str) -> Option<(GrantIndex, &HttpGrant)> {
        let within = |grant: &&HttpGrant| {
            grant.origin == origin
                && grant.methods.iter().any(|granted| granted == method)
                && (grant.paths.is_empty() || grant.paths.iter().any(|pattern| path_matches(pattern, path)))
        };
        let (i, grant) = self.http.iter().enumerate().find(|(_, grant)| within(grant))?;
        Some((GrantIndex::Http(i), grant))
    }

    pub fn kubernetes(&self, request: &ObjectRequest<'_>) -> Option<GrantIndex> {
        self.kubernetes.iter().position(|grant| grant.covers(request)).map(GrantIndex::Kubernetes)
    }

    pub fn dns(&self, name: &str) -> Option<GrantIndex> {
        self.dns.iter().position(|grant| grant.covers(name)).map(GrantIndex::Dns)
    }

    /// What of an ask is granted nowhere, in words; `None`: all of it is granted.
    pub fn missing(&self, ask: &Permission) -> Option<String> {
        match ask {
            Permission::Http { origin, methods, path } => {
                self.missing_http(origin.as_deref(), methods, path.as_deref())
            }
            Permission::Kubernetes { verbs, kinds } => self.missing_kubernetes(verbs, kinds),
            Permission::Dns { domains } if domains.is_empty() => {
                self.dns.is_empty().then(|| "questions about names (`dns`)".to_owned())
            }
            Permission::Dns { domains } => {
                let odd: Vec<&str> =
                    domains.iter().map(String::as_str).filter(|name| self.dns(name).is_none()).collect();
                (!odd.is_empty()).then(|| format!("questions about {}", odd.join(", ")))
            }
        }
    }

    fn missing_http(&self, origin: Option<&str>, methods: &[String], path: Option<&str>) -> Option<String> {
        let granted = |method: &&String| {
            self.http.iter().any(|grant| {
                origin.is_none_or(|origin| grant.origin == origin)
                    && grant.methods.contains(method)
                    && path
                        .is_none_or(|path| grant.paths.is_empty() || grant.paths.iter().any(|p| path_matches(p, path)))
            })
        };
        let odd: Vec<&str> = methods.iter().filter(|method| !granted(method)).map(String::as_str).collect();
        if odd.is_empty() {
            return None;
        }
        Some(format!(
            "{} {}{}",
            odd.join(", "),
            origin.unwrap_or("of a server of your choice"),
            path.unwrap_or_default()
        ))
    }

    fn missing_kubernetes(&self, verbs: &[KubernetesVerb], kinds: &[String]) -> Option<String> {
        let mut odd = Vec::new();
        for kind in kinds {
            let missing: Vec<&str> = verbs
                .iter()
                .filter(|verb| !self.kubernetes.iter().any(|g| g.verbs.contains(verb) && g.grants_kind(kind)))
                .map(|verb| verb.word())
                .collect();
            if !missing.is_empty() {
                odd.push(format!("{} {kind}", missing.join(", ")));
            }
        }
        (!odd.is_empty()).then(|| odd.join("; "))
    }
}

impl KubernetesGrant {
    /// Whether an ask for this kind is granted: one without a group grants the kind of every group.
    fn grants_kind(&self, asked: &str) -> bool {
        let bare = asked.split('.').next();
        self.kinds.iter().any(|granted| granted == asked || Some(granted.as_str()) == bare)
    }

    fn covers(&self, request: &ObjectRequest<'_>) -> bool {
        let group = request.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let is_kind = |kind: &String| match kind.split_once('.') {
            Some((name, granted)) => name == request.kind && granted == group,
            None => kind == request.kind,
        };
        self.cluster.0 == request.cluster
            && self.verbs.contains(&request.verb)
            && self.kinds.iter().any(is_kind)
            && self.namespace.as_deref().is_none_or(|namespace| request.namespace == Some(namespace))
            && (self.names.is_empty()
                || request.name.is_some_and(|name| self.names.iter().any(|granted| granted == name)))
    }
}

impl KubernetesVerb {
    pub const ALL: [KubernetesVerb; 5] = [Self::Get, Self::List, Self::Watch, Self::Apply, Self::Delete];

    /// As it is written in a file.
    pub fn word(self) -> &'static str {
        match self {
            KubernetesVerb::Get => "get",
            KubernetesVerb::List => "list",
            KubernetesVerb::Watch => "watch",
            KubernetesVerb::Apply => "apply",
            KubernetesVerb::Delete => "delete",
        }
    }

    pub fn by_word(word: &str) -> Option<KubernetesVerb> {
        Self::ALL.into_iter().find(|verb| verb.word() == word)
    }
}

impl DnsGrant {
    fn covers(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let domain = self.domain.trim_end_matches('.').to_ascii_lowercase();
        domain == "*" || name == domain || name.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
    }
}

/// Whether what is sent to this origin can be read on its way: plain `http` to anything but the machine itself. An origin that is
/// computed counts by what is written of it.
pub fn is_in_the_clear(origin: &str) -> bool {
    let Some(authority) = origin.strip_prefix("http://") else { return false };
    let host = match authority.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_own_name = host == "localhost" || host.ends_with(".localhost");
    !is_own_name && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning),
        None => path == pattern,
    }
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http {} {}", self.methods.join(" "), self.origin)?;
        match self.paths.as_slice() {
            [] => {}
            [path] => f.write_str(path)?,
            paths => write!(f, " at {}", paths.join(", "))?,
        }
        if let Some(inject) = &self.inject {
            write!(f, ", with a secret in `{}`", inject.header)?;
            if is_in_the_clear(&self.origin) {
                f.write_str(" in the clear")?;
            }
        }
        if self.private {
            f.write_str(", private addresses too")?;
        }
        Ok(())
    }
}

impl fmt::Display for KubernetesGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verbs: Vec<&str> = self.verbs.iter().map(|verb| verb.word()).collect();
        write!(f, "k8s {} {} on {}", verbs.join(" "), self.kinds.join(", "), self.cluster)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}")?,
            None => f.write_str(" in every namespace")?,
        }
        if !self.names.is_empty() {
            write!(f, ", only {}", self.names.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for DnsGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.domain.as_str() {
            "*" => f.write_str("dns any name"),
            domain => write!(f, "dns {domain} and below"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> Grants {
        Grants {
            http: vec![HttpGrant {
                origin: "https://api.cdn.example".into(),
                methods: vec!["GET".into(), "PUT".into()],
                paths: vec!["/v1/zones/*".into(), "/health".into()],
                private: false,
                inject: None,
            }],
            kubernetes: vec![KubernetesGrant {
                cluster: ClusterName("hub".into()),
                namespace: Some("kcp".into()),
                verbs: vec![KubernetesVerb::Get, KubernetesVerb::List],
                kinds: vec!["Service".into(), "Certificate.cert-manager.io".into()],
                names: Vec::new(),
            }],
            dns: vec![DnsGrant { domain: "example.io".into() }],
        }
    }

    #[test]
    fn plain_http_can_be_read_on_its_way_unless_it_stays_on_the_machine() {
        for origin in ["http://api.example", "http://10.0.0.1:8080", "http://[2001:db8::1]:80", "http://${inputs.host}"]
        {
            assert!(is_in_the_clear(origin), "{origin}");
        }
        for origin in [
            "https://api.example",
            "http://localhost",
            "http://api.localhost:8080",
            "http://127.0.0.1:8080",
            "http://127.8.8.8",
            "http://[::1]:8080",
            "http://127.0.0.1:${inputs.port}",
        ] {
            assert!(!is_in_the_clear(origin), "{origin}");
        }
        let inject =
            Inject { secret: Secret::Env { name: "TOKEN".into() }, header: "x-key".into(), format: "{}".into() };
        let grant = HttpGrant { origin: "http://a.example".into(), inject: Some(inject), ..grants().http.remove(0) };
        assert!(grant.to_string().ends_with(", with a secret in `x-key` in the clear"), "{grant}");
    }

    #[test]
    fn a_request_is_granted_only_when_every_part_of_it_is() {
        let grants = grants();
        let http = |method, origin, path| grants.http(method, origin, path).is_some();
        assert!(http("PUT", "https://api.cdn.example", "/v1/zones/7"));
        assert!(http("GET", "https://api.cdn.example", "/health"));
        for (method, origin, path) in [
            ("DELETE", "https://api.cdn.example", "/v1/zones/7"),
            ("get", "https://api.cdn.example", "/health"),
            ("GET", "http://api.cdn.example", "/health"),
            ("GET", "https://api.cdn.example:8443", "/health"),
            ("GET", "https://api.cdn.example.evil.example", "/health"),
            ("GET", "https://api.cdn.example", "/healthy"),
            ("GET", "https://api.cdn.example", "/v1/zones"),
        ] {
            assert!(!http(method, origin, path), "{method} {origin}{path}");
        }
        let service = ObjectRequest {
            cluster: "hub",
            verb: KubernetesVerb::Get,
            api_version: "v1",
            kind: "Service",
            namespace: Some("kcp"),
            name: Some("lb"),
        };
        assert!(grants.kubernetes(&service).is_some());
        assert!(
            grants
                .kubernetes(&ObjectRequest { api_version: "cert-manager.io/v1", kind: "Certificate", ..service })
                .is_some()
        );
        for refused in [
            ObjectRequest { cluster: "eu", ..service },
            ObjectRequest { verb: KubernetesVerb::Apply, ..service },
            ObjectRequest { kind: "Secret", ..service },
            ObjectRequest { namespace: Some("kube-system"), ..service },
            ObjectRequest { namespace: None, ..service },
            ObjectRequest { api_version: "other.io/v1", kind: "Certificate", ..service },
        ] {
            assert!(grants.kubernetes(&refused).is_none(), "{refused:?}");
        }
        for (name, granted) in [
            ("example.io", true),
            ("A.Example.io.", true),
            ("badexample.io", false),
            ("example.io.evil.example", false),
        ] {
            assert_eq!(grants.dns(name).is_some(), granted, "{name}");
        }
    }

    #[test]
    fn what_is_missing_is_said_in_words() {
        let grants = grants();
        let http = |methods: &[&str], path: &str| Permission::Http {
            origin: Some("https://api.cdn.example".into()),
            methods: methods.iter().map(|m| (*m).to_owned()).collect(),
            path: Some(path.into()),
        };
        assert_eq!(grants.missing(&http(&["GET", "PUT"], "/v1/zones/1")), None);
        assert_eq!(
            grants.missing(&http(&["GET", "DELETE"], "/health")).as_deref(),
            Some("DELETE https://api.cdn.example/health")
        );
        let ask = Permission::Kubernetes {
            verbs: vec![KubernetesVerb::Get, KubernetesVerb::Delete],
            kinds: vec!["Service".into(), "Pod".into()],
        };
        assert_eq!(grants.missing(&ask).as_deref(), Some("delete Service; get, delete Pod"));
        let of_group =
            |kind: &str| Permission::Kubernetes { verbs: vec![KubernetesVerb::Get], kinds: vec![kind.into()] };
        assert_eq!(grants.missing(&of_group("Service.v1.example")), None);
        assert_eq!(grants.missing(&of_group("Certificate")).as_deref(), Some("get Certificate"));
        assert!(Grants::default().missing(&Permission::Dns { domains: Vec::new() }).is_some());
    }
}
