//! The view off a terminal: a timestamped line per change of state, a line when the reason of a wait changes, and a sign of life
//! each minute from whatever still runs. Lines are not cut: they are read by `grep` and in the logs of CI.

use std::collections::HashMap;
use std::io::{self, Write};

use engine_core::id::{StepId, Timestamp};
use engine_core::run::Event;

use super::entry::{self, Entry};
use super::line::Line;
use super::look::Style;
use super::setting::Setting;
use super::summary::{self, Ending};
use super::word::Word;
use super::{Notice, Out, Reporter, RunView, words};

/// A step that has said nothing for this long is mentioned.
const QUIET_MS: u64 = 60_000;
/// More lines than this at once would bury the log; the rest is counted.
const MENTIONED_MAX: usize = 10;

pub struct Plain {
    out: Out,
    view: RunView,
    setting: Setting,
    /// When each running step last had a line.
    heard: HashMap<StepId, Timestamp>,
    /// Before this moment no step can be due for a sign of life.
    next_look: Timestamp,
    label_width: usize,
}

impl Plain {
    /// The view has seen what happened before this process.
    pub fn new(out: Out, view: RunView, setting: Setting) -> Plain {
        let label_width = view.steps.iter().map(|step| words::width(&view.label(step))).max().unwrap_or(0).min(32);
        Plain { out, view, setting, heard: HashMap::new(), next_look: Timestamp(0), label_width }
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        writeln!(self.out, "{}", line.render(&self.setting.look))
    }
}

impl Reporter for Plain {
    fn event(&mut self, notice: &Notice) -> io::Result<()> {
        if !self.view.apply(notice) {
            return Ok(());
        }
        if let Notice::Recorded(recorded) = notice
            && matches!(recorded.event, Event::RunStarted { .. } | Event::RunResumed { .. })
        {
            return self.out.write_all(summary::heading(&self.view, &self.setting).as_bytes());
        }
        let Some(entry) = entry::of(notice, &self.view) else { return Ok(()) };
        if let Some(step) = entry.step {
            if step.state.is_active() {
                self.heard.insert(step.id.clone(), entry.time);
            } else {
                self.heard.remove(&step.id);
            }
        }
        let line = entry_line(&entry, &self.view, self.label_width);
        self.write(&line)
    }

    fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        if now >= self.next_look {
            let lines = self.signs_of_life(now);
            for line in lines {
                self.write(&line)?;
            }
        }
        self.out.flush()
    }

    fn finish(&mut self, ending: &Ending) -> io::Result<()> {
        writeln!(self.out)?;
        self.out.write_all(summary::text(&self.view, ending, &self.setting).as_bytes())?;
        self.out.flush()
    }
}

impl Plain {
    /// A line for each step that has been silent for a minute, and the moment when the next one may be due.
    fn signs_of_life(&mut self, now: Timestamp) -> Vec<Line> {
        let mut next = now.plus_ms(QUIET_MS);
        let mut silent = Vec::new();
        for step in self.view.active() {
            let heard = *self.heard.entry(step.id.clone()).or_insert(now);
            if now.since(heard) >= QUIET_MS {
                silent.push(step);
            } else {
                next = next.min(heard.plus_ms(QUIET_MS));
            }
        }
        let left_out = silent.len().saturating_sub(MENTIONED_MAX);
        let mut lines = Vec::new();
        for step in silent {
            let heard = self.heard.insert(step.id.clone(), now);
            if lines.len() < MENTIONED_MAX {
                let (reason, since) = match &step.waiting {
                    Some(waiting) => (words::clean(&waiting.reason), waiting.since),
                    None => ("running, without a reason to wait".into(), heard.unwrap_or(now)),
                };
                let text = format!("unchanged for {}: {reason}", unchanged(now.since(since)));
                let entry =
                    Entry { word: Word::Wait, step: Some(step), took_ms: Some(step.took_ms(now)), text, time: now };
                lines.push(entry_line(&entry, &self.view, self.label_width));
            }
        }
        if left_out > 0 {
            lines.push(
                Line::new()
                    .text(format!("{} {}", words::clock(now), words::pad("WAIT", 5)))
                    .text(format!(" and {left_out} more are unchanged")),
            );
        }
        self.next_look = next;
        lines
    }
}

/// Seconds up to two minutes, so that the usual sign of life reads `60s`.
fn unchanged(ms: u64) -> String {
    if ms < 120_000 { format!("{}s", ms / 1_000) } else { words::age(ms) }
}

fn entry_line(entry: &Entry<'_>, view: &RunView, label_width: usize) -> Line {
    let time = match (entry.word, entry.took_ms) {
        (_, None) => String::new(),
        (Word::Wait, Some(ms)) => words::age(ms),
        (_, Some(ms)) => words::duration(ms),
    };
    let line = Line::new()
        .with(Style::Quiet, words::clock(entry.time))
        .text(" ")
        .with(entry.word.style(), words::pad(entry.word.text(), 5))
        .text(" ");
    let Some(step) = entry.step else { return line.text(entry.text.clone()) };
    line.text(words::pad(&view.label(step), label_width))
        .text(format!(" {}  ", words::pad_left(&time, 6)))
        .text(entry.text.clone())
}

#[cfg(test)]
mod tests {
    use super::super::Look;
    use super::super::sample::*;
    use super::*;

    fn plain(paper: &Paper) -> Plain {
        Plain::new(paper.out(), view(), setting(Look::plain()))
    }

    #[test]
    fn a_failing_run_reads_from_top_to_bottom() {
        let paper = Paper::default();
        let mut plain = plain(&paper);
        for notice in failing() {
            plain.event(&notice).unwrap();
        }
        plain.finish(&ending(300_500)).unwrap();
        let text = paper.take();
        assert!(!text.contains('\u{1b}'));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_silent_step_is_mentioned_each_minute_with_its_reason() {
        let paper = Paper::default();
        let mut plain = plain(&paper);
        for notice in &failing()[..9] {
            plain.event(notice).unwrap();
        }
        paper.take();
        let mut heard = Vec::new();
        for second in 0..185 {
            plain.tick(at(2_430 + second * 1_000)).unwrap();
            heard.extend(paper.take().lines().map(str::to_owned));
        }
        assert_eq!(
            heard,
            [
                "14:03:13Z WAIT  hub/etcd                    1m02s  unchanged for 60s: Etcd/etcd-root Ready=False: 1 of 3 members",
                "14:04:13Z WAIT  hub/etcd                    2m02s  unchanged for 2m00s: Etcd/etcd-root Ready=False: 1 of 3 members",
                "14:05:13Z WAIT  hub/etcd                    3m02s  unchanged for 3m00s: Etcd/etcd-root Ready=False: 1 of 3 members",
            ]
        );
    }

    #[test]
    fn what_the_engine_has_to_say_is_a_line_too() {
        let paper = Paper::default();
        let mut plain = plain(&paper);
        for notice in &failing()[..5] {
            plain.event(notice).unwrap();
        }
        paper.take();
        plain.event(&Notice::Remark { step: None, time: at(30), text: "a key was made".into() }).unwrap();
        plain.event(&Notice::Stopping { time: at(40) }).unwrap();
        assert_eq!(
            paper.take(),
            "14:02:11Z NOTE  a key was made\n\
             14:02:11Z STOP  nothing more is started; waits for 2 running steps to be safe, a second interrupt leaves at once\n"
        );
    }

    #[test]
    fn many_silent_steps_do_not_bury_the_log() {
        let paper = Paper::default();
        let view = RunView::new(run(), &wide_plan(40, 2));
        let ids: Vec<String> = view.steps.iter().map(|step| step.id.to_string()).collect();
        let mut plain = Plain::new(paper.out(), view, setting(Look::plain()));
        let mut tape = Tape::default();
        for id in &ids {
            plain.event(&tape.record(0, started(id, 1))).unwrap();
        }
        paper.take();
        plain.tick(at(60_000)).unwrap();
        let text = paper.take();
        assert_eq!(text.lines().count(), MENTIONED_MAX + 1, "{text}");
        assert!(text.ends_with("and 30 more are unchanged\n"), "{text}");
    }
}
