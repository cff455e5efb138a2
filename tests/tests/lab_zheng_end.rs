//! How a lab with a network of its own ends, and that what is said of it is true then.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

use engine_tests::lab::process::Process;
use engine_tests::lab::shared::say_left_out;
use engine_tests::lab::{Lab, LabError};

#[test]
fn a_lab_that_was_dropped_leaves_no_network() {
    if let Err(missing) = Lab::zheng_available() {
        return say_left_out(&missing);
    }
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::up_zheng(dir.path()).unwrap();
    let processes = lab.processes();
    assert_eq!(processes.iter().filter(|process| process.name.ends_with("-network")).count(), 4);
    assert!(processes.iter().all(Process::is_running));
    drop(lab);
    assert!(!processes.iter().any(Process::is_running));
    // Its namespaces went with the last process in them.
    let lab = Lab::open(dir.path()).unwrap();
    assert!(matches!(lab.enter(), Err(LabError::NoNetwork { .. })));
    assert!(matches!(lab.cut(0), Err(LabError::NoNetwork { .. })));
}
