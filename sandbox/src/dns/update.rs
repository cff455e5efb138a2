//! The rules of a dynamic update (RFC 2136 §3), as a pure function: records and an update in, new records or a refusal out.
//!
//! Who may update is decided in `handler.rs`.

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, LowerName, RData, Record, RecordType, RrKey};

/// The zone's records: sets of the same name and type.
pub(super) type Records = BTreeMap<RrKey, Vec<Record>>;

/// What a client asks for.
pub(super) struct Update<'a> {
    pub(super) origin: &'a LowerName,
    pub(super) prerequisites: &'a [Record],
    pub(super) changes: &'a [Record],
}

impl Update<'_> {
    /// The records afterwards; `None` when nothing changed. All or nothing (§3.7).
    pub(super) fn apply_to(&self, records: &Records) -> Result<Option<Records>, ResponseCode> {
        self.check_prerequisites(records)?;
        self.check_changes()?;
        let mut after = records.clone();
        for change in self.changes {
            self.apply(change, &mut after);
        }
        if is_same(&after, records) {
            return Ok(None);
        }
        raise_serial(self.origin, &mut after);
        Ok(Some(after))
    }

    /// §3.2: what must be there, and what must not.
    fn check_prerequisites(&self, records: &Records) -> Result<(), ResponseCode> {
        let mut exact = Records::new();
        for wanted in self.prerequisites {
            if wanted.ttl != 0 {
                return Err(ResponseCode::FormErr);
            }
            self.check_name(wanted)?;
            let name_is_used = || records.keys().any(|key| key.name == LowerName::new(&wanted.name));
            let has_set = || records.contains_key(&key_of(wanted));
            let is_bare = matches!(wanted.data, RData::Update0(_));
            match (wanted.dns_class, wanted.record_type()) {
                (DNSClass::ANY | DNSClass::NONE, _) if !is_bare => return Err(ResponseCode::FormErr),
                (DNSClass::ANY, RecordType::ANY) if !name_is_used() => return Err(ResponseCode::NXDomain),
                (DNSClass::ANY, of_type) if of_type != RecordType::ANY && !has_set() => {
                    return Err(ResponseCode::NXRRSet);
                }
                (DNSClass::NONE, RecordType::ANY) if name_is_used() => return Err(ResponseCode::YXDomain),
                (DNSClass::NONE, of_type) if of_type != RecordType::ANY && has_set() => {
                    return Err(ResponseCode::YXRRSet);
                }
                (DNSClass::ANY | DNSClass::NONE, _) => {}
                (DNSClass::IN, _) => exact.entry(key_of(wanted)).or_default().push(wanted.clone()),
                _ => return Err(ResponseCode::FormErr),
            }
        }
        let has_exactly = |key: &RrKey, wanted: &[Record]| {
            let found = records.get(key).map(Vec::as_slice).unwrap_or_default();
            let is_in = |one: &Record, set: &[Record]| set.iter().any(|other| other.data == one.data);
            wanted.iter().all(|one| is_in(one, found)) && found.iter().all(|one| is_in(one, wanted))
        };
        match exact.iter().all(|(key, wanted)| has_exactly(key, wanted)) {
            true => Ok(()),
            false => Err(ResponseCode::NXRRSet),
        }
    }

    /// §3.4.1: the form of every change, before the first is made.
    fn check_changes(&self) -> Result<(), ResponseCode> {
        for change in self.changes {
            self.check_name(change)?;
            let is_bare = matches!(change.data, RData::Update0(_));
            let is_query_type = matches!(change.record_type(), RecordType::AXFR | RecordType::IXFR);
            let is_any = change.record_type() == RecordType::ANY;
            let is_right = match change.dns_class {
                DNSClass::IN => !is_any && !is_query_type && !is_bare,
                DNSClass::ANY => change.ttl == 0 && is_bare && !is_query_type,
                DNSClass::NONE => change.ttl == 0 && !is_any && !is_query_type,
                _ => false,
            };
            if !is_right {
                return Err(ResponseCode::FormErr);
            }
        }
        Ok(())
    }

    fn check_name(&self, record: &Record) -> Result<(), ResponseCode> {
        match self.origin.zone_of(&LowerName::new(&record.name)) {
            true => Ok(()),
            false => Err(ResponseCode::NotZone),
        }
    }

    /// §3.4.2: one change. What the rules forbid without calling it an error is left undone.
    fn apply(&self, change: &Record, records: &mut Records) {
        let key = key_of(change);
        let is_apex = key.name == *self.origin;
        let is_kept_at_apex = |of_type| is_apex && matches!(of_type, RecordType::SOA | RecordType::NS);
        match change.dns_class {
            DNSClass::IN => add(change, key, records),
            DNSClass::ANY if key.record_type == RecordType::ANY => {
                records.retain(|other, _| other.name != key.name || is_kept_at_apex(other.record_type));
            }
            DNSClass::ANY if !is_kept_at_apex(key.record_type) => drop(records.remove(&key)),
            DNSClass::NONE if key.record_type != RecordType::SOA => {
                if let Some(set) = records.get_mut(&key) {
                    let is_last_name_server = is_kept_at_apex(key.record_type) && set.len() == 1;
                    set.retain(|record| is_last_name_server || record.data != change.data);
                    if set.is_empty() {
                        records.remove(&key);
                    }
                }
            }
            _ => {}
        }
    }
}

/// §3.4.2.2. A CNAME stands alone at its name; neither it nor anything else may join the other.
fn add(change: &Record, key: RrKey, records: &mut Records) {
    let is_alias = key.record_type == RecordType::CNAME;
    let joins_the_other_kind =
        records.keys().any(|other| other.name == key.name && (other.record_type == RecordType::CNAME) != is_alias);
    if key.record_type == RecordType::SOA || joins_the_other_kind {
        return;
    }
    let set = records.entry(key).or_default();
    if is_alias {
        set.clear();
    }
    if set.iter().all(|record| record.data != change.data) {
        set.push(change.clone());
    }
    // One set has one TTL (RFC 2181 §5.2).
    for record in set {
        record.ttl = change.ttl;
    }
}

/// Compared here because two records of the crate are equal when only their TTLs differ.
fn is_same(one: &Records, other: &Records) -> bool {
    let flat = |records: &Records| {
        records
            .iter()
            .flat_map(|(key, set)| set.iter().map(|record| (key.clone(), record.ttl, record.data.clone())))
            .collect::<Vec<_>>()
    };
    flat(one) == flat(other)
}

fn raise_serial(origin: &LowerName, records: &mut Records) {
    let soa = records.get_mut(&RrKey::new(origin.clone(), RecordType::SOA)).and_then(|set| set.first_mut());
    if let Some(Record { data: RData::SOA(soa), .. }) = soa {
        soa.increment_serial();
    }
}

pub(super) fn key_of(record: &Record) -> RrKey {
    RrKey::new(LowerName::new(&record.name), record.record_type())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::Name;
    use hickory_proto::rr::rdata::{A, CNAME, NS, SOA};
    use std::str::FromStr as _;

    const ZONE: &str = "test.";

    fn name(text: &str) -> Name {
        Name::from_str(text).unwrap()
    }

    fn a(at: &str, last: u8) -> Record {
        Record::from_rdata(name(at), 60, RData::A(A::new(127, 0, 0, last)))
    }

    fn cname(at: &str) -> Record {
        Record::from_rdata(name(at), 60, RData::CNAME(CNAME(name("target.test."))))
    }

    /// A record of a class that stands for "any" or "none", with or without data.
    fn of_class(mut record: Record, class: DNSClass) -> Record {
        (record.dns_class, record.ttl) = (class, 0);
        record
    }

    fn bare(at: &str, of_type: RecordType, class: DNSClass) -> Record {
        let mut record = Record::update0(name(at), 0, of_type);
        record.dns_class = class;
        record
    }

    fn exactly(record: Record) -> Record {
        of_class(record, DNSClass::IN)
    }

    fn zone(more: &[Record]) -> Records {
        let soa = SOA::new(name("ns.test."), name("hostmaster.test."), 7, 60, 60, 60, 60);
        let apex = [
            Record::from_rdata(name(ZONE), 60, RData::SOA(soa)),
            Record::from_rdata(name(ZONE), 60, RData::NS(NS(name("ns.test.")))),
        ];
        let mut records = Records::new();
        for record in apex.iter().chain(more) {
            records.entry(key_of(record)).or_default().push(record.clone());
        }
        records
    }

    fn serial(records: &Records) -> u32 {
        match &records[&RrKey::new(LowerName::new(&name(ZONE)), RecordType::SOA)][0].data {
            RData::SOA(soa) => soa.serial,
            other => panic!("{other:?}"),
        }
    }

    fn update(zone: &Records, prerequisites: &[Record], changes: &[Record]) -> Result<Option<Records>, ResponseCode> {
        Update { origin: &LowerName::new(&name(ZONE)), prerequisites, changes }.apply_to(zone)
    }

    #[test]
    fn each_prerequisite_holds_or_gives_its_own_refusal() {
        let zone = zone(&[a("x.test.", 1), a("x.test.", 2)]);
        let any = |at: &str, of_type| bare(at, of_type, DNSClass::ANY);
        let none = |at: &str, of_type| bare(at, of_type, DNSClass::NONE);
        for (prerequisites, expected) in [
            (vec![any("x.test.", RecordType::ANY)], Ok(())),
            (vec![any("y.test.", RecordType::ANY)], Err(ResponseCode::NXDomain)),
            (vec![any("X.Test.", RecordType::A)], Ok(())),
            (vec![any("x.test.", RecordType::AAAA)], Err(ResponseCode::NXRRSet)),
            (vec![none("y.test.", RecordType::ANY)], Ok(())),
            (vec![none("x.test.", RecordType::ANY)], Err(ResponseCode::YXDomain)),
            (vec![none("x.test.", RecordType::AAAA)], Ok(())),
            (vec![none("x.test.", RecordType::A)], Err(ResponseCode::YXRRSet)),
            (vec![exactly(a("x.test.", 2)), exactly(a("x.test.", 1))], Ok(())),
            (vec![exactly(a("x.test.", 1))], Err(ResponseCode::NXRRSet)),
            (vec![exactly(a("y.test.", 1))], Err(ResponseCode::NXRRSet)),
            (vec![a("x.test.", 1)], Err(ResponseCode::FormErr)),
            (vec![of_class(a("x.test.", 1), DNSClass::ANY)], Err(ResponseCode::FormErr)),
            (vec![any("x.other.", RecordType::A)], Err(ResponseCode::NotZone)),
        ] {
            assert_eq!(update(&zone, &prerequisites, &[]).map(drop), expected, "{prerequisites:?}");
        }
    }

    #[test]
    fn each_change_is_made_and_the_serial_rises_once() {
        let before = zone(&[a("x.test.", 1), a("x.test.", 2), cname("c.test.")]);
        let left = |changes: &[Record]| {
            let after = update(&before, &[], changes).unwrap();
            if let Some(after) = &after {
                assert_eq!(serial(after), 8);
            }
            let count = |at: &str| {
                after
                    .as_ref()
                    .unwrap_or(&before)
                    .iter()
                    .filter(|(key, _)| key.name == LowerName::new(&name(at)))
                    .map(|(_, set)| set.len())
                    .sum::<usize>()
            };
            (count("x.test."), count("c.test."), count(ZONE), after.is_some())
        };
        for (what, changes, expected) in [
            ("add", vec![a("x.test.", 3)], (3, 1, 2, true)),
            ("add what is there", vec![a("x.test.", 1)], (2, 1, 2, false)),
            ("an address beside an alias", vec![a("c.test.", 1)], (2, 1, 2, false)),
            ("an alias beside an address", vec![cname("x.test.")], (2, 1, 2, false)),
            ("delete one", vec![of_class(a("x.test.", 1), DNSClass::NONE)], (1, 1, 2, true)),
            ("delete what is not there", vec![of_class(a("x.test.", 9), DNSClass::NONE)], (2, 1, 2, false)),
            ("delete a set", vec![bare("x.test.", RecordType::A, DNSClass::ANY)], (0, 1, 2, true)),
            ("delete a name", vec![bare("c.test.", RecordType::ANY, DNSClass::ANY)], (2, 0, 2, true)),
            ("delete the apex", vec![bare(ZONE, RecordType::ANY, DNSClass::ANY)], (2, 1, 2, false)),
            ("swap", vec![bare("c.test.", RecordType::CNAME, DNSClass::ANY), a("c.test.", 1)], (2, 1, 2, true)),
        ] {
            assert_eq!(left(&changes), expected, "{what}");
        }
    }

    #[test]
    fn an_update_with_one_bad_part_changes_nothing() {
        let zone = zone(&[]);
        for (bad, code) in [
            (a("x.other.", 1), ResponseCode::NotZone),
            (of_class(a("x.test.", 1), DNSClass::ANY), ResponseCode::FormErr),
            (of_class(a("x.test.", 1), DNSClass::CH), ResponseCode::FormErr),
            (bare("x.test.", RecordType::ANY, DNSClass::NONE), ResponseCode::FormErr),
        ] {
            assert_eq!(update(&zone, &[], &[a("x.test.", 1), bad.clone()]), Err(code), "{bad:?}");
        }
    }

    #[test]
    fn a_new_ttl_holds_for_the_whole_set() {
        let mut quick = a("x.test.", 2);
        quick.ttl = 5;
        let after = update(&zone(&[a("x.test.", 1), a("x.test.", 2)]), &[], &[quick]).unwrap().unwrap();
        assert!(after[&key_of(&a("x.test.", 1))].iter().all(|record| record.ttl == 5));
    }
}
