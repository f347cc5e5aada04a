//! What `top` knows and where its user stands: pure. Answers and keys in, wishes out.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::cli::line::visible;
use crate::cli::messages::Order;
use crate::cli::table::short;
use crate::control::{Action, Overview, SiteRow, Which};

/// What a key asks for.
#[derive(Debug)]
pub(super) enum Wish {
    /// To leave.
    Leave,
    /// Nothing but another look at what is known.
    Nothing,
    /// A new answer.
    Refresh,
    /// Something is to be done to messages.
    Order(Box<Order>),
}

/// A table that can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Busiest,
    Worst,
    Sessions,
    Oldest,
    Failures,
}

impl Pane {
    pub(super) const ALL: [(Pane, &'static str); 5] = [
        (Pane::Busiest, "Busiest"),
        (Pane::Worst, "Worst"),
        (Pane::Sessions, "Longest waits"),
        (Pane::Oldest, "Oldest"),
        (Pane::Failures, "Failures"),
    ];
}

/// What is known, and where the user stands.
#[derive(Debug)]
pub(super) struct State {
    pub(super) now: Overview,
    before: Option<Overview>,
    /// Why there is no newer answer.
    pub(super) lost: Option<String>,
    pub(super) pane: usize,
    pub(super) row: usize,
    /// The row is shown in full.
    pub(super) open: bool,
    /// What the last action came to.
    pub(super) words: String,
}

impl State {
    pub(super) fn of(now: Overview) -> State {
        State { now, before: None, lost: None, pane: 0, row: 0, open: false, words: String::new() }
    }

    /// A new answer.
    pub(super) fn take(&mut self, now: Overview) {
        self.before = Some(std::mem::replace(&mut self.now, now));
        self.lost = None;
        self.stay();
    }

    /// No answer.
    pub(super) fn lost(&mut self, why: &str) {
        self.lost = Some(visible(why));
    }

    /// A key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Wish {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Wish::Leave,
            KeyCode::Char('q') => return Wish::Leave,
            KeyCode::Char('r') => {
                let order = Order::new(Action::Retry, Vec::new(), Which::default(), true);
                return Wish::Order(Box::new(order));
            }
            KeyCode::Char('R') => return self.order(Action::Retry),
            KeyCode::Char('H') => return self.order(Action::Hold),
            KeyCode::Char('U') => return self.order(Action::Release),
            KeyCode::Char(' ') => return Wish::Refresh,
            KeyCode::Esc => self.open = false,
            KeyCode::Enter => self.open = !self.open && !self.rows().is_empty(),
            KeyCode::Down | KeyCode::Char('j') => self.row += 1,
            KeyCode::Up | KeyCode::Char('k') => self.row = self.row.saturating_sub(1),
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.turn(1),
            KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => self.turn(Pane::ALL.len() - 1),
            _ => {}
        }
        self.stay();
        Wish::Nothing
    }

    /// Something for what the row is about: a message, or the mail of a destination.
    fn order(&mut self, action: Action) -> Wish {
        let now = &self.now;
        let of = |destination: Option<&String>| {
            let which = Which { destination: Some(destination?.clone()), ..Which::default() };
            Some(Order::new(action.clone(), Vec::new(), which, false))
        };
        let to = |id: Option<&String>| {
            Some(Order::new(action.clone(), vec![id?.clone()], Which::default(), false))
        };
        let order = match Pane::ALL[self.pane].0 {
            Pane::Busiest => of(now.busiest.get(self.row).map(|site| &site.destination)),
            Pane::Worst => of(now.worst.get(self.row).map(|site| &site.destination)),
            Pane::Sessions => of(now.longest.get(self.row).map(|session| &session.destination)),
            Pane::Oldest => {
                let mut rows = now.oldest.iter().flat_map(|m| m.recipients.iter().map(move |_| &m.id));
                to(rows.nth(self.row))
            }
            Pane::Failures => to(now.failures.get(self.row).map(|failure| &failure.id)),
        };
        order.map_or(Wish::Nothing, |order| Wish::Order(Box::new(order)))
    }

    fn turn(&mut self, by: usize) {
        self.pane = (self.pane + by) % Pane::ALL.len();
        (self.row, self.open) = (0, false);
    }

    /// Rows come and go under the user.
    fn stay(&mut self) {
        let rows = self.rows().len();
        self.row = self.row.min(rows.saturating_sub(1));
        self.open &= rows > 0;
    }

    /// How many a second, between the last two answers; nothing before there are two, or after a restart.
    pub(super) fn rate(&self, of: impl Fn(&Overview) -> u64) -> Option<f64> {
        let before = self.before.as_ref()?;
        let micros = self.now.at.checked_sub(before.at).filter(|micros| *micros > 0)?;
        let more = of(&self.now).checked_sub(of(before))?;
        Some(more as f64 * 1e6 / micros as f64)
    }

    /// The columns of the pane that is shown.
    pub(super) fn head(&self) -> Vec<&'static str> {
        match Pane::ALL[self.pane].0 {
            Pane::Busiest | Pane::Worst => {
                vec!["DESTINATION", "STANDING", "MSGS", "HELD", "SESS", "FAILS", "RESTS", "LAST FAILURE"]
            }
            Pane::Sessions => vec!["DESTINATION", "PHASE", "FOR", "LEFT", "ADDRESS", "MX"],
            Pane::Oldest => vec!["ID", "AGE", "TO", "STATE", "WHY"],
            Pane::Failures => vec!["ID", "TO", "OUTCOME", "PHASE", "STATUS", "TEXT"],
        }
    }

    /// Its rows, a cell for each column. What other hosts said has no control characters left.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let whole = |seconds: f64| short(seconds.max(0.0) as u64);
        let site = |site: &SiteRow| {
            vec![
                site.destination.clone(),
                if site.suspended { "suspended".to_owned() } else { site.standing.clone() },
                site.messages.to_string(),
                site.held.to_string(),
                site.sessions.to_string(),
                site.failures.to_string(),
                site.rests.map_or_else(|| "-".to_owned(), short),
                none(&site.last),
            ]
        };
        let now = &self.now;
        let mut rows: Vec<Vec<String>> = match Pane::ALL[self.pane].0 {
            Pane::Busiest => now.busiest.iter().map(site).collect(),
            Pane::Worst => now.worst.iter().map(site).collect(),
            Pane::Sessions => {
                let row = |s: &crate::control::SessionRow| {
                    let (age, left) = (whole(s.in_phase), whole(s.left));
                    vec![s.destination.clone(), s.phase.clone(), age, left, none(&s.address), none(&s.mx)]
                };
                now.longest.iter().map(row).collect()
            }
            Pane::Oldest => {
                let waits = now.oldest.iter().flat_map(|m| m.recipients.iter().map(move |r| (m, r)));
                let row = |(m, r): (&crate::control::QueuedMessage, &crate::control::QueuedRecipient)| {
                    vec![m.id.clone(), short(m.age), r.to.clone(), r.state.clone(), r.why.clone()]
                };
                waits.map(row).collect()
            }
            Pane::Failures => {
                let row = |f: &crate::control::FailureRow| {
                    let (outcome, phase) = (f.outcome.clone(), f.phase.clone());
                    vec![f.id.clone(), f.to.clone(), outcome, phase, f.status.clone(), f.text.clone()]
                };
                now.failures.iter().map(row).collect()
            }
        };
        rows.iter_mut().flatten().for_each(|cell| *cell = visible(cell));
        rows
    }
}
