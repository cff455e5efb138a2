//! `engine lock [FILE|DIR]` and `engine lock update [FILE|DIR]`

use std::path::{Path, PathBuf};

use engine_core::id::Digest;
use engine_core::workflow::Address;

use super::args::{LockArgs, LockCommand, LockPlace};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::step::registry_failed;
use super::{Roof, print, session};
use crate::load::{self, LOCK_FILE, LockError, LockFile};
use crate::oci::Network;
use crate::report::line::Line;
use crate::report::look::{Look, Style};
use crate::report::sheet::Sheet;

/// What became of one entry.
enum Change {
    Added(Digest),
    Kept(Digest),
    Moved { from: Digest, to: Digest },
    Removed,
}

pub fn lock(args: LockArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let (LockPlace { what }, looks_again) = match args.command {
        Some(LockCommand::Update(place)) => (place, true),
        None => (args.place, false),
    };
    let (folder, file) = place(&what);
    let used = load::tags_used(&folder, file).map_err(refused)?;
    let before = LockFile::read(&folder).map_err(refused)?;
    let workshop = session::workshop(roof, config, Network::Allowed);
    let mut after = LockFile::default();
    let mut changes = Vec::new();
    for address in &used {
        let known = before.entries.get(address);
        let digest = match known.filter(|_| !looks_again) {
            Some(digest) => digest.clone(),
            // The whole component, so that it is on this machine when a workflow is checked without a network.
            None => workshop.artifacts().pull(address).map_err(|error| registry_failed(&error))?.digest,
        };
        let change = match known {
            None => Change::Added(digest.clone()),
            Some(known) if *known == digest => Change::Kept(digest.clone()),
            Some(known) => Change::Moved { from: known.clone(), to: digest.clone() },
        };
        changes.push((address.clone(), change));
        after.entries.insert(address.clone(), digest);
    }
    let gone = before.entries.keys().filter(|address| !used.contains(address));
    changes.extend(gone.map(|address| (address.clone(), Change::Removed)));
    if after != before {
        after.write(&folder).map_err(refused)?;
    }
    print::data(&text(&folder.join(LOCK_FILE), &changes, &config.stdout)).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}

/// The folder, and the workflow there that was named.
fn place(what: &Path) -> (PathBuf, Option<&Path>) {
    match what {
        // As a folder, "." would be in front of every name that is shown.
        here if here == Path::new(".") => (PathBuf::new(), None),
        folder if folder.is_dir() => (folder.to_owned(), None),
        file => (file.parent().unwrap_or(Path::new("")).to_owned(), Some(file)),
    }
}

fn text(path: &Path, changes: &[(Address, Change)], look: &Look) -> String {
    if changes.is_empty() {
        return "nothing to lock: no workflow here uses a component by a tag\n".to_owned();
    }
    let mut sheet = Sheet::new(look);
    sheet.push(Line::new().with(Style::Strong, path.display().to_string()));
    for (address, change) in changes {
        let (label, digests) = match change {
            Change::Added(digest) => ("added", vec![format!("sha256:{digest}")]),
            Change::Kept(digest) => ("kept", vec![format!("sha256:{digest}")]),
            Change::Moved { from, to } => ("moved", vec![format!("from sha256:{from}"), format!("to   sha256:{to}")]),
            Change::Removed => ("removed", vec!["no workflow here uses it".to_owned()]),
        };
        sheet.labelled_as_is(label, &address.to_string());
        for digest in digests {
            sheet.labelled_as_is("", &digest);
        }
    }
    sheet.render()
}

fn refused(error: LockError) -> CliError {
    CliError::of(Exit::Invalid, &error)
}
