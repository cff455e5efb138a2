//! The live view as a terminal sees it: a small one interprets what was written, so that the tests speak of screens.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::sample::*;
use super::*;

/// Rows of text and a cursor; knows what the live view uses, and nothing else.
struct Screen {
    width: usize,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    is_cursor_shown: bool,
}

impl Screen {
    fn new(width: usize) -> Screen {
        Screen { width, rows: vec![Vec::new()], row: 0, column: 0, is_cursor_shown: true }
    }

    fn feed(&mut self, text: &str) {
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '\u{1b}' => rest = self.sequence(rest),
                '\r' => self.column = 0,
                '\n' => {
                    self.row += 1;
                    self.column = 0;
                    self.ensure_row();
                }
                shown => self.put(shown),
            }
        }
    }

    fn put(&mut self, character: char) {
        let width = words::width(&character.to_string());
        assert!(self.column + width <= self.width, "a line wrapped in row {}: {:?}", self.row, self.text());
        let row = &mut self.rows[self.row];
        row.resize(row.len().max(self.column + width), ' ');
        row[self.column] = character;
        // The second half of a wide character.
        if width == 2 {
            row[self.column + 1] = '\0';
        }
        self.column += width;
    }

    fn sequence<'a>(&mut self, text: &'a str) -> &'a str {
        let text = text.strip_prefix('[').expect("only control sequences are used");
        let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        let (argument, command) = (&text[..end], text.as_bytes()[end]);
        match (command, argument) {
            (b'A', rows) => {
                self.row = self.row.checked_sub(rows.parse().unwrap()).expect("the cursor stays on the screen")
            }
            (b'K', "") => self.rows[self.row].truncate(self.column),
            (b'J', "") => {
                self.rows[self.row].truncate(self.column);
                self.rows.truncate(self.row + 1);
            }
            (b'h', "?25") => self.is_cursor_shown = true,
            (b'l', "?25") => self.is_cursor_shown = false,
            (b'h' | b'l', "?2026") | (b'm', _) => {}
            odd => panic!("unknown sequence {odd:?}"),
        }
        &text[end + 1..]
    }

    fn ensure_row(&mut self) {
        while self.rows.len() <= self.row {
            self.rows.push(Vec::new());
        }
    }

    /// Becomes narrower or wider as terminals do: rows that no longer fit are broken.
    fn resize(&mut self, width: usize) {
        self.width = width;
        let mut row_now = 0;
        let mut rows = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            if at == self.row {
                row_now = rows.len();
            }
            match row.len() {
                0 => rows.push(Vec::new()),
                _ => rows.extend(row.chunks(width).map(<[char]>::to_vec)),
            }
        }
        (self.rows, self.row) = (rows, row_now);
    }

    fn text(&self) -> String {
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| row.iter().filter(|c| **c != '\0').collect::<String>().trim_end().to_owned())
            .collect();
        rows.join("\n")
    }
}

struct Stage {
    live: Live,
    paper: Paper,
    screen: Screen,
    width: Arc<AtomicUsize>,
}

use std::sync::Arc;

impl Stage {
    fn new(view: RunView, width: usize) -> Stage {
        let paper = Paper::default();
        let shared = Arc::new(AtomicUsize::new(width));
        let size = Arc::clone(&shared);
        let setting = setting(Look::terminal(width, 24));
        let live = Live::new(paper.out(), view, setting, Box::new(move || (size.load(Ordering::SeqCst), 24)));
        Stage { live, paper, screen: Screen::new(width), width: shared }
    }

    fn show(&mut self, notices: &[Notice], now: u64) {
        for notice in notices {
            self.live.event(notice).unwrap();
        }
        self.live.tick(at(now)).unwrap();
        self.screen.feed(&self.paper.take());
        assert!(self.screen.is_cursor_shown, "between frames the cursor is where a shell expects it");
        assert_eq!(self.screen.column, 0);
    }

    fn resize(&mut self, width: usize) {
        self.width.store(width, Ordering::SeqCst);
        self.screen.resize(width);
    }
}

#[test]
fn the_region_moves_down_and_finished_steps_stay() {
    let notices = failing();
    let mut stage = Stage::new(view(), 80);
    stage.show(&notices[..5], 100);
    stage.show(&notices[5..9], 2_500);
    stage.show(&[], 10_000);
    insta::assert_snapshot!("live_running", stage.screen.text());
    stage.show(&notices[9..], 300_500);
    stage.live.finish(&ending(300_500)).unwrap();
    stage.screen.feed(&stage.paper.take());
    let text = stage.screen.text();
    assert!(!text.contains("Ctrl-C") && !text.contains("elapsed"), "the region is gone: {text}");
    for step in ["names", "ns", "etcd"] {
        let lasting = text
            .lines()
            .filter(|line| line.starts_with(" OK") || line.starts_with(" FAIL"))
            .filter(|line| line.contains(&format!(" {step} ")));
        assert_eq!(lasting.count(), 1, "{step} in {text}");
    }
    insta::assert_snapshot!("live_ended", text);
}

#[test]
fn nothing_is_drawn_over_the_heading_and_remarks_stay() {
    let mut stage = Stage::new(view(), 80);
    stage.show(&[], 0);
    assert_eq!(stage.screen.text(), "", "there is no run yet");
    stage.show(&failing()[..5], 100);
    let remark = |step, text: &str| Notice::Remark { step, time: at(200), text: text.into() };
    stage.show(
        &[
            remark(None, "a key was made"),
            remark(Some(id("ns")), "cannot be told, kept"),
            Notice::Stopping { time: at(201) },
        ],
        300,
    );
    let text = stage.screen.text();
    assert!(text.starts_with("zheng  run zheng-7f3a"), "{text}");
    assert!(text.contains("\n NOTE  a key was made\n"), "{text}");
    assert!(text.contains("\n NOTE  hub     ns "), "{text}");
    assert!(text.contains("\n STOP  nothing more is started; waits for 2 running steps"), "{text}");
}

#[test]
fn frames_come_at_most_ten_times_a_second() {
    let mut stage = Stage::new(view(), 80);
    stage.show(&failing()[..5], 1_000);
    let mut frames = 0;
    for ms in 0..1_000 {
        stage.live.tick(at(1_000 + ms)).unwrap();
        frames += usize::from(!stage.paper.take().is_empty());
    }
    assert_eq!(frames, 9, "and one that was drawn before");
}

#[test]
fn a_clock_that_goes_back_does_not_freeze_the_view() {
    let mut stage = Stage::new(view(), 80);
    stage.show(&failing()[..5], 600_000);
    stage.live.tick(at(1_000)).unwrap();
    assert!(!stage.paper.take().is_empty());
}

#[test]
fn a_resized_terminal_keeps_one_region_and_every_finished_step() {
    let notices = failing();
    for widths in [[80, 50, 120], [120, 40, 41], [90, 200, 40]] {
        let mut stage = Stage::new(view(), widths[0]);
        stage.show(&notices[..7], 1_000);
        stage.resize(widths[1]);
        stage.show(&notices[7..9], 2_500);
        stage.resize(widths[2]);
        stage.show(&[], 5_000);
        let text = stage.screen.text();
        assert_eq!(text.matches("elapsed").count(), 1, "{text}");
        assert_eq!(text.matches(" SAME").count(), 1, "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with(" OK")).count(), 2, "{text}");
    }
}

#[test]
fn wide_characters_never_wrap_a_line() {
    let view = RunView::new(run(), &wide_plan(30, 4));
    let ids: Vec<String> = view.steps.iter().map(|step| step.id.to_string()).collect();
    let mut stage = Stage::new(view, 40);
    let mut tape = Tape::default();
    for (n, id) in ids.iter().enumerate() {
        let reason = "世界".repeat(n);
        stage.show(
            &[tape.record(n as u64 * 200, started(id, 1)), waiting(id, n as u64 * 200, &reason)],
            n as u64 * 200 + 150,
        );
        if n % 3 == 0 {
            stage.show(&[tape.record(n as u64 * 200 + 160, succeeded(id, &reason, false))], n as u64 * 200 + 190);
        }
    }
}
