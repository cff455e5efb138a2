//! What a failed handshake means: the family's one table, and the words for it.
//!
//! | what happened | code | class |
//! |---|---|---|
//! | no address, no connection, no answer in time | T410 | transient |
//! | the chain does not lead to the CA | T411 | permanent |
//! | the certificate is for other names | T412 | permanent |
//! | the certificate, or the CA, has ended or not begun | T413 | permanent |
//! | the handshake failed otherwise | T414 | transient |
//! | the inputs cannot be used | T415 | permanent |
//!
//! The step waits through all of them but the last: a certificate may be replaced while it waits. The class says what a retry after
//! the whole wait is worth.

use std::io;
use std::net::SocketAddr;

use rustls::CertificateError;
use steps_sdk::StepError;

use super::handshake::Shown;
use crate::pki::certificate::{Facts, rfc3339};

/// The failures of this family.
#[derive(Debug)]
pub enum Trouble {
    Inputs { reason: String, help: &'static str },
    Lookup { host: String, error: io::Error },
    Resolver { error: StepError },
    NoAddress { host: String, resolver: Option<String> },
    Unreachable { address: SocketAddr, error: io::Error },
    Silent { address: SocketAddr, seconds: u64 },
    NotTrusted { address: SocketAddr, name: String, reason: Box<CertificateError>, shown: Shown, cas: Vec<Facts> },
    CaEnded { ca: Box<Facts> },
    Handshake { address: SocketAddr, error: io::Error },
}

impl From<Trouble> for StepError {
    fn from(trouble: Trouble) -> StepError {
        let way = "see that the endpoint runs, and that name and port lead to it";
        match trouble {
            Trouble::Inputs { reason, help } => StepError::permanent("T415", reason).help(help).not_started(),
            Trouble::Lookup { host, error } => StepError::transient("T410", format!("the system's resolver finds no address of {host}")).caused_by(&error).help(way),
            Trouble::Resolver { error } => StepError::transient("T410", error.message).help(error.help.unwrap_or_else(|| way.to_owned())),
            Trouble::NoAddress { host, resolver } => {
                let at = resolver.map_or_else(|| "the system's resolver".to_owned(), |server| format!("the name server {server}"));
                StepError::transient("T410", format!("{at} knows no address of {host}")).help(way)
            }
            Trouble::Unreachable { address, error } => StepError::transient("T410", format!("cannot connect to {address}")).caused_by(&error).help(way),
            Trouble::Silent { address, seconds } => StepError::transient("T410", format!("{address} did not finish the handshake within {seconds} s")).help(way),
            Trouble::NotTrusted { address, name, reason, shown, cas } => not_trusted(address, &name, &reason, &shown, &cas),
            Trouble::CaEnded { ca } => StepError::permanent("T413", format!("the CA {} ended at {}", ca.subject, rfc3339(ca.not_after)))
                .help("issue the CA anew, and whatever it signed; some clients do not look at this date and would still connect"),
            Trouble::Handshake { address, error } => StepError::transient("T414", format!("the handshake with {address} failed")).caused_by(&error).help("see that a TLS server listens there, and its log"),
        }
    }
}

fn not_trusted(
    address: SocketAddr,
    name: &str,
    reason: &CertificateError,
    shown: &[Facts],
    cas: &[Facts],
) -> StepError {
    let error = match reason {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            StepError::permanent("T412", format!("the certificate of {address} is not valid for {name}"))
                .help("issue it with this name among its `dns` or `ip`, or set `server-name` to the one that is meant")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            StepError::permanent("T413", format!("the certificate of {address} has ended"))
                .help("issue it anew, and see that the endpoint has taken up the new one")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            StepError::permanent("T413", format!("the certificate of {address} is not valid yet"))
                .help("compare the clocks of the machine that issued it and of this one")
        }
        other => StepError::permanent(
            "T411",
            format!("the certificate of {address} does not lead to the CA that was given: {}", matching_ca(shown, cas)),
        )
        .cause(other)
        .help("pass the CA that has issued the certificate, or issue the certificate from the one that is given"),
    };
    shown.iter().fold(error, |error, facts| error.cause(presented(facts)))
}

/// Which CA would have matched.
fn matching_ca(shown: &[Facts], cas: &[Facts]) -> String {
    let given: Vec<&str> = cas.iter().map(|ca| ca.subject.as_str()).collect();
    // The CA's own certificate, if it was shown too, says nothing about who issued the others.
    let issued = shown.iter().rev().find(|facts| facts.issuer != facts.subject);
    let Some(top) = issued.or(shown.last()) else {
        return format!("nothing readable was shown, given was {}", given.join(", "));
    };
    if let Some(namesake) = cas.iter().find(|ca| ca.subject == top.issuer) {
        let ended =
            if top.names_as_issuer(namesake) { "but its signature does not verify" } else { "but over another key" };
        return format!("it was issued by {}, which was given, {ended}", namesake.subject);
    }
    format!("it was issued by {}, given was {}", top.issuer, given.join(", "))
}

/// One certificate in a line.
pub fn presented(facts: &Facts) -> String {
    let names = if facts.sans.is_empty() { "no names".to_owned() } else { facts.sans.join(" ") };
    format!(
        "shown: {} for {names}, issued by {}, valid until {}, sha256 {}",
        facts.subject,
        facts.issuer,
        rfc3339(facts.not_after),
        facts.fingerprint
    )
}
