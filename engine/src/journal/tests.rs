//! The journal as a whole: what is written comes back, an interrupted end is cut, and damage is never taken for one.

use engine_core::id::{Epoch, Sequence};
use engine_core::run::Event;
use proptest::prelude::*;

use super::error::{Damage, JournalError};
use super::faulty::FaultyFile;
use super::record::Position;
use super::testing::{assert_records, event, events, lock, new_run, one_of_each, time};
use super::{FileJournal, Journal, Reader, Recovery, RunDir, reader};

/// Opens without a use for checkpoints.
fn open(run: &RunDir) -> Result<(FileJournal, Recovery<Vec<u8>>), JournalError> {
    FileJournal::open(run, &lock(run), |state| Ok(state.to_vec()))
}

fn open_file(run: &RunDir, file: &FaultyFile) -> Result<(FileJournal, Recovery<Vec<u8>>), JournalError> {
    FileJournal::open_file(run, Box::new(file.clone()), |state| Ok(state.to_vec()))
}

/// A run with records 1 to `n`, each durable before the next was encoded.
fn run_with(n: u64) -> (tempfile::TempDir, RunDir) {
    let (dir, run) = new_run();
    let mut journal = FileJournal::create(&run, &lock(&run)).unwrap();
    for i in 1..=n {
        journal.append(&[event(i)], time(i)).wait().unwrap();
    }
    (dir, run)
}

/// The offsets at which the records of a journal end.
fn ends(bytes: &[u8]) -> Vec<usize> {
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect()
}

#[test]
fn format_1_is_written_and_read_as_it_always_was() {
    let golden: &[u8] = include_bytes!("golden/format-1.journal");
    let run = "zheng-7f3a".parse().unwrap();
    let (mut position, mut written) = (Position { epoch: 1, ..Position::start(&run) }, Vec::new());
    for (n, event) in (0..).zip(one_of_each()) {
        // The last two records are those of a resume.
        position.epoch = if n < 18 { 1 } else { 2 };
        position.encode(&event, time(n), n, &mut written).unwrap();
    }
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(golden));

    let (_dir, run) = new_run();
    std::fs::write(run.journal(), golden).unwrap();
    let read: Vec<_> = Reader::open(&run).unwrap().map(Result::unwrap).collect();
    assert_eq!(read.iter().map(|record| record.event.clone()).collect::<Vec<_>>(), one_of_each());
    assert_eq!(read[19].epoch, Epoch(2));
    assert_eq!(read[19].time, time(19));
    assert_eq!(read[19].run, *run.id());
}

#[test]
fn what_was_appended_comes_back_under_the_next_epoch() {
    let (_dir, run) = new_run();
    let mut journal = FileJournal::create(&run, &lock(&run)).unwrap();
    assert_eq!(journal.epoch(), Epoch(1));
    let receipt = journal.append(&events(1, 3), time(1));
    assert_eq!(receipt.last(), Sequence(3));
    assert_eq!(receipt.wait().unwrap(), Sequence(3));
    let unawaited = journal.append(&events(4, 5), time(4));
    drop(unawaited);
    drop(journal);

    let (mut journal, found) = open(&run).unwrap();
    assert_eq!(journal.epoch(), Epoch(2));
    assert_eq!(found.events.len(), 5);
    assert_records(1, &found.events);
    assert_eq!(found.last.unwrap().sequence, Sequence(5));
    assert_eq!(found.last.unwrap().time, time(4));
    assert_eq!((found.checkpoint, found.torn_tail, found.notes), (None, None, vec![]));
    journal.append(&events(6, 6), time(6)).wait().unwrap();
    drop(journal);

    let (_, found) = open(&run).unwrap();
    assert_eq!(found.events[5].epoch, Epoch(2));
    assert_records(1, &found.events);
}

#[tokio::test]
async fn a_receipt_can_be_awaited() {
    let (_dir, run) = new_run();
    let mut journal = FileJournal::create(&run, &lock(&run)).unwrap();
    let (first, second) = (journal.append(&events(1, 1), time(1)), journal.append(&events(2, 4), time(2)));
    assert_eq!((second.await.unwrap(), first.await.unwrap()), (Sequence(4), Sequence(1)));
}

#[test]
fn a_batch_with_a_record_that_is_too_large_leaves_no_trace() {
    let (_dir, run) = run_with(1);
    let (mut journal, _) = open(&run).unwrap();
    let large = Event::StepParked { step: engine_core::id::StepId::new("a"), why: "x".repeat(2 << 20) };
    let error = journal.append(&[event(2), large], time(2)).wait().unwrap_err();
    assert!(matches!(error, JournalError::TooLarge { event: "step-parked", bytes, .. } if bytes > 2 << 20));
    assert_eq!(journal.append(&[event(2)], time(2)).wait().unwrap(), Sequence(2));
    drop(journal);
    assert_records(1, &open(&run).unwrap().1.events);
}

#[test]
fn a_run_that_never_began_can_be_told() {
    let (_dir, run) = new_run();
    assert!(!reader::has_begun(&run).unwrap(), "no journal");
    assert!(matches!(run.create(), Err(JournalError::Exists { .. })));
    assert!(matches!(open(&run), Err(JournalError::NoSuchRun { .. })));
    drop(FileJournal::create(&run, &lock(&run)).unwrap());
    assert!(!reader::has_begun(&run).unwrap(), "an empty journal");
    assert_eq!(open(&run).unwrap().1.last, None);
    std::fs::write(run.journal(), r#"{"format":1,"seq":1"#).unwrap();
    assert!(!reader::has_begun(&run).unwrap(), "a torn first record");
    let (mut journal, _) = open(&run).unwrap();
    journal.append(&events(1, 1), time(1)).wait().unwrap();
    assert!(reader::has_begun(&run).unwrap());
}

#[test]
fn truncation_at_any_byte_costs_only_the_record_it_hit() {
    let (_dir, run) = run_with(12);
    let whole = std::fs::read(run.journal()).unwrap();
    let ends = ends(&whole);
    for len in 0..whole.len() {
        std::fs::write(run.journal(), &whole[..len]).unwrap();
        let kept = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(Reader::open(&run).unwrap().map(Result::unwrap).count(), kept, "reader at {len}");

        // In memory, because thousands of cuts would be thousands of flushes.
        let file = FaultyFile::with(whole[..len].to_vec());
        let (mut journal, found) = open_file(&run, &file).unwrap();
        assert_records(1, &found.events);
        assert_eq!(found.events.len(), kept, "open at {len}");
        let whole_bytes = kept.checked_sub(1).map_or(0, |last| ends[last]);
        assert_eq!(found.torn_tail.map_or(0, |torn| torn.bytes), (len - whole_bytes) as u64);

        journal.append(&[event(kept as u64 + 1)], time(0)).wait().unwrap();
        drop(journal);
        assert_records(1, &open_file(&run, &file).unwrap().1.events);
    }
}

#[test]
fn any_flipped_bit_is_found_where_it_is_and_the_file_stays_as_it_was() {
    let (_dir, run) = run_with(12);
    let whole = std::fs::read(run.journal()).unwrap();
    let ends = ends(&whole);
    for at in 0..whole.len() {
        // All eight bits of the last two records, where damage looks most like an interrupted write.
        let bits = if at >= ends[9] { 0..8 } else { at % 8..at % 8 + 1 };
        for bit in bits {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(run.journal(), &damaged).unwrap();
            let hit = ends.iter().filter(|end| **end <= at).count() as u64 + 1;
            match open(&run).map(|(_, found)| found) {
                Err(JournalError::Corrupt { at_record, .. } | JournalError::NewerFormat { at_record, .. }) => {
                    assert_eq!(at_record, hit, "bit {bit} of byte {at}");
                }
                other => panic!("bit {bit} of byte {at} was not found: {other:?}"),
            }
            assert_eq!(std::fs::read(run.journal()).unwrap(), damaged);
            let read: Vec<_> = Reader::open(&run).unwrap().collect();
            assert_eq!(read.len() as u64, hit, "the reader ends with the error");
            assert!(read.last().unwrap().is_err());
        }
    }
}

#[test]
fn records_that_were_dropped_doubled_swapped_or_zeroed_are_damage() {
    let (_dir, run) = run_with(8);
    let whole = std::fs::read(run.journal()).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let zeros = vec![0; lines[3].len()];
    let cases: [(&str, Vec<usize>, Option<usize>); 4] = [
        ("dropped", vec![0, 1, 2, 4, 5, 6, 7], None),
        ("doubled", vec![0, 1, 2, 2, 3, 4, 5, 6, 7], None),
        ("swapped", vec![0, 1, 2, 4, 3, 5, 6, 7], None),
        ("zeroed", vec![0, 1, 2, 3, 4, 5, 6, 7], Some(3)),
    ];
    for (name, order, zeroed) in cases {
        let bytes: Vec<u8> =
            order.iter().flat_map(|line| if Some(*line) == zeroed { &zeros } else { lines[*line] }).copied().collect();
        std::fs::write(run.journal(), &bytes).unwrap();
        let error = open(&run).map(drop).unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { at_record: 4, .. }), "{name}: {error}");
        assert_eq!(std::fs::read(run.journal()).unwrap(), bytes, "{name}");
    }
}

/// Lines that we would write ourselves, but for one thing.
#[test]
fn a_chain_that_fits_does_not_excuse_a_wrong_number_or_a_falling_epoch() {
    let cases = [
        (
            Position { sequence: 2, ..Position { epoch: 1, crc: 0, offset: 0, sequence: 0 } },
            Damage::Sequence { expected: 2, found: 3 },
        ),
        (Position { sequence: 1, epoch: 0, crc: 0, offset: 0 }, Damage::EpochFell { before: 1, found: 0 }),
    ];
    for (wrong, expected) in cases {
        let (_dir, run) = new_run();
        let (mut bytes, mut position) = (Vec::new(), Position { epoch: 1, ..Position::start(run.id()) });
        position.encode(&event(1), time(1), 0, &mut bytes).unwrap();
        let mut next = Position { crc: position.crc, offset: position.offset, ..wrong };
        next.encode(&event(2), time(2), 1, &mut bytes).unwrap();
        std::fs::write(run.journal(), &bytes).unwrap();
        let error = open(&run).map(drop).unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { at_record: 2, damage, .. } if damage == expected), "{error}");
    }
}

#[test]
fn a_journal_of_another_run_does_not_fit() {
    let (_dir, run) = run_with(3);
    let (_other_dir, other) = new_run();
    let state = super::StateDir::at(other.path().ancestors().nth(2).unwrap());
    let stranger = state.run(&"another".parse().unwrap());
    stranger.create().unwrap();
    std::fs::copy(run.journal(), stranger.journal()).unwrap();
    assert!(matches!(open(&stranger), Err(JournalError::Corrupt { at_record: 1, damage: Damage::Checksum, .. })));
}

#[test]
fn what_a_newer_version_wrote_is_refused_and_not_touched() {
    let (_dir, run) = run_with(2);
    let mut bytes = std::fs::read(run.journal()).unwrap();
    bytes.extend_from_slice(b"{\"format\":2,\"anything\":\"else\"}\ntorn");
    std::fs::write(run.journal(), &bytes).unwrap();
    let error = open(&run).map(drop).unwrap_err();
    assert!(error.is_foreign());
    assert!(matches!(error, JournalError::NewerFormat { at_record: 3, found: 2, newest: 1, .. }), "{error}");
    assert_eq!(std::fs::read(run.journal()).unwrap(), bytes);
}

#[test]
fn an_event_that_is_not_known_is_refused_and_not_touched() {
    let (_dir, run) = run_with(1);
    let whole = std::fs::read(run.journal()).unwrap();
    // A record whose chain fits, with an event of a later version.
    let mut position = Position { epoch: 1, ..Position::start(run.id()) };
    let mut discarded = Vec::new();
    position.encode(&event(1), time(1), 0, &mut discarded).unwrap();
    let body = r#"{"format":1,"seq":2,"epoch":1,"time":5,"durable":1,"event":"step-dreamt","step":"a""#;
    let crc = crc32c::crc32c_append(position.crc, body.as_bytes());
    let bytes = [&whole[..], format!("{body},\"crc\":\"{crc:08x}\"}}\ntorn").as_bytes()].concat();
    std::fs::write(run.journal(), &bytes).unwrap();
    let error = open(&run).map(drop).unwrap_err();
    assert!(error.is_foreign());
    assert!(matches!(error, JournalError::UnknownEvent { at_record: 2, .. }), "{error}");
    assert_eq!(std::fs::read(run.journal()).unwrap(), bytes);
}

#[test]
fn a_reader_goes_on_when_a_line_becomes_whole() {
    let (_dir, run) = run_with(5);
    let whole = std::fs::read(run.journal()).unwrap();
    let ends = ends(&whole);
    std::fs::write(run.journal(), &whole[..ends[2] + 30]).unwrap();
    let mut reader = Reader::open(&run).unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 3);
    assert!(reader.next().is_none());
    std::fs::write(run.journal(), &whole[..ends[3]]).unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).map(|record| record.sequence).collect::<Vec<_>>(), [Sequence(4)]);
    std::fs::write(run.journal(), &whole).unwrap();
    assert_eq!(reader.map(Result::unwrap).map(|record| record.sequence).collect::<Vec<_>>(), [Sequence(5)]);
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any content, in batches of any size, with the file cut anywhere: a prefix comes back, and the next record fits it.
    #[test]
    fn any_events_come_back_from_any_cut(
        batches in prop::collection::vec(prop::collection::vec((any::<String>(), value()), 1..4), 1..8),
        cut in 0.0..=1.0f64,
    ) {
        let (_dir, run) = new_run();
        let mut journal = FileJournal::create(&run, &lock(&run)).unwrap();
        let mut written = Vec::new();
        for batch in batches {
            let step = engine_core::id::StepId::new("a");
            let batch: Vec<_> = batch.into_iter().map(|(key, value)| Event::MemoPut { step: step.clone(), key, value }).collect();
            journal.append(&batch, time(0)).wait().unwrap();
            written.extend(batch);
        }
        drop(journal);
        let whole = std::fs::read(run.journal()).unwrap();
        let len = (whole.len() as f64 * cut) as usize;
        std::fs::write(run.journal(), &whole[..len]).unwrap();

        let (mut journal, found) = open(&run).unwrap();
        let read: Vec<_> = found.events.into_iter().map(|record| record.event).collect();
        prop_assert_eq!(&read[..], &written[..read.len()]);
        prop_assert_eq!(read.len(), ends(&whole[..len]).len());
        journal.append(&[event(1)], time(0)).wait().unwrap();
        drop(journal);
        prop_assert_eq!(open(&run).unwrap().1.events.len(), read.len() + 1);
    }
}
