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

#[cfg(test)]
mod tests {
    use super::super::Look;
    use super::super::sample::*;
    use super::*;

    #[test]
    fn nothing_is_said_before_the_end() {
        let paper = Paper::default();
        let mut quiet = Quiet::new(paper.out(), view(), setting(Look::plain()));
        for notice in failing() {
            quiet.event(&notice).unwrap();
            quiet.tick(at(600_000)).unwrap();
        }
        assert_eq!(paper.take(), "");
        quiet.finish(&ending(300_500)).unwrap();
        assert!(paper.take().contains("error[K204]"));
    }
}
