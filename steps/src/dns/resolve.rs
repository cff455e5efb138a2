//! Finds the addresses of a host name at one server, without the system's resolver and its caches.

use std::net::IpAddr;

use hickory_proto::rr::{Name, RData, RecordType};
use steps_sdk::StepError;

use super::client::Client;

/// Aliases that are followed at most; a loop of them ends here.
const ALIASES_MAX: usize = 8;

/// IPv4 first; empty when the server knows of none.
pub async fn addresses(client: &mut Client<'_>, host: &Name) -> Result<Vec<IpAddr>, StepError> {
    let mut name = host.clone();
    for _ in 0..ALIASES_MAX {
        let mut found = Vec::new();
        for of_type in [RecordType::A, RecordType::AAAA] {
            found.extend(client.set(&name, of_type).await?.into_iter().filter_map(|record| match record.data {
                RData::A(v4) => Some(IpAddr::V4(v4.0)),
                RData::AAAA(v6) => Some(IpAddr::V6(v6.0)),
                _ => None,
            }));
        }
        let alias = client.set(&name, RecordType::CNAME).await?.into_iter().next().map(|record| record.data);
        match alias {
            Some(RData::CNAME(target)) if found.is_empty() => name = target.0,
            _ => return Ok(found),
        }
    }
    Ok(Vec::new())
}
