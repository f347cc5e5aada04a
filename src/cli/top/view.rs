//! What `top` draws: a function of its state, at 80 by 24 or more.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table, TableState, Tabs, Wrap};

use super::state::{Pane, State};
use crate::control::{Overview, States};

const KEYS: &str = "tab pane  j k row  enter show  r retry all  R retry  H hold  U release  q leave";

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let head = head(state);
    let lines = u16::try_from(head.len()).unwrap_or(5);
    let parts = [Constraint::Length(lines), Constraint::Length(1), Constraint::Min(3), Constraint::Length(1)];
    let [top, tabs, body, bottom] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(head), top);
    let titles = Pane::ALL.map(|(_, title)| title);
    let here = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Tabs::new(titles).select(state.pane).highlight_style(here), tabs);
    let block = Block::new().borders(Borders::TOP);
    let (names, rows) = (state.head(), state.rows());
    if let Some(row) = rows.get(state.row).filter(|_| state.open) {
        let lines = names.iter().zip(row).map(|(name, cell)| {
            Line::from(vec![Span::styled(format!("{name:<14}"), bold()), Span::raw(cell.as_str())])
        });
        let shown = Paragraph::new(lines.collect::<Vec<_>>()).wrap(Wrap { trim: false });
        frame.render_widget(shown.block(block), body);
    } else {
        let widths = widths(&names, &rows);
        let table = Table::new(rows.into_iter().map(Row::new), widths).header(Row::new(names).style(bold()));
        let table = table.row_highlight_style(here).block(block);
        let mut selected = TableState::new().with_selected(Some(state.row));
        frame.render_stateful_widget(table, body, &mut selected);
    }
    let words = if state.words.is_empty() { KEYS } else { state.words.as_str() };
    frame.render_widget(Paragraph::new(words).style(Style::new().add_modifier(Modifier::DIM)), bottom);
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// As wide as their widest cell, within bounds; the last one gets the rest.
fn widths(names: &[&str], rows: &[Vec<String>]) -> Vec<Constraint> {
    const MOST: usize = 26;
    let wide = |n: usize| {
        let cells = rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count());
        let name = names[n].len();
        cells.max().unwrap_or(0).max(name).min(MOST)
    };
    let all = names.len();
    (0..all)
        .map(|n| match n + 1 == all {
            true => Constraint::Min(8),
            false => Constraint::Length(u16::try_from(wide(n)).unwrap_or(u16::MAX)),
        })
        .collect()
}

fn head(state: &State) -> Vec<Line<'static>> {
    let now = &state.now;
    let (counts, queue, seats) = (&now.counts, &now.queue, &now.seats);
    let rate = |of: fn(&Overview) -> u64| match state.rate(of) {
        Some(rate) => format!("{rate:.1}/s"),
        None => "...".to_owned(),
    };
    let title = match &state.lost {
        Some(why) => Span::styled(format!("no answer: {why}"), Style::new().fg(Color::Red)),
        None => {
            Span::raw(format!("{} taken, {} delivered since the start", counts.accepted, counts.delivered))
        }
    };
    let phases: Vec<_> = now.phases.iter().map(|(phase, many)| format!("{phase} {many}")).collect();
    let defects = match counts.overdue + counts.panics {
        0 => Span::raw(""),
        _ => Span::styled(
            format!("  DEFECTS: {} overdue, {} panics", counts.overdue, counts.panics),
            Style::new().fg(Color::Red),
        ),
    };
    let mut lines = vec![
        Line::from(vec![Span::styled(format!("Sendoff {}  {}  ", now.version, now.hostname), bold()), title]),
        Line::from(vec![
            Span::raw(format!(
                "Pace      in {}  delivered {}  deferred {}  failed {}  refusals {}",
                rate(|now| now.counts.accepted),
                rate(|now| now.counts.delivered),
                rate(|now| now.counts.deferred),
                rate(|now| now.counts.failed),
                counts.refused
            )),
            defects,
        ]),
        Line::from(format!(
            "Queue     {} messages: {} active {} ready {} waiting {} resting {} blocked",
            queue.messages, queue.active, queue.ready, queue.waiting, queue.resting, queue.blocked
        )),
        Line::from(format!(
            "Slots     {} of {}: {} proven {} new {} suspect;  clients {} of {}",
            now.slots, seats.pool, seats.proven, seats.new, seats.suspect, now.clients, now.clients_most
        )),
        Line::from(format!(
            "Sessions  {}",
            if phases.is_empty() { "none".to_owned() } else { phases.join("  ") }
        )),
    ];
    if let Some(kept) = kept_back(queue) {
        lines.insert(3, kept);
    }
    lines
}

/// What does not leave because an operator wants it so, or because it cannot be read; no line where there is none.
fn kept_back(queue: &States) -> Option<Line<'static>> {
    let some = |many: u64, words: &'static str| (many > 0).then(|| format!(" {many} {words}"));
    let ours = [some(queue.held as u64, "held"), some(queue.suspended as u64, "of suspended destinations")];
    let ours: String = ours.into_iter().flatten().collect();
    let damaged = some(queue.quarantined, "QUARANTINED").unwrap_or_default();
    (!ours.is_empty() || !damaged.is_empty()).then(|| {
        let damaged = Span::styled(damaged, Style::new().fg(Color::Red));
        Line::from(vec![Span::raw(format!("Kept     {ours}")), damaged])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::state::Wish;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};
    use serde_json::json;

    fn overview(at: u64, delivered: u64, said: &str) -> Overview {
        let site = json!({"destination": "x.test", "standing": "suspect", "suspended": false, "messages": 7, "held": 2,
            "sessions": 1, "failures": 3,
            "rests": 75, "last": said});
        let failure = json!({"at": 0, "id": "1K0", "to": "b@x.test", "destination": "x.test", "outcome": "deferred",
            "phase": "banner", "status": "4.3.2", "text": said});
        let text = json!({
            "hostname": "relay.test", "version": "1", "at": at,
            "counts": {"accepted": 9, "delivered": delivered, "deferred": 0, "failed": 0, "refused": 0, "overdue": 0,
                "panics": 0},
            "queue": {"messages": 7, "recipients": 7, "active": 1, "ready": 2, "waiting": 3, "resting": 1, "blocked": 0,
                "held": 2, "suspended": 0, "quarantined": 1,
                "destinations": 1, "destinations_resting": 1, "destinations_suspended": 0},
            "slots": 1, "seats": {"proven": 0, "new": 1, "suspect": 0, "pool": 16}, "phases": {"banner": 1},
            "clients": 0, "clients_most": 500, "busiest": [site], "worst": [site], "longest": [], "oldest": [],
            "failures": [failure, failure],
        });
        serde_json::from_value(text).unwrap()
    }

    fn shown(state: &State) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal.backend().to_string()
    }

    fn press(state: &mut State, code: KeyCode) -> Wish {
        state.key(KeyEvent::from(code))
    }

    #[test]
    fn it_fits_80_by_24_and_shows_rates_between_two_answers() {
        let mut state = State::of(overview(1_000_000, 0, "421 no"));
        assert!(shown(&state).contains("delivered ..."), "{}", shown(&state));
        state.take(overview(3_000_000, 5, "421 no"));
        let text = shown(&state);
        for words in [
            "Sendoff 1  relay.test",
            "delivered 2.5/s",
            "7 messages: 1 active 2 ready 3 waiting 1 resting 0 blocked",
            "Kept      2 held 1 QUARANTINED",
            "1 of 16: 0 proven 1 new 0 suspect",
            "Sessions  banner 1",
            "x.test",
            "1m15s",
            "421 no",
            "q leave",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        // A relay that was started anew counts from nothing.
        state.take(overview(5_000_000, 0, ""));
        assert!(shown(&state).contains("delivered ..."));
        state.lost("no relay answers");
        assert!(shown(&state).contains("no answer: no relay answers"));
    }

    #[test]
    fn keys_move_and_act_and_rows_may_go_away() {
        let mut state = State::of(overview(1, 0, "421 \u{1b}[31m <hostile>"));
        let order = |wish| match wish {
            Wish::Order(order) => format!("{order:?}"),
            other => panic!("{other:?}"),
        };
        let all = order(press(&mut state, KeyCode::Char('r')));
        assert!(all.contains("Retry") && all.contains("all: true"), "{all}");
        let held = order(press(&mut state, KeyCode::Char('H')));
        assert!(held.contains("Hold") && held.contains("destination: Some(\"x.test\")"), "{held}");
        assert!(matches!(press(&mut state, KeyCode::Char('q')), Wish::Leave));
        for _ in 0..4 {
            assert!(matches!(press(&mut state, KeyCode::Tab), Wish::Nothing));
        }
        let released = order(press(&mut state, KeyCode::Char('U')));
        assert!(released.contains("Release") && released.contains("ids: [\"1K0\"]"), "{released}");
        assert!(shown(&state).contains("OUTCOME"));
        for _ in 0..9 {
            press(&mut state, KeyCode::Char('j'));
        }
        assert_eq!(state.row, 1);
        press(&mut state, KeyCode::Enter);
        let text = shown(&state);
        assert!(state.open && text.contains("TEXT          421 \\u{1b}[31m <hostile>"), "{text}");
        let mut empty = overview(2, 0, "");
        empty.failures.clear();
        state.take(empty);
        assert!(!state.open && state.row == 0);
        shown(&state);
        press(&mut state, KeyCode::Tab);
        assert_eq!(state.pane, 0);
    }
}
