//! JSON lines, engine.event/v1.

use std::io;

use engine_core::id::Timestamp;

use super::{Ending, Notice, Out, Reporter, RunView};

pub struct Json {
    out: Out,
    view: RunView,
}

impl Json {
    /// The view has seen what happened before this process.
    pub fn new(out: Out, view: RunView) -> Json {
        Json { out, view }
    }
}

impl Reporter for Json {
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
