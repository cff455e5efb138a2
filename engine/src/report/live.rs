//! The view on a terminal.

use std::io;

use engine_core::id::Timestamp;

use super::setting::Setting;
use super::{Ending, Notice, Out, Reporter, RunView};

/// Columns and rows of the terminal at this moment.
pub type SizeNow = Box<dyn FnMut() -> (usize, usize) + Send>;

pub struct Live {
    out: Out,
    view: RunView,
    setting: Setting,
    size: SizeNow,
}

impl Live {
    /// The view has seen what happened before this process.
    pub fn new(out: Out, view: RunView, setting: Setting, size: SizeNow) -> Live {
        Live { out, view, setting, size }
    }
}

impl Reporter for Live {
    fn event(&mut self, notice: &Notice) -> io::Result<()> {
        self.view.apply(notice);
        Ok(())
    }

    fn tick(&mut self, _: Timestamp) -> io::Result<()> {
        (self.setting.look.width, self.setting.look.height) = (self.size)();
        self.out.flush()
    }

    fn finish(&mut self, ending: &Ending) -> io::Result<()> {
        unimplemented!("{ending:?}")
    }
}
