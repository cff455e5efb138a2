//! Where a request goes: the parts of its URL, and the addresses to which its connection may go.
//!
//! The name is resolved once. What comes out of here are addresses that were checked, and nothing resolves the name again: a name
//! that leads elsewhere a moment later changes nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use rustls::pki_types::ServerName;
use steps_sdk::host::HttpError;
use url::{Host, Position, Url};

use super::address::{Standing, standing};

/// Addresses of one name that are tried at most.
const ADDRESSES_MAX: usize = 8;

/// Finds the addresses of a host name.
pub(super) type Resolve = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The machine's resolver, its hosts file included.
pub(super) fn system_resolver() -> Resolve {
    Arc::new(|host| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// A URL that can be called.
#[derive(Debug)]
pub(super) struct Target {
    host: Host<String>,
    port: u16,
    pub(super) is_tls: bool,
    /// As the `host` header has it.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
}

impl Target {
    pub(super) fn read(text: &str) -> Result<Target, HttpError> {
        let other = |reason: String| HttpError::Other(format!("`{text}` cannot be called: {reason}"));
        let url = Url::parse(text).map_err(|e| other(e.to_string()))?;
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            scheme => return Err(other(format!("`{scheme}` is neither `http` nor `https`"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpError::Other(
                "a URL may not hold a user name or password: use `inject` in the grant".into(),
            ));
        }
        // The parser has read every notation of an address (`0x7f.1`, `2130706433`, `[::ffff:7f00:1]`) as the address that it is.
        let host = url.host().ok_or_else(|| other("it names no host".into()))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| other("it names no port".into()))?;
        Ok(Target {
            host,
            port,
            is_tls,
            authority: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            path: url[Position::BeforePath..Position::AfterQuery].to_owned(),
        })
    }

    /// As messages name it.
    pub(super) fn host(&self) -> String {
        self.host.to_string()
    }

    /// The name for which the server's certificate must be valid.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, HttpError> {
        let name = match &self.host {
            Host::Domain(name) => {
                return ServerName::try_from(name.trim_end_matches('.').to_owned())
                    .map_err(|_| HttpError::Tls(format!("`{name}` is not a name that a certificate can be for")));
            }
            Host::Ipv4(v4) => IpAddr::V4(*v4),
            Host::Ipv6(v6) => IpAddr::V6(*v6),
        };
        Ok(ServerName::from(name))
    }

    /// Where the connection may go, in the resolver's order.
    pub(super) async fn addresses(&self, resolve: &Resolve, private: bool) -> Result<Vec<SocketAddr>, HttpError> {
        let host = self.host();
        let found = match &self.host {
            Host::Ipv4(v4) => vec![IpAddr::V4(*v4)],
            Host::Ipv6(v6) => vec![IpAddr::V6(*v6)],
            Host::Domain(name) => resolve(name.clone())
                .await
                .map_err(|e| HttpError::Dns(format!("this machine finds no address of {host}: {e}")))?,
        };
        let mut allowed: Vec<SocketAddr> = Vec::new();
        let mut refused = None;
        for address in found {
            match self.refusal(address, private) {
                None => allowed.push(SocketAddr::new(address, self.port)),
                Some(reason) => refused = refused.or(Some(reason)),
            }
        }
        allowed.dedup();
        allowed.truncate(ADDRESSES_MAX);
        match (allowed.is_empty(), refused) {
            (false, _) => Ok(allowed),
            (true, Some(reason)) => Err(HttpError::NotGranted(reason)),
            (true, None) => Err(HttpError::Dns(format!("{host} has no address"))),
        }
    }

    /// Why the connection may not go there.
    fn refusal(&self, address: IpAddr, private: bool) -> Option<String> {
        let is_literal = !matches!(self.host, Host::Domain(_));
        let leads = if is_literal { address.to_string() } else { format!("{} leads to {address}, which", self.host) };
        match standing(address) {
            Standing::Public => None,
            Standing::Special(_) if private => None,
            Standing::ByAddressOnly(_) if private && is_literal => None,
            Standing::Special(what) => {
                Some(format!("{leads} is {what}; write `private=#true` in the grant of this origin if that is meant"))
            }
            Standing::ByAddressOnly(what) => Some(format!(
                "{leads} is {what}; if that is meant, write the address itself as the grant's origin, with `private=#true`"
            )),
            Standing::Never(what) => Some(format!("{leads} is {what}, and no server has that")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(addresses: &[&str]) -> Resolve {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(move |_| {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        })
    }

    async fn allowed(url: &str, found: &[&str], private: bool) -> Result<Vec<String>, HttpError> {
        let addresses = Target::read(url)?.addresses(&resolver(found), private).await?;
        Ok(addresses.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn every_notation_of_a_special_address_is_refused() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "１２７.０.０.１",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:0:0:1]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[2002:7f00:1::]",
            "10.0.0.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "[::ffff:169.254.169.254]",
            "[fd00:ec2::254]",
            "0",
            "0.0.0.0",
            "[::]",
            "[fe80::1]",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            let refused = allowed(&format!("http://{host}/"), &[], false).await;
            assert!(matches!(&refused, Err(HttpError::NotGranted(_))), "{host}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn a_name_goes_only_to_those_of_its_addresses_that_may_be_reached() {
        let url = "https://api.example/";
        assert_eq!(allowed(url, &["1.1.1.1", "127.0.0.1", "10.0.0.1"], false).await.unwrap(), ["1.1.1.1:443"]);
        let refused = allowed(url, &["10.0.0.7", "::1"], false).await.unwrap_err().to_string();
        assert!(refused.contains("api.example leads to 10.0.0.7, which is a private address"), "{refused}");
        assert!(refused.contains("`private=#true`"), "{refused}");
        assert_eq!(allowed(url, &["10.0.0.7", "::1"], true).await.unwrap(), ["10.0.0.7:443", "[::1]:443"]);
    }

    #[tokio::test]
    async fn a_metadata_service_is_reached_only_by_its_address_in_the_grant() {
        let by_name = allowed("http://metadata.example/", &["169.254.169.254"], true).await.unwrap_err().to_string();
        assert!(by_name.contains("write the address itself"), "{by_name}");
        assert_eq!(allowed("http://169.254.169.254/", &[], true).await.unwrap(), ["169.254.169.254:80"]);
        for never in ["http://0.0.0.0/", "http://[::]/", "http://224.0.0.1/"] {
            assert!(matches!(allowed(never, &[], true).await, Err(HttpError::NotGranted(_))), "{never}");
        }
    }

    #[tokio::test]
    async fn a_url_that_cannot_be_called_says_why() {
        for (url, words) in [
            ("ftp://a.example/", "neither `http` nor `https`"),
            ("file:///etc/passwd", "neither"),
            ("https://user:word@a.example/", "inject"),
            ("https://user@a.example/", "inject"),
            ("nonsense", "cannot be called"),
            ("http://", "cannot be called"),
            ("http://a.example:99999/", "port"),
            ("http://[fe80::1%25eth0]/", "cannot be called"),
        ] {
            let error = Target::read(url).unwrap_err();
            assert!(matches!(error, HttpError::Other(_)) && error.to_string().contains(words), "{url}: {error}");
        }
        let none = allowed("http://a.example/", &[], false).await;
        assert_eq!(none, Err(HttpError::Dns("a.example has no address".into())));
    }

    #[test]
    fn what_is_sent_is_path_and_query_without_the_fragment() {
        let target = Target::read("https://A.Example:443/v1/%7Ea?b=c#d").unwrap();
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("a.example", "/v1/%7Ea?b=c"));
        let target = Target::read("http://[::1]:8080").unwrap();
        assert_eq!((target.authority.as_str(), target.path.as_str(), target.is_tls), ("[::1]:8080", "/", false));
    }
}
