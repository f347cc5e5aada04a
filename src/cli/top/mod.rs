//! `sendoff top`: the relay at a glance, again and again, in a terminal. What is shown is a function of what was answered;
//! each key that acts is one request through the operator's door.

mod state;
mod view;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, KeyEventKind, poll, read};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::Exit;
use super::arguments;
use super::line::visible;
use super::messages::Order;
use super::queue::counted;
use crate::control::{Action, Answer, CallError, Overview, Request, ask};
use crate::time::clock;
use state::{State, Wish};

/// How long one answer is waited for: the keys wait with it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon a signal is noticed.
const STEP: Duration = Duration::from_millis(100);

/// Shows the relay until q is pressed, or a signal ends it. The terminal is given back as it was, also after a panic.
pub(super) fn top(arguments: &arguments::Top) -> Result<(), Exit> {
    let spool = arguments.relay.spool()?;
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Exit::misused("top needs a terminal; sendoff queue --json is for programs"));
    }
    // A relay that is not there is said before the screen is taken.
    let first = overview(&spool)?;
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&ending)).map_err(Exit::system)?;
    }
    // The terminal is gone: there is nothing to give back, and nobody to show anything to.
    let gone = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGHUP, 0, gone)
        .map_err(Exit::system)?;
    let mut terminal = ratatui::try_init().map_err(Exit::io)?;
    let every = Duration::from_secs(arguments.every.max(1));
    let shown = watch(&mut terminal, &spool, first, every, &ending);
    ratatui::try_restore().and(shown).map_err(Exit::io)
}

fn overview(spool: &Path) -> Result<Overview, CallError> {
    match ask(spool, &Request::Overview, PATIENCE)? {
        Answer::Overview(overview) => Ok(*overview),
        _ => Err(CallError::Broken("the relay answered something else".into())),
    }
}

fn watch(
    terminal: &mut DefaultTerminal,
    spool: &Path,
    first: Overview,
    every: Duration,
    ending: &AtomicBool,
) -> io::Result<()> {
    let mut state = State::of(first);
    let mut next = clock::now() + every;
    // What is being done to a long queue goes on page by page, between the keys.
    let mut acting: Option<Box<Order>> = None;
    while !ending.load(Ordering::Relaxed) {
        if let Some(mut order) = acting.take() {
            match order.page(spool, PATIENCE) {
                Ok(()) => {
                    state.words = said(&order);
                    acting = Some(order).filter(|order| !order.is_done());
                }
                Err(error) => state.words = visible(&error.to_string()),
            }
        }
        terminal.draw(|frame| view::draw(frame, &state))?;
        let until = if acting.is_some() { clock::now() } else { next };
        match wish(until, ending, &mut state)? {
            // Only the next page was waited for.
            Wish::Refresh if acting.is_some() && clock::now() < next => {}
            Wish::Leave => return Ok(()),
            Wish::Nothing => {}
            Wish::Order(order) => acting = Some(order),
            Wish::Refresh => {
                match overview(spool) {
                    Ok(overview) => state.take(overview),
                    Err(error) => state.lost(&error.to_string()),
                }
                next = clock::now() + every;
            }
        }
    }
    Ok(())
}

/// The next key that says something, or that it is time.
fn wish(next: Instant, ending: &AtomicBool, state: &mut State) -> io::Result<Wish> {
    loop {
        let left = next.saturating_duration_since(clock::now());
        if ending.load(Ordering::Relaxed) {
            return Ok(Wish::Refresh);
        }
        if !poll(Duration::ZERO)? {
            if left.is_zero() {
                return Ok(Wish::Refresh);
            }
            if !waited(left.min(STEP))? {
                return Ok(Wish::Leave);
            }
            continue;
        }
        match read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => return Ok(state.key(key)),
            Event::Resize(..) => return Ok(Wish::Nothing),
            _ => {}
        }
    }
}

/// Waits for a key, so long at most; false: the terminal is gone. Crossterm's own wait reads the end of it for ever.
fn waited(span: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut terminal = [PollFd::new(&stdin, PollFlags::IN)];
    let span = Timespec::try_from(span).map_err(io::Error::other)?;
    match rustix::event::poll(&mut terminal, Some(&span)) {
        // A signal interrupts the wait; it is looked at in the next round.
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(!terminal[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL))
}

/// What has been done so far.
fn said(order: &Order) -> String {
    let acted = &order.acted;
    let (many, so_far) = (counted(acted.messages, "message"), if order.is_done() { "" } else { " so far" });
    let mut words = match order.action {
        Action::Retry => format!("{many} tried now{so_far}, and what rested"),
        _ => format!("{many} {}{so_far}", order.action.done()),
    };
    if !acted.in_delivery.is_empty() {
        words += &format!("; {} in delivery", acted.in_delivery.len());
    }
    if let Some(failed) = acted.failed.first() {
        words += &format!("; {} {}", failed.id, failed.reason);
    }
    visible(&words)
}
