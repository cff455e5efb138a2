//! What a failure of a name server means: the family's one table of transient, permanent and needs-person.
//!
//! | what happened | code | class |
//! |---|---|---|
//! | the inputs are not a record set that DNS allows | D301 | permanent |
//! | no connection, no answer in time | D302 | transient |
//! | the connection ended before the answer, or the answer made no sense | D303 | transient |
//! | the key is not of the form that TSIG takes | D304 | permanent |
//! | the server does not accept the key, or refuses | D305 | needs a person |
//! | the server does not serve the zone | D306 | permanent |
//! | any other refusal: SERVFAIL | D307 | transient |
//! | any other refusal | D307 | permanent |
//! | the records belong to somebody else | D308 | needs a person |
//! | others changed the same names again and again | D309 | transient |
//! | the names do not resolve as written | D310 | transient |

use std::fmt::Display;
use std::io;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigError;
use steps_sdk::StepError;

/// The failures of this family.
#[derive(Debug)]
pub enum Trouble {
    Inputs {
        reason: String,
        help: &'static str,
    },
    Unreachable {
        server: String,
        error: io::Error,
    },
    Silent {
        server: String,
        seconds: u64,
    },
    Lost {
        server: String,
        reason: String,
    },
    Key {
        reason: &'static str,
    },
    Answer {
        server: String,
        about: String,
        code: ResponseCode,
        tsig: Option<TsigError>,
    },
    NotServed {
        server: String,
        zone: String,
    },
    Foreign {
        name: String,
        reason: String,
        marker: String,
        owner: String,
    },
    /// The server refuses what was read from it: it knows of records that the step does not read.
    Hidden {
        server: String,
    },
    Contended {
        server: String,
    },
    Unresolved {
        seen: String,
    },
    Stopped,
}

impl From<Trouble> for StepError {
    fn from(trouble: Trouble) -> StepError {
        match trouble {
            Trouble::Inputs { reason, help } => StepError::permanent("D301", reason).help(help).not_started(),
            Trouble::Unreachable { server, error } => {
                StepError::transient("D302", format!("cannot connect to the name server {server} over TCP"))
                    .caused_by(&error)
                    .help("see that the server runs, listens on TCP, and that no firewall is between")
            }
            Trouble::Silent { server, seconds } => {
                StepError::transient("D302", format!("the name server {server} did not answer within {seconds} s"))
                    .help("see that the server runs, listens on TCP, and that no firewall is between")
            }
            Trouble::Lost { server, reason } => {
                StepError::transient("D303", format!("the answer of the name server {server} was lost"))
                    .cause(reason)
                    .help("the step is run again; it reads what is there first, so an update that was applied is not repeated")
            }
            Trouble::Key { reason } => StepError::permanent("D304", format!("the key of the zone cannot be used: {reason}"))
                .help("write the secret as `hmac-sha256:NAME:BASE64`, with the key's name as the server knows it")
                .not_started(),
            Trouble::Answer { server, about, code, tsig } => answer(&server, &about, code, tsig),
            Trouble::NotServed { server, zone } => {
                StepError::permanent("D306", format!("{server} is not an authoritative server of the zone {zone}"))
                    .help("name the zone's primary server in `server=`, and the zone itself, not a name inside of it")
                    .not_started()
            }
            Trouble::Foreign { name, reason, marker, owner } => {
                StepError::needs_person("D308", format!("the records of {name} belong to somebody else"))
                    .cause(reason)
                    .help(format!("remove them, or hand the name over to this step with a record `{marker} TXT \"{owner}\"`, then resume"))
                    .not_started()
            }
            Trouble::Hidden { server } => {
                StepError::needs_person("D308", format!("{server} has other records at one of the names, beside which these cannot stand"))
                    .help("a CNAME stands alone at its name: remove the other records of that name, or give it an address instead, then resume")
                    .not_started()
            }
            Trouble::Contended { server } => {
                StepError::transient("D309", format!("the same names on {server} were changed by somebody else again and again"))
                    .help("see whether another program writes these names")
            }
            Trouble::Unresolved { seen } => StepError::transient("D310", format!("not resolved in time: {seen}"))
                .help("see whether a cache still holds the old answer, or give `wait for=` more time"),
            Trouble::Stopped => StepError::transient("E130", "stopped while a name server was asked"),
        }
    }
}

fn answer(server: &str, about: &str, code: ResponseCode, tsig: Option<TsigError>) -> StepError {
    let says = |what: &dyn Display| format!("the name server {server} refused {about}: {what}");
    match (code, tsig) {
        (_, Some(TsigError::BadTime)) => StepError::needs_person("D305", says(&"its clock and ours differ too much (BADTIME)"))
            .help("set the clocks of both machines, then resume"),
        (_, Some(TsigError::BadKey)) => StepError::needs_person("D305", says(&"it does not know the key (BADKEY)"))
            .help("the secret is `ALGORITHM:NAME:BASE64`: see that name and algorithm are those of the server's configuration, then resume"),
        (_, Some(_)) => StepError::needs_person("D305", says(&"the signature is not right (BADSIG)"))
            .help("the key's name is known, its secret is another: correct the secret, then resume"),
        (ResponseCode::Refused | ResponseCode::NotAuth, None) => StepError::needs_person("D305", says(&code))
            .help("allow this key to update the zone in the server's configuration, then resume"),
        (ResponseCode::ServFail, None) => StepError::transient("D307", says(&code)).help("the server's own log says why"),
        _ => StepError::permanent("D307", says(&code)).help("the server's own log says why"),
    }
}
