//! The update that leads from what a zone holds to what is wanted, with the prerequisites under which it may be applied.
//!
//! Everything that the decision rests on is a prerequisite: whose the name is, and what exactly stands there. Whoever changes one of
//! these in between makes the server refuse the whole update, and the step reads again. Pure: the network is in `client.rs`.

use hickory_proto::op::{Message, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use steps_sdk::outcome::FieldChange;
use steps_sdk::{Certainty, Change, ChangeAction, StepError};

use super::classify::Trouble;
use super::held::{Held, Zone, marker_of, types_of};
use super::wanted::{Set, Sets, Wanted, plain, text};

/// How long others may remember whose a name is, in seconds.
const MARK_TTL: u32 = 60;

/// The update, or `None` when everything is as wanted; an error when a name is somebody else's.
pub fn towards(wanted: &Wanted, zone: &Zone, mark: &str) -> Result<Option<Message>, StepError> {
    let mut update = Update::new(&wanted.zone);
    for (name, sets) in &wanted.names {
        let held = zone.get(name).expect("every wanted name was read");
        match ownership(held, mark) {
            Ownership::Ours => update.change(name, sets, held, mark)?,
            Ownership::Nobodys => update.create(name, sets, mark)?,
            Ownership::Foreign(reason) => return Err(foreign(name, reason, mark)?),
        }
    }
    Ok(update.finish())
}

/// The update that takes away what this step wrote, and only that; `None` when nothing of it is there.
pub fn away(wanted: &Wanted, zone: &Zone, mark: &str) -> Result<Option<Message>, StepError> {
    let mut update = Update::new(&wanted.zone);
    for (name, sets) in &wanted.names {
        let held = zone.get(name).expect("every wanted name was read");
        if matches!(ownership(held, mark), Ownership::Ours) {
            update.must_be_marked(name, mark)?;
            for (of_type, set) in sets {
                let ours = held
                    .sets
                    .get(of_type)
                    .into_iter()
                    .flat_map(|found| &found.values)
                    .filter(|value| set.values.contains(value));
                update.changes.extend(ours.map(|value| record(name, 0, DNSClass::NONE, value.clone())));
            }
            update.changes.push(bare(&marker_of(name)?, RecordType::TXT, DNSClass::ANY));
        }
    }
    Ok(update.finish())
}

/// What `towards` would change, one entry for each set.
pub fn changes(wanted: &Wanted, zone: &Zone, mark: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, sets) in &wanted.names {
        let held = zone.get(name).expect("every wanted name was read");
        let conflict = match ownership(held, mark) {
            Ownership::Ours | Ownership::Nobodys => None,
            Ownership::Foreign(reason) => Some(reason),
        };
        for of_type in types_of(sets) {
            let (before, after) = (held.sets.get(&of_type), sets.get(&of_type));
            let action = match (before, after) {
                (None, None) => continue,
                (None, Some(_)) => ChangeAction::Create,
                (Some(_), None) => ChangeAction::Delete,
                (Some(before), Some(after)) if before.ttl == after.ttl && before.has_values_of(after) => {
                    ChangeAction::Same
                }
                (Some(_), Some(_)) => ChangeAction::Update,
            };
            let shown = |set: Option<&Set>| set.map(|set| set.text().into());
            let field = FieldChange { path: "values".to_owned(), before: shown(before), after: shown(after) };
            changes.push(Change {
                object: format!("{of_type} {}", plain(name)),
                action,
                certainty: Certainty::Server,
                fields: if action == ChangeAction::Same { Vec::new() } else { vec![field] },
                conflict: conflict.clone(),
                waits_for: None,
            });
        }
    }
    changes
}

enum Ownership {
    Ours,
    /// Neither records nor an owner.
    Nobodys,
    Foreign(String),
}

fn ownership(held: &Held, mark: &str) -> Ownership {
    match held.marks.as_slice() {
        [] if held.sets.is_empty() => Ownership::Nobodys,
        [] => {
            let found: Vec<String> =
                held.sets.iter().map(|(of_type, set)| format!("{of_type} {}", set.text())).collect();
            Ownership::Foreign(format!("there is no record of an owner, but {}", found.join("; ")))
        }
        [only] if only == mark => Ownership::Ours,
        others => Ownership::Foreign(format!("its owner is recorded as `{}`", others.join("`, `"))),
    }
}

fn foreign(name: &Name, reason: String, mark: &str) -> Result<StepError, StepError> {
    Ok(Trouble::Foreign { name: plain(name), reason, marker: plain(&marker_of(name)?), owner: mark.to_owned() }.into())
}

/// The two lists of an update under construction.
struct Update<'a> {
    zone: &'a Name,
    prerequisites: Vec<Record>,
    changes: Vec<Record>,
}

impl<'a> Update<'a> {
    fn new(zone: &'a Name) -> Update<'a> {
        Update { zone, prerequisites: Vec::new(), changes: Vec::new() }
    }

    fn must_be_marked(&mut self, name: &Name, mark: &str) -> Result<(), StepError> {
        self.prerequisites.push(record(&marker_of(name)?, 0, DNSClass::IN, RData::TXT(text(mark))));
        Ok(())
    }

    /// A name that is nobody's.
    fn create(&mut self, name: &Name, sets: &Sets, mark: &str) -> Result<(), StepError> {
        let marker = marker_of(name)?;
        self.prerequisites.push(bare(&marker, RecordType::TXT, DNSClass::NONE));
        if sets.contains_key(&RecordType::CNAME) {
            // An alias would be ignored beside any other record, whatever its type.
            self.prerequisites.push(bare(name, RecordType::ANY, DNSClass::NONE));
        } else {
            self.prerequisites.extend(types_of(sets).into_iter().map(|of_type| bare(name, of_type, DNSClass::NONE)));
        }
        for set in sets.values() {
            self.add(name, set);
        }
        self.changes.push(record(&marker, MARK_TTL, DNSClass::IN, RData::TXT(text(mark))));
        Ok(())
    }

    /// A name that is ours: sets that differ are taken away, then written as wanted.
    fn change(&mut self, name: &Name, sets: &Sets, held: &Held, mark: &str) -> Result<(), StepError> {
        let is_same = |found: Option<&Set>, wanted: Option<&Set>| match (found, wanted) {
            (None, None) => true,
            (Some(found), Some(wanted)) => found.ttl == wanted.ttl && found.has_values_of(wanted),
            _ => false,
        };
        let differing: Vec<RecordType> =
            types_of(sets).into_iter().filter(|of_type| !is_same(held.sets.get(of_type), sets.get(of_type))).collect();
        if differing.is_empty() {
            return Ok(());
        }
        self.must_be_marked(name, mark)?;
        for of_type in &differing {
            match held.sets.get(of_type) {
                None => self.prerequisites.push(bare(name, *of_type, DNSClass::NONE)),
                Some(set) => {
                    self.prerequisites
                        .extend(set.values.iter().map(|value| record(name, 0, DNSClass::IN, value.clone())));
                    self.changes.push(bare(name, *of_type, DNSClass::ANY));
                }
            }
        }
        for set in differing.iter().filter_map(|of_type| sets.get(of_type)) {
            self.add(name, set);
        }
        Ok(())
    }

    fn add(&mut self, name: &Name, set: &Set) {
        self.changes.extend(set.values.iter().map(|value| record(name, set.ttl, DNSClass::IN, value.clone())));
    }

    /// In an update the sections of a message have other names: zone, prerequisites, changes (RFC 2136 §2).
    fn finish(self) -> Option<Message> {
        if self.changes.is_empty() {
            return None;
        }
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.add_query(Query::query(self.zone.clone(), RecordType::SOA));
        message.answers = self.prerequisites;
        message.authorities = self.changes;
        Some(message)
    }
}

fn record(name: &Name, ttl: u32, class: DNSClass, data: RData) -> Record {
    let mut record = Record::from_rdata(name.clone(), ttl, data);
    record.dns_class = class;
    record
}

/// A record without data: it stands for a whole set, or with type ANY for a whole name.
fn bare(name: &Name, of_type: RecordType, class: DNSClass) -> Record {
    let mut record = Record::update0(name.clone(), 0, of_type);
    record.dns_class = class;
    record
}
