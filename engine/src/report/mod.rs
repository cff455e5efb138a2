//! What a person or a program sees of the engine: events, plans, problems and failures become text and JSON.
//!
//! Nothing here prints: every function returns a text or writes to what it was handed, and whatever depends on the reader
//! (width, colour, drawing characters) comes in as a [`Look`]. Nothing here decides either: the live view, the plain lines and the
//! JSON lines read the same [`Notice`]s, fold them into the same [`RunView`], and differ only in how they say it.
//!
//! Three rules hold for all of it. A text reads the same without colour. What comes from outside (a step's summary, a reason, an
//! error) is cleaned of control characters before it reaches a terminal. Hints stand last, after a blank line.

pub mod look;
mod nodes;

pub mod line;

pub mod words;

pub mod word;

pub mod suggest;

pub mod setting;

pub mod sheet;

pub mod snippet;

pub mod problems;

pub mod notice;

pub mod lanes;

pub mod step_view;

pub mod view;

pub mod entry;

pub mod json;

pub mod plain;

pub mod region;

pub mod live;

pub mod quiet;

pub mod failure;

pub mod summary;

pub mod custom;

pub mod plan;

pub mod plan_json;

pub mod status;

pub mod runs;

pub mod resume;

pub mod codes;

pub mod schema_text;

pub mod explain;

pub mod kinds;

#[cfg(test)]
mod sample;

use std::io;

use engine_core::id::Timestamp;

pub use look::Look;
pub use notice::Notice;
pub use setting::Setting;
pub use suggest::Suggest;
pub use summary::Ending;
pub use view::RunView;

/// Shows a run while it happens. One is chosen at the start; the runner feeds it what has become durable.
pub trait Reporter: Send {
    /// Something happened. Lines may be kept back until the next [`Reporter::tick`].
    fn event(&mut self, notice: &Notice) -> io::Result<()>;

    /// Time has passed: redraws, heartbeats, and what was kept back is written out. The runner calls it after each batch of
    /// events and ten times a second.
    fn tick(&mut self, now: Timestamp) -> io::Result<()>;

    /// The run is over, or this process stops: the last words.
    fn finish(&mut self, ending: &Ending) -> io::Result<()>;
}

/// What a reporter writes to.
pub type Out = Box<dyn io::Write + Send>;
