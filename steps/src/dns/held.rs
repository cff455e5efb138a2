//! What a zone holds at the names that matter, and whose it is.
//!
//! A name belongs to the step whose owner key stands in the TXT record `_engine-owner.NAME`. Addresses and aliases of such a name are
//! the step's own, and so are the types that it writes; other types are somebody else's and never touched.

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use sha2::{Digest as _, Sha256};
use steps_sdk::StepError;

use super::classify::Trouble;
use super::client::Client;
use super::wanted::{Set, Sets, Wanted, plain};
use crate::pki::certificate::hex;

const LABEL: &str = "_engine-owner";

/// Types that always belong to the owner of a name: what `auto` may have chosen before.
const ADDRESS_TYPES: [RecordType; 3] = [RecordType::A, RecordType::AAAA, RecordType::CNAME];

/// Longest text that fits one string of a TXT record.
const MARK_MAX: usize = 255;

/// What stands at one name.
#[derive(Debug, Default)]
pub struct Held {
    pub sets: Sets,
    /// Texts of the ownership record; none when there is no such record.
    pub marks: Vec<String>,
}

pub type Zone = BTreeMap<Name, Held>;

/// Where the ownership of a name is recorded.
pub fn marker_of(name: &Name) -> Result<Name, StepError> {
    name.prepend_label(LABEL).map_err(|_| {
        Trouble::Inputs {
            reason: format!("{} is too long to record its owner beside it", plain(name)),
            help: "its name with `_engine-owner.` in front must have at most 253 characters",
        }
        .into()
    })
}

/// What the ownership record says: the owner key, cut and hashed at its end if it is too long for one string.
pub fn mark(owner: &str) -> String {
    if owner.len() <= MARK_MAX {
        return owner.to_owned();
    }
    let tail = hex(&Sha256::digest(owner)[..16]);
    let end = owner.floor_char_boundary(MARK_MAX - tail.len() - 1);
    format!("{}-{tail}", &owner[..end])
}

/// Types of records at a name that this step writes or would take away.
pub fn types_of(sets: &Sets) -> Vec<RecordType> {
    let mut types: Vec<RecordType> = ADDRESS_TYPES.into_iter().chain(sets.keys().copied()).collect();
    types.sort();
    types.dedup();
    types
}

/// The serial of the zone; an error when the server does not serve it itself.
pub async fn serial(client: &mut Client<'_>, zone: &Name) -> Result<u32, StepError> {
    let answer = client.ask(zone, RecordType::SOA).await?;
    let (code, is_authoritative) = (answer.metadata.response_code, answer.metadata.authoritative);
    let server = client.server.clone();
    if code == ResponseCode::ServFail {
        return Err(Trouble::Answer {
            server,
            about: format!("the question for the zone {}", plain(zone)),
            code,
            tsig: None,
        }
        .into());
    }
    match answer.answers.into_iter().find(|record| record.name == *zone).map(|record| record.data) {
        Some(RData::SOA(soa)) if is_authoritative => Ok(soa.serial),
        _ => Err(Trouble::NotServed { server, zone: plain(zone) }.into()),
    }
}

/// Reads every name that is wanted.
pub async fn read(client: &mut Client<'_>, wanted: &Wanted) -> Result<Zone, StepError> {
    let mut zone = Zone::new();
    for (name, sets) in &wanted.names {
        let mut held = Held { marks: marks(client.set(&marker_of(name)?, RecordType::TXT).await?), sets: Sets::new() };
        for of_type in types_of(sets) {
            let found = client.set(name, of_type).await?;
            if let Some(set) = set_of(found)
                && !(held.marks.is_empty() && is_from_wildcard(client, wanted, name, of_type, &set).await?)
            {
                held.sets.insert(of_type, set);
            }
        }
        zone.insert(name.clone(), held);
    }
    Ok(zone)
}

/// A wildcard answers for names that are not there. Its records are none of this name's; should the name hold the very same
/// records after all, the prerequisites of the update tell.
async fn is_from_wildcard(
    client: &mut Client<'_>,
    wanted: &Wanted,
    name: &Name,
    of_type: RecordType,
    set: &Set,
) -> Result<bool, StepError> {
    let mut above = name.base_name();
    while wanted.zone.zone_of(&above) && above.num_labels() > 0 {
        let Ok(wildcard) = above.prepend_label("*") else { return Ok(false) };
        if wildcard == *name {
            return Ok(false);
        }
        if let Some(synthesised) = set_of(client.set(&wildcard, of_type).await?) {
            return Ok(synthesised.has_values_of(set));
        }
        above = above.base_name();
    }
    Ok(false)
}

pub fn set_of(records: Vec<Record>) -> Option<Set> {
    let ttl = records.first()?.ttl;
    Some(Set { ttl, values: records.into_iter().map(|record| record.data).collect() })
}

fn marks(records: Vec<Record>) -> Vec<String> {
    let texts = records.into_iter().filter_map(|record| match record.data {
        RData::TXT(text) => {
            Some(text.txt_data.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect::<String>())
        }
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_fits_one_string_and_stays_distinct() {
        assert_eq!(mark("engine/x/step"), "engine/x/step");
        let long = |end: &str| mark(&format!("engine/{}/{end}", "ä".repeat(200)));
        assert!(long("a").len() <= MARK_MAX && long("a").starts_with("engine/ä"));
        assert_ne!(long("a"), long("b"));
    }
}
