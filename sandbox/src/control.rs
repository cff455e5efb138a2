//! What a controller over an API server is made of, whatever it controls: a picture of the world, a pure function that says what to
//! do about it, and a loop that does so.
//!
//! - [`World`]: the objects as last seen, the only thing that a controller decides by
//! - [`Action`]: what a controller wants done
//! - [`run`]: watches, decides and acts until it fails; it keeps nothing, so it may be killed and started again at any time
//!
//! What is decided lives with the controllers, in `operator` and `druid`. The kube crate's own runtime is not used: one loop over one
//! picture is less than its store, queue and back-off, and a pure function of the whole picture can be rehearsed without a cluster.

mod act;
mod watch;
mod world;

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use act::Action;
pub(crate) use act::chain;
pub use world::{Kind, World, meta, name, namespace, text};

/// How often a change is looked for, and how often the world is judged again without one (time is a cause, too).
const BEAT: Duration = Duration::from_millis(200);
const BEATS_BETWEEN_LOOKS: u32 = 5;

/// Why a controller ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no matches for kind \"{kind}\" in version \"{version}\"")]
    NotServed { kind: &'static str, version: &'static str },
    #[error("the watch of {plural} ended")]
    WatchEnded { plural: &'static str },
    #[error("{doing} failed")]
    Api { doing: String, source: Box<kube::Error> },
}

/// Watches `kinds` and carries out what `decide` says of them, as `manager`. Returns only when it cannot go on.
pub async fn run(
    client: Client,
    manager: &str,
    kinds: &'static [Kind],
    mut decide: impl FnMut(&World, Timestamp) -> Vec<Action>,
) -> Result<(), Error> {
    for kind in kinds {
        watch::is_served(&client, kind).await?;
    }
    let (changes, mut changed) = mpsc::channel(1024);
    let mut watching = JoinSet::new();
    for kind in kinds {
        watching.spawn(watch::watch(client.clone(), kind, changes.clone()));
    }
    let mut world = World::default();
    let mut hand = act::Hand::new(client, manager, kinds);
    let mut beat = tokio::time::interval(BEAT);
    let mut idle = 0;
    loop {
        tokio::select! {
            ended = watching.join_next() => return Err(match ended {
                Some(Ok(error)) => error,
                Some(Err(_)) | None => Error::WatchEnded { plural: "some kind" },
            }),
            _ = beat.tick() => {}
        }
        let mut changes_seen = 0;
        while let Ok(change) = changed.try_recv() {
            world.take(change);
            changes_seen += 1;
        }
        idle = if changes_seen > 0 { 0 } else { idle + 1 };
        // An incomplete picture must not be judged: what is missing from it may only not have been seen yet.
        if kinds.iter().all(|kind| world.has_seen(kind)) && idle % BEATS_BETWEEN_LOOKS == 0 {
            hand.carry_out(&world, decide(&world, now())).await;
        }
    }
}

/// The clock is read here and nowhere else: what is decided gets it as a value.
fn now() -> Timestamp {
    Timestamp::now()
}
