//! `--progress quiet`: nothing while it runs; the end is told as everywhere.

use std::io::{self, Write};

use engine_core::id::Timestamp;

use super::setting::Setting;
use super::summary::{self, Ending};
use super::{Notice, Out, Reporter, RunView};

pub struct Quiet {
    out: Out,
    view: RunView,
    setting: Setting,
}

impl Quiet {
    /// The view has seen what happened before this process.
    pub fn new(out: Out, view: RunView, setting: Setting) -> Quiet {
        Quiet { out, view, setting }
    }
}

impl Reporter for Quiet {
    fn event(&mut self, notice: &Notice) -> io::Result<()> {
        self.view.apply(notice);
        Ok(())
    }

    fn tick(&mut self, _: Timestamp) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, ending: &Ending) -> io::Result<()> {
        self.out.write_all(summary::text(&self.view, ending, &self.setting).as_bytes())?;
        self.out.flush()
    }
}
