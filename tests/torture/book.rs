//! The book: what clients were told, what arrived, when the relay was killed; and what follows from that.
//!
//! A message is known by its token, which is in its addresses. It is *accepted* once a client has read the 250 of its final
//! dot. It has *arrived* when a host has read its final dot and means to say 250. A second arrival needs a cause: a kill
//! (or the fault of a disk) so soon after the first that it was not written down yet, or a host that did not answer.

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long after an arrival a kill may be, to be the cause of a second one: the way of a reply to the relay, and of a
/// settlement to its disk, on a machine that is busy with something else. What was seen is printed.
const IN_FLIGHT: Duration = Duration::from_secs(2);

/// What a client knows of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing: the connection broke.
    Nothing,
    /// 250.
    Accepted,
    /// Another code.
    Refused(u16),
}

/// A copy of a message at its host.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    at: Instant,
    answered: bool,
}

#[derive(Debug)]
struct Letter {
    told: Told,
    /// Its host refuses it for good.
    bounces: bool,
    arrivals: Vec<Arrival>,
    returned: Vec<Arrival>,
}

/// All of a run.
#[derive(Debug, Default)]
pub struct Book {
    letters: Mutex<HashMap<u64, Letter>>,
    /// When something could have kept a settlement from the disk: from, to.
    troubles: Mutex<Vec<(Instant, Instant)>>,
    next: AtomicUsize,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    finished: AtomicUsize,
    damaged: Mutex<Vec<String>>,
}

/// Which arrival: to be told of its answer.
pub type Copy = (u64, bool, usize);

impl Book {
    /// A new message.
    pub fn open(&self, bounces: bool) -> u64 {
        let token = self.next.fetch_add(1, Ordering::Relaxed) as u64;
        let letter = Letter { told: Told::Nothing, bounces, arrivals: Vec::new(), returned: Vec::new() };
        self.letters.lock().insert(token, letter);
        token
    }

    /// What the client was told.
    pub fn told(&self, token: u64, told: Told) {
        match told {
            Told::Accepted => self.accepted.fetch_add(1, Ordering::Relaxed),
            Told::Refused(_) => self.refused.fetch_add(1, Ordering::Relaxed),
            Told::Nothing => return,
        };
        if let Some(letter) = self.letters.lock().get_mut(&token) {
            letter.told = told;
        }
    }

    /// A host has read the final dot of a message, or of the bounce of one.
    pub fn arrived(&self, token: u64, bounce: bool) -> Option<Copy> {
        let mut letters = self.letters.lock();
        let letter = letters.get_mut(&token)?;
        let copies = if bounce { &mut letter.returned } else { &mut letter.arrivals };
        copies.push(Arrival { at: Instant::now(), answered: false });
        if copies.len() == 1 {
            self.finished.fetch_add(1, Ordering::Relaxed);
        }
        Some((token, bounce, copies.len() - 1))
    }

    /// The host's 250 has been handed to the system.
    pub fn answered(&self, (token, bounce, n): Copy) {
        if let Some(letter) = self.letters.lock().get_mut(&token) {
            let copies = if bounce { &mut letter.returned } else { &mut letter.arrivals };
            copies[n].answered = true;
        }
    }

    /// What arrived is not what was sent.
    pub fn damaged(&self, what: String) {
        self.damaged.lock().push(what);
    }

    /// The relay was killed, or its disk failed, from then to now.
    pub fn trouble(&self, from: Instant) {
        self.troubles.lock().push((from, Instant::now()));
    }

    /// 250s so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Refusals so far.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Messages that arrived, or came back.
    pub fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// The accepted messages that have neither arrived nor come back.
    pub fn missing(&self) -> Vec<u64> {
        let letters = self.letters.lock();
        let missing = letters.iter().filter(|(_, letter)| {
            let copies = if letter.bounces { &letter.returned } else { &letter.arrivals };
            letter.told == Told::Accepted && copies.is_empty()
        });
        missing.map(|(token, _)| *token).collect()
    }

    /// What became of everything.
    pub fn count(&self) -> Count {
        let mut count = Count { damaged: self.damaged.lock().clone(), ..Count::default() };
        let lost = self.missing();
        count.lost = lost.len();
        count.named.extend(lost.iter().take(10).map(|token| format!("t{token} is lost")));
        let troubles = self.troubles.lock().clone();
        for (token, letter) in &*self.letters.lock() {
            let there = !letter.arrivals.is_empty() || !letter.returned.is_empty();
            match letter.told {
                Told::Accepted => {
                    count.accepted += 1;
                    count.delivered += usize::from(!letter.arrivals.is_empty());
                    count.bounced += usize::from(!letter.returned.is_empty());
                }
                Told::Nothing => {
                    count.unanswered += 1;
                    count.unanswered_there += usize::from(there);
                }
                Told::Refused(code) => {
                    *count.refused.entry(code).or_default() += 1;
                    if there {
                        count.refused_there += 1;
                        count.named.push(format!("t{token} was refused with {code}, and is there"));
                    }
                }
            }
            // Accepted or not: what came back did not arrive, and what arrived does not come back.
            let wrong = if letter.bounces { &letter.arrivals } else { &letter.returned };
            if !wrong.is_empty() {
                count.damaged.push(format!("t{token} is where it must not be"));
            }
            for copies in [&letter.arrivals, &letter.returned] {
                for pair in copies.windows(2) {
                    count.duplicate(*token, pair[0], pair[1], &troubles);
                }
            }
        }
        count.gaps.sort();
        count
    }
}

/// What became of the messages of a run.
#[derive(Debug, Default)]
pub struct Count {
    pub accepted: usize,
    pub delivered: usize,
    pub bounced: usize,
    pub lost: usize,
    /// The connection broke before a reply, and how many of these were taken all the same.
    pub unanswered: usize,
    pub unanswered_there: usize,
    pub refused: BTreeMap<u16, usize>,
    /// Refused, and delivered all the same: the client sends them again.
    pub refused_there: usize,
    /// A kill or a fault came before the first arrival was written down.
    pub duplicates_of_kills: usize,
    /// The host did not answer.
    pub duplicates_of_hosts: usize,
    /// Neither.
    pub duplicates_without_cause: usize,
    /// The times from an arrival to the kill that made a second one of it.
    pub gaps: Vec<Duration>,
    pub damaged: Vec<String>,
    pub named: Vec<String>,
}

impl Count {
    fn duplicate(&mut self, token: u64, first: Arrival, second: Arrival, troubles: &[(Instant, Instant)]) {
        let between = |(from, to): &&(Instant, Instant)| *from <= second.at && *to >= first.at;
        let causes = troubles.iter().filter(between);
        let gap = causes.map(|(from, _)| from.saturating_duration_since(first.at)).min();
        match gap {
            Some(gap) if gap <= IN_FLIGHT => {
                self.duplicates_of_kills += 1;
                self.gaps.push(gap);
            }
            _ if !first.answered => self.duplicates_of_hosts += 1,
            gap => {
                self.duplicates_without_cause += 1;
                self.named.push(format!("t{token} is there twice without a cause (nearest kill: {gap:?})"));
            }
        }
    }

    /// Whether all is as it must be.
    pub fn is_good(&self) -> bool {
        self.lost + self.duplicates_without_cause + self.refused_there + self.damaged.len() == 0
    }
}
