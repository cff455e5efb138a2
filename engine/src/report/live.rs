//! The view on a terminal: the scrollback gets one lasting line per finished step; below it a small region is redrawn.
//!
//! Why by hand: the region has to leave the scrollback alone, so the alternate screen is out, and every frame has to be one write
//! of complete lines, so that a process that dies between two frames leaves a readable screen and a visible cursor. A frame goes up
//! to the first line of the region before it, writes what is new for the scrollback over it, then the region again. Between
//! frames the cursor stands at the start of the row below the region.
//!
//! On a resize terminals break the lines that no longer fit into several rows; the rows of the last region are counted anew for
//! the present width, else the frame would begin in the middle of the old one.

use std::io::{self, Write};

use crossterm::Command;
use crossterm::cursor::{Hide, MoveUp, Show};
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use engine_core::id::Timestamp;
use engine_core::run::Event;

use super::entry::{self, Entry};
use super::line::Line;
use super::look::Look;
use super::setting::Setting;
use super::summary::{self, Ending};
use super::{Notice, Out, Reporter, RunView, region, words};

/// Ten frames a second are smooth; more only cost.
const FRAME_MS: u64 = 100;

/// Columns and rows of the terminal at this moment.
pub type SizeNow = Box<dyn FnMut() -> (usize, usize) + Send>;

pub struct Live {
    out: Out,
    view: RunView,
    setting: Setting,
    size: SizeNow,
    /// For the scrollback, with the next frame; cut only then, because the terminal may become narrower before.
    lasting: Vec<Line>,
    /// Widths of the region's lines as they were last drawn.
    drawn: Vec<usize>,
    last_frame: Option<Timestamp>,
    columns: (usize, usize),
    /// Before the first event is durable there is no run to show.
    has_begun: bool,
}

impl Live {
    /// The view has seen what happened before this process.
    pub fn new(out: Out, view: RunView, setting: Setting, size: SizeNow) -> Live {
        let lane = view.lanes.iter().map(|lane| words::width(&lane.name)).max().unwrap_or(0).min(12);
        let step = view.steps.iter().map(|step| words::width(step.id.as_str())).max().unwrap_or(0).min(28);
        Live {
            out,
            view,
            setting,
            size,
            lasting: Vec::new(),
            drawn: Vec::new(),
            last_frame: None,
            columns: (lane, step),
            has_begun: false,
        }
    }

    fn frame(&mut self, now: Timestamp) -> io::Result<()> {
        self.look_again();
        let region = region::lines(&self.view, now, &self.setting.look);
        let lasting = std::mem::take(&mut self.lasting);
        let frame = draw(&lasting, &region, self.rows_drawn(), &self.setting.look);
        self.drawn = region.iter().map(Line::width).collect();
        self.last_frame = Some(now);
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }

    fn look_again(&mut self) {
        (self.setting.look.width, self.setting.look.height) = (self.size)();
    }

    /// Rows that the last region takes now: the terminal may have become narrower since.
    fn rows_drawn(&self) -> usize {
        let width = self.setting.look.width.max(1);
        self.drawn.iter().map(|columns| columns.div_ceil(width).max(1)).sum()
    }

    fn lasting_line(&self, entry: &Entry<'_>) -> Line {
        let look = &self.setting.look;
        let (lane_width, step_width) = self.columns;
        let glyphs = look.glyphs();
        let line = Line::new().text(" ").with(entry.word.style(), words::pad(entry.word.text(), 5));
        let Some(step) = entry.step else { return line.text(format!(" {}", entry.text)) };
        let lane = &self.view.lanes[step.lane].name;
        let took = entry.took_ms.map(words::duration).unwrap_or_default();
        line.text(format!(" {} ", words::pad(&words::fit(lane, lane_width, glyphs.ellipsis), lane_width)))
            .text(words::pad(&words::fit(step.id.as_str(), step_width, glyphs.ellipsis), step_width))
            .text(format!(" {}  ", words::pad_left(&took, 6)))
            .text(entry.text.clone())
    }
}

impl Reporter for Live {
    fn event(&mut self, notice: &Notice) -> io::Result<()> {
        if !self.view.apply(notice) {
            return Ok(());
        }
        if let Notice::Recorded(recorded) = notice
            && matches!(recorded.event, Event::RunStarted { .. } | Event::RunResumed { .. })
        {
            self.lasting.extend(summary::heading_lines(&self.view, &self.setting));
            self.has_begun = true;
            return Ok(());
        }
        if let Some(entry) = entry::of(notice, &self.view)
            && entry.is_lasting()
        {
            let line = self.lasting_line(&entry);
            self.lasting.push(line);
        }
        Ok(())
    }

    fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        if !self.has_begun {
            return Ok(());
        }
        match self.last_frame {
            Some(last) if now.since(last) < FRAME_MS && now >= last => Ok(()),
            _ => self.frame(now),
        }
    }

    fn finish(&mut self, ending: &Ending) -> io::Result<()> {
        self.look_again();
        let lasting = std::mem::take(&mut self.lasting);
        let frame = draw(&lasting, &[], self.rows_drawn(), &self.setting.look);
        self.drawn.clear();
        self.out.write_all(frame.as_bytes())?;
        writeln!(self.out)?;
        self.out.write_all(summary::text(&self.view, ending, &self.setting).as_bytes())?;
        self.out.flush()
    }
}

/// One frame as one text. The cursor is hidden within it only, so nothing has to be restored when the process is killed between
/// frames.
fn draw(lasting: &[Line], region: &[Line], rows_before: usize, look: &Look) -> String {
    let mut frame = String::new();
    push(&mut frame, BeginSynchronizedUpdate);
    push(&mut frame, Hide);
    if let Ok(rows) = u16::try_from(rows_before)
        && rows > 0
    {
        frame.push('\r');
        push(&mut frame, MoveUp(rows));
    }
    for line in lasting.iter().chain(region) {
        frame.push_str(&line.clone().fit(look.width.saturating_sub(1), look).render(look));
        push(&mut frame, Clear(ClearType::UntilNewLine));
        frame.push_str("\r\n");
    }
    push(&mut frame, Clear(ClearType::FromCursorDown));
    push(&mut frame, Show);
    push(&mut frame, EndSynchronizedUpdate);
    frame
}

fn push(frame: &mut String, command: impl Command) {
    command.write_ansi(frame).expect("writing to a String does not fail");
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
