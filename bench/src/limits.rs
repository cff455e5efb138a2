//! What the machine itself allows: the bare work that a durable step cannot do without.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

/// About what a step writes: its outcome and the start of the next.
const RECORD: [u8; 400] = [b'x'; 400];

fn log(place: &Path) -> io::Result<File> {
    let path = place.join("limit");
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    OpenOptions::new().append(true).create_new(true).open(path)
}

/// Seconds for `count` records, each appended and flushed before the next.
pub fn append_and_flush(place: &Path, count: usize) -> io::Result<f64> {
    let mut file = log(place)?;
    let began = Instant::now();
    for _ in 0..count {
        file.write_all(&RECORD)?;
        file.sync_data()?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds for `count` records of `clients` threads, each of which waits for its record before it sends the next; one committer
/// writes and flushes whatever has piled up.
pub fn group_commit(place: &Path, count: usize, clients: usize) -> io::Result<f64> {
    let mut file = log(place)?;
    let (sender, receiver) = mpsc::channel::<mpsc::SyncSender<()>>();
    let began = Instant::now();
    let mut result = Ok(());
    std::thread::scope(|scope| {
        for client in 0..clients {
            let sender = sender.clone();
            let share = count / clients + usize::from(client < count % clients);
            scope.spawn(move || {
                let (done, wait) = mpsc::sync_channel(1);
                for _ in 0..share {
                    // The committer ends early only when its disk fails; then there is nothing to wait for.
                    if sender.send(done.clone()).is_err() || wait.recv().is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        while let Ok(first) = receiver.recv() {
            let mut batch = vec![first];
            batch.extend(receiver.try_iter());
            result = file.write_all(&RECORD.repeat(batch.len())).and_then(|()| file.sync_data());
            if result.is_err() {
                return;
            }
            for done in batch {
                let _ = done.send(());
            }
        }
    });
    result.map(|()| began.elapsed().as_secs_f64())
}
