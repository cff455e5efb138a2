//! The clock, chance and the signals of this process.
//!
//! The first Ctrl-C (or a SIGTERM, or the terminal's end) asks the run to stop at its next safe points. The second leaves at once,
//! which equals a crash, which is safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use engine_core::id::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::exit::Exit;
use super::print;
use crate::run::{Chance, Clock};

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}

pub fn clock() -> Clock {
    Arc::new(now)
}

/// Jitter only has to differ between processes and moments; the hasher's keys are random once a process, so a counter spreads them.
pub fn chance() -> Chance {
    use std::hash::{BuildHasher, RandomState};
    let (keys, count) = (RandomState::new(), std::sync::atomic::AtomicU64::new(0));
    Arc::new(move || {
        let bits = keys.hash_one(count.fetch_add(1, Ordering::Relaxed));
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    })
}

/// Which signal asked for the stop first.
#[derive(Debug, Clone, Default)]
pub struct Stopped(Arc<AtomicU8>);

impl Stopped {
    pub fn exit(&self) -> Option<Exit> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Exit::Interrupted),
            _ => Some(Exit::Terminated),
        }
    }
}

/// Listens from now on. `leave` is said before the process leaves on the second signal.
pub fn listen(leave: String) -> std::io::Result<(mpsc::Receiver<()>, Stopped, impl Future<Output = ()> + Send)> {
    let (sender, receiver) = mpsc::channel(2);
    let stopped = Stopped::default();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let seen = stopped.clone();
    let listening = async move {
        let mut asked = false;
        loop {
            let which = tokio::select! {
                _ = interrupt.recv() => 1,
                _ = hang_up.recv() => 1,
                _ = terminate.recv() => 2,
            };
            if asked {
                at_once(&leave, which);
            }
            asked = true;
            seen.0.store(which, Ordering::Relaxed);
            // The runner may have ended in this moment; then there is nothing to stop.
            let _ = sender.send(()).await;
        }
    };
    Ok((receiver, stopped, listening))
}

#[expect(clippy::exit, reason = "the second signal means: now, without waiting for anything")]
fn at_once(leave: &str, which: u8) {
    print::tell(leave);
    std::process::exit(if which == 1 { Exit::Interrupted as i32 } else { Exit::Terminated as i32 });
}
