//! The lines that stand below the scrollback while a run goes on: a lane per cluster with its progress and what it waits for,
//! then the totals. Pure: a view, a moment and a look become lines, none wider than the look, no more than it has room for.

use engine_core::id::Timestamp;

use super::line::Line;
use super::look::{Look, Style};
use super::step_view::{StepState, StepView};
use super::view::RunView;
use super::word::Word;
use super::{lanes, words};

/// Bars give way to the reasons: from this width on there is a short one, from the next a long one.
const BAR_SHORT: (usize, usize) = (70, 8);
const BAR_LONG: (usize, usize) = (100, 16);

/// The whole region. It leaves the last column free: a terminal may wrap as soon as that is written.
pub fn lines(view: &RunView, now: Timestamp, look: &Look) -> Vec<Line> {
    let width = look.width.saturating_sub(1);
    let columns = Columns::of(view, look);
    // The last row is the cursor's. On a low terminal the frame goes first, then the lanes; the totals stay.
    let rows = look.height.saturating_sub(1).min((look.height / 2).max(8));
    let (has_rule, has_hint) = (rows >= 4, rows >= 6);
    let room = rows.saturating_sub(1 + usize::from(has_rule) + usize::from(has_hint));
    let mut lines = Vec::new();
    if has_rule {
        lines.push(Line::new().with(Style::Quiet, look.glyphs().across.to_string().repeat(width)));
    }
    if room > 0 {
        lines.extend(lane_lines(view, now, look, &columns, room));
    }
    lines.push(totals(view, now, &columns));
    if has_hint {
        let hint = if view.is_stopping {
            " Stopping when the running steps are safe; Ctrl-C again leaves at once"
        } else {
            " Ctrl-C stops after the running steps; the run can be resumed"
        };
        lines.push(Line::new().with(Style::Quiet, hint));
    }
    lines.into_iter().map(|line| line.fit(width, look)).collect()
}

/// Widths that hold for all lines of a frame.
struct Columns {
    lane: usize,
    done: usize,
    bar: usize,
    step: usize,
}

impl Columns {
    fn of(view: &RunView, look: &Look) -> Columns {
        let lane = view.lanes.iter().map(|lane| words::width(&lane.name)).max().unwrap_or(0).clamp(3, 12);
        let done = view.counts.total.to_string().len() * 2 + 1;
        let bar = [BAR_LONG, BAR_SHORT].iter().find(|(from, _)| look.width >= *from).map_or(0, |(_, bar)| *bar);
        let step = view
            .active()
            .map(|step| words::width(step.id.as_str()))
            .max()
            .unwrap_or(0)
            .clamp(4, (look.width / 3).clamp(8, 28));
        Columns { lane, done, bar, step }
    }
}

fn lane_lines(view: &RunView, now: Timestamp, look: &Look, columns: &Columns, room: usize) -> Vec<Line> {
    let mut active: Vec<Vec<&StepView>> = vec![Vec::new(); view.lanes.len()];
    for step in view.active() {
        active[step.lane].push(step);
    }
    for steps in &mut active {
        // The one that has been under way longest is the one that people ask about.
        steps.sort_by_key(|step| step.started);
    }
    let shown = share(room, &active.iter().map(Vec::len).collect::<Vec<_>>());
    let mut rows = Vec::new();
    for (at, allotted) in shown.lanes {
        let head = lane_head(&view.lanes[at], look, columns);
        let margin = " ".repeat(head.width());
        let steps = &active[at];
        let (listed, rest) =
            if steps.len() > allotted { (allotted - 1, steps.len() + 1 - allotted) } else { (steps.len(), 0) };
        let mut head = Some(head);
        let mut lead = || head.take().unwrap_or_else(|| Line::new().text(margin.clone()));
        for step in &steps[..listed] {
            rows.push(step_row(lead(), step, now, look, columns));
        }
        if rest > 0 {
            let text = if listed == 0 {
                format!("{} running", words::count(rest, "step"))
            } else {
                format!("and {rest} more running")
            };
            rows.push(Row::short(lead().with(Style::Quiet, text)));
        }
        if steps.is_empty() {
            rows.push(Row::short(lead().with(Style::Quiet, idle(&view.lanes[at]))));
        }
    }
    if shown.left_out > 0 {
        rows.push(Row::short(
            Line::new().with(Style::Quiet, format!(" and {}", words::count(shown.left_out, "lane") + " more")),
        ));
    }
    unfold(rows, room)
}

/// A line, and how it is said in two when there is room for that.
struct Row {
    line: Line,
    unfolded: Option<[Line; 2]>,
}

impl Row {
    fn short(line: Line) -> Row {
        Row { line, unfolded: None }
    }
}

/// Rows that are left over go to reasons that one line had to cut, from the top.
fn unfold(rows: Vec<Row>, room: usize) -> Vec<Line> {
    let mut spare = room.saturating_sub(rows.len());
    let mut lines = Vec::new();
    for row in rows {
        match row.unfolded {
            Some(both) if spare > 0 => {
                spare -= 1;
                lines.extend(both);
            }
            _ => lines.push(row.line),
        }
    }
    lines
}

/// Which lanes are shown and in how many rows.
struct Share {
    lanes: Vec<(usize, usize)>,
    left_out: usize,
}

/// One row for each lane first, busy ones before idle ones; what is left goes round by round to lanes with more to show.
fn share(room: usize, active: &[usize]) -> Share {
    let mut order: Vec<usize> = (0..active.len()).collect();
    order.sort_by_key(|lane| active[*lane] == 0);
    let fitting = if active.len() <= room { active.len() } else { room.saturating_sub(1) };
    let mut chosen: Vec<(usize, usize)> = order[..fitting].iter().map(|lane| (*lane, 1)).collect();
    chosen.sort_unstable();
    let left_out = active.len() - fitting;
    let mut left = room - fitting - usize::from(left_out > 0);
    while left > 0 {
        let before = left;
        for (lane, rows) in &mut chosen {
            if left > 0 && *rows < active[*lane] {
                *rows += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    Share { lanes: chosen, left_out }
}

fn lane_head(lane: &lanes::Lane, look: &Look, columns: &Columns) -> Line {
    let counts = &lane.counts;
    let name = words::pad(&words::fit(&lane.name, columns.lane, look.glyphs().ellipsis), columns.lane);
    let done = words::pad_left(&format!("{}/{}", counts.done(), counts.total), columns.done);
    let mut line = Line::new().text(" ").with(Style::Strong, name).text(format!(" {done}  "));
    if columns.bar > 0 {
        let full = (counts.done() * columns.bar).checked_div(counts.total).unwrap_or(columns.bar);
        let glyphs = look.glyphs();
        line = line
            .with(Style::Good, glyphs.full.to_string().repeat(full))
            .with(Style::Quiet, glyphs.empty.to_string().repeat(columns.bar - full))
            .text("  ");
    }
    line
}

fn step_row(lead: Line, step: &StepView, now: Timestamp, look: &Look, columns: &Columns) -> Row {
    let name = words::pad(&words::fit(step.id.as_str(), columns.step, look.glyphs().ellipsis), columns.step);
    let took = words::pad_left(&words::age(step.took_ms(now)), 6);
    let line = lead.text(name).text(format!(" {took}  "));
    let (style, reason, age) = said(step, now);
    let width = look.width.saturating_sub(1);
    let needed = words::width(&reason) + words::width(&age);
    // The age is the last thing to go: it says whether the reason is news.
    let told = |line: Line, room: usize| {
        let reason = words::fit(&reason, room.saturating_sub(words::width(&age)), look.glyphs().ellipsis);
        line.with(style, reason.into_owned()).with(Style::Quiet, age.clone())
    };
    let room = width.saturating_sub(line.width());
    if needed <= room {
        return Row::short(told(line, room));
    }
    let indent = columns.lane + columns.done + 4;
    let below = told(Line::new().text(" ".repeat(indent)), width.saturating_sub(indent));
    Row { line: told(line.clone(), room), unfolded: Some([line, below]) }
}

/// Why a step is still under way, and how old that reason is.
fn said(step: &StepView, now: Timestamp) -> (Style, String, String) {
    match (&step.state, &step.waiting) {
        (StepState::Retrying { until }, _) => {
            let error = step.error.as_ref().map(|error| words::clean(&error.message).into_owned()).unwrap_or_default();
            (
                Word::Retry.style(),
                format!("{} in {}: {error}", Word::Retry.text(), words::age(until.since(now))),
                String::new(),
            )
        }
        (_, Some(waiting)) => (
            Style::Normal,
            words::clean(&waiting.reason).into_owned(),
            format!(" ({})", words::age(now.since(waiting.since))),
        ),
        (_, None) => (
            Style::Quiet,
            step.last_log.as_deref().map(|log| words::clean(log).into_owned()).unwrap_or_default(),
            String::new(),
        ),
    }
}

/// What a lane says when nothing runs in it.
fn idle(lane: &lanes::Lane) -> &'static str {
    let counts = &lane.counts;
    if counts.done() == counts.total {
        "done"
    } else if counts.failed > 0 {
        "a step failed"
    } else if counts.parked > 0 {
        "waits for a person"
    } else {
        "waits for other steps"
    }
}

fn totals(view: &RunView, now: Timestamp, columns: &Columns) -> Line {
    let counts = &view.counts;
    let done = words::pad_left(&format!("{}/{}", counts.done(), counts.total), columns.done);
    let mut line =
        Line::new().text(" ").with(Style::Strong, words::pad("all", columns.lane)).text(format!(" {done}  "));
    if columns.bar > 0 {
        line = line.text(words::pad(&format!("{}%", words::percent(counts.done(), counts.total)), columns.bar + 2));
    }
    let failed = if counts.failed > 0 { Style::Bad } else { Style::Normal };
    line = line.text(format!("elapsed {}", words::age(view.session.map_or(0, |session| now.since(session)))));
    line = line.text("  ").with(failed, format!("{} failed", counts.failed));
    for (number, name) in
        [(counts.same, "same"), (counts.skipped, "skipped"), (counts.parked, "parked"), (view.holds.len(), "held")]
    {
        if number > 0 {
            line = line.text(format!("  {number} {name}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::Notice;
    use super::super::sample::*;
    use super::*;
    use engine_core::run::Event;
    use proptest::prelude::*;

    fn drawn(view: &RunView, now: u64, width: usize, height: usize) -> String {
        let look = Look { width, height, colour: false, unicode: true };
        lines(view, at(now), &look).iter().map(|line| line.render(&look) + "\n").collect()
    }

    #[test]
    fn each_lane_shows_what_it_waits_for_and_since_when() {
        let mut view = after(&failing()[..9]);
        view.apply(&Tape::default().record(3_000, started("region[alpha].deploy", 1)));
        insta::assert_snapshot!("region_80", drawn(&view, 62_430, 80, 24));
        insta::assert_snapshot!("region_100", drawn(&view, 62_430, 100, 24));
        insta::assert_snapshot!("region_40", drawn(&view, 62_430, 40, 24));
    }

    #[test]
    fn a_retry_says_when_and_why() {
        let text = drawn(&after(&failing()[..10]), 61_430, 80, 24);
        assert!(text.contains("RETRY in 1s: the API server of `hub` went away"), "{text}");
    }

    #[test]
    fn rows_go_to_busy_lanes_first() {
        let share = |room, active: &[usize]| {
            let share = share(room, active);
            (share.lanes, share.left_out)
        };
        assert_eq!(share(10, &[1, 0, 3]), (vec![(0, 1), (1, 1), (2, 3)], 0));
        assert_eq!(share(4, &[5, 0, 5]), (vec![(0, 2), (1, 1), (2, 1)], 0));
        assert_eq!(share(3, &[0, 5, 0, 1, 0]), (vec![(1, 1), (3, 1)], 3));
        assert_eq!(share(1, &[1, 1]), (vec![], 2));
    }

    #[test]
    fn a_stop_that_was_asked_for_is_acknowledged() {
        let mut view = after(&failing()[..9]);
        view.apply(&Notice::Stopping { time: at(3_000) });
        assert!(drawn(&view, 3_000, 80, 24).contains("Ctrl-C again leaves at once"));
    }

    fn event(step: &str, which: u8, text: &str) -> Event {
        match which {
            0 => started(step, 1),
            1 => succeeded(step, text, false),
            2 => failed(step, steps_sdk::StepError::transient("K1", text), Some(at(9_000))),
            3 => failed(step, steps_sdk::StepError::permanent("K1", text), None),
            4 => Event::StepParked { step: id(step), why: text.into() },
            _ => Event::StepSkipped { step: id(step), because: text.into() },
        }
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal_and_no_region_higher(
            width in 40usize..200, height in 2usize..60, steps in 1usize..80, clusters in 0usize..12, now in 0u64..100_000_000,
            events in proptest::collection::vec((0usize..80, 0u8..6, "\\PC{0,60}"), 0..60),
        ) {
            let mut view = RunView::new(run(), &wide_plan(steps, clusters));
            let ids: Vec<String> = view.steps.iter().map(|step| step.id.to_string()).collect();
            let mut tape = Tape::default();
            view.apply(&tape.record(0, run_started()));
            for (step, which, text) in &events {
                let step = &ids[step % ids.len()];
                view.apply(&tape.record(1, event(step, *which, text)));
                if *which == 0 {
                    view.apply(&waiting(step, 1, text));
                }
            }
            let text = drawn(&view, now, width, height);
            for line in text.lines() {
                prop_assert!(words::width(line) < width, "{} in {width}: {line:?}", words::width(line));
            }
            prop_assert!(text.lines().count() < height, "{} lines in {height} rows", text.lines().count());
        }
    }
}
