//! a timestamped line per state change.

use std::io;

use engine_core::id::Timestamp;

use super::setting::Setting;
use super::{Ending, Notice, Out, Reporter, RunView};

pub struct Plain {
    out: Out,
    view: RunView,
    setting: Setting,
}

impl Plain {
    /// The view has seen what happened before this process.
    pub fn new(out: Out, view: RunView, setting: Setting) -> Plain {
        Plain { out, view, setting }
    }
}

impl Reporter for Plain {
    fn event(&mut self, notice: &Notice) -> io::Result<()> {
        self.view.apply(notice);
        Ok(())
    }

    fn tick(&mut self, _: Timestamp) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, ending: &Ending) -> io::Result<()> {
        unimplemented!("{ending:?}")
    }
}
