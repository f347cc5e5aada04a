//! What is known of addresses: which were silent, refused or slow, and until when nobody needs to find that out again.
//!
//! Ten thousand domains can share one bad host. The first to meet it pays; the others rest with it, until one of them
//! tries it again. Decisions are functions of `now`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::mail::cut;
use crate::time::{Doubling, Jitter};

/// The book of addresses, each with its port: what listens at another port of a host is another server. Shared by all
/// workers.
#[derive(Debug, Default)]
pub struct Addresses {
    pages: Mutex<HashMap<SocketAddr, Page>>,
}

#[derive(Debug, Default)]
struct Page {
    /// Failures in a row.
    failures: u32,
    /// When the last one was counted.
    failed: Option<Instant>,
    /// It is left alone until then.
    until: Option<Instant>,
    /// Somebody is finding out.
    probed: bool,
    /// When a session with it last reached a reply to EHLO.
    good: Option<Instant>,
    words: String,
}

/// Whether to try an address.
#[derive(Debug)]
pub enum Advice {
    /// Yes. Where it has failed before, this is the one try that finds out how it is now.
    Try(Option<Probe>),
    /// Not for so long: this is what it did last.
    Rest(Duration, String),
}

/// The right to be the one who finds out. Given back by Drop, whatever comes of it.
#[derive(Debug)]
pub struct Probe {
    book: Arc<Addresses>,
    address: SocketAddr,
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(page) = self.book.pages.lock().get_mut(&self.address) {
            page.probed = false;
        }
    }
}

impl Addresses {
    /// The most addresses of which something is known.
    const MOST: usize = 100_000;
    /// An address that was good is not left alone for the first failures: a restart, a dropped packet.
    const BENEFIT: u32 = 2;
    /// How long others rest while somebody finds out.
    const WHILE_PROBED: Duration = Duration::from_secs(30);

    /// An empty book.
    pub fn new() -> Arc<Addresses> {
        Arc::new(Addresses::default())
    }

    /// Whether to try `address` now.
    pub fn advise(self: &Arc<Self>, address: SocketAddr, now: Instant) -> Advice {
        let mut pages = self.pages.lock();
        let Some(page) = pages.get_mut(&address) else { return Advice::Try(None) };
        let Some(until) = page.until else { return Advice::Try(None) };
        match until.checked_duration_since(now).filter(|left| !left.is_zero()) {
            Some(left) => Advice::Rest(left, page.words.clone()),
            None if page.probed => Advice::Rest(Addresses::WHILE_PROBED, page.words.clone()),
            None => {
                page.probed = true;
                Advice::Try(Some(Probe { book: Arc::clone(self), address }))
            }
        }
    }

    /// Whether `address` is left alone at `now`. Unlike [`Addresses::advise`] this makes nobody the one who finds out.
    pub fn rests(&self, address: SocketAddr, now: Instant) -> bool {
        let pages = self.pages.lock();
        let Some(page) = pages.get(&address) else { return false };
        page.until.is_some_and(|until| until > now || page.probed)
    }

    /// Forgets what `address` did, on every port: an operator wants it tried.
    pub fn pardon(&self, address: IpAddr) {
        self.pages.lock().retain(|known, _| known.ip() != address);
    }

    /// Forgets everything.
    pub fn forget(&self) {
        self.pages.lock().clear();
    }

    /// A session with `address` has reached a reply to EHLO. True if the address had been left alone until now: whoever
    /// rests because of it may go.
    pub fn good(&self, address: SocketAddr, now: Instant) -> bool {
        let mut pages = self.pages.lock();
        make_room(&mut pages, &address);
        let page = pages.entry(address).or_default();
        let recovered = page.until.is_some();
        *page = Page { good: Some(now), ..Page::default() };
        recovered
    }

    /// A session with `address`, begun at `began`, failed before a reply to EHLO. It is left alone for what `rest` says,
    /// unless it has been good to others meanwhile.
    pub fn failed(&self, address: SocketAddr, began: Instant, now: Instant, rest: &Doubling, words: &str) {
        let mut pages = self.pages.lock();
        make_room(&mut pages, &address);
        let page = pages.entry(address).or_default();
        if page.good.is_some_and(|good| good > began) {
            return;
        }
        // Who was under way when the last failure was counted has met the same outage: that says nothing new.
        if page.failed.is_some_and(|failed| failed > began) {
            return;
        }
        page.failures = page.failures.saturating_add(1);
        page.failed = Some(now);
        page.words = cut(words.to_owned());
        let counted = if page.good.is_some() {
            page.failures.saturating_sub(Addresses::BENEFIT)
        } else {
            page.failures
        };
        if counted > 0 {
            // No jitter: the destinations that come back have their own.
            page.until = now.checked_add(rest.wait(counted, Jitter::NONE));
        }
    }
}

/// Bounded: first what is only known to be good goes, then everything. What is lost is found out again.
fn make_room(pages: &mut HashMap<SocketAddr, Page>, address: &SocketAddr) {
    if pages.len() >= Addresses::MOST && !pages.contains_key(address) {
        pages.retain(|_, page| page.failures > 0);
        if pages.len() >= Addresses::MOST {
            pages.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rest() -> Doubling {
        Doubling { first: MINUTE, most: 60 * MINUTE, jitter: 20 }
    }

    fn rests(book: &Arc<Addresses>, address: SocketAddr, now: Instant) -> Option<Duration> {
        match book.advise(address, now) {
            Advice::Rest(left, words) => {
                assert_eq!(words, "silent");
                Some(left)
            }
            Advice::Try(_) => None,
        }
    }

    #[test]
    fn who_comes_second_rests_with_the_first() {
        let (book, now, address) = (Addresses::new(), clock::now(), ([192, 0, 2, 1], 25).into());
        assert_eq!(rests(&book, address, now), None);
        book.failed(address, now, now, &rest(), "silent");
        assert_eq!(rests(&book, address, now + MINUTE / 2), Some(MINUTE / 2));
        assert_eq!(rests(&book, ([192, 0, 2, 2], 25).into(), now), None);
    }

    #[test]
    fn one_finds_out_and_the_others_wait_for_it() {
        let (book, now, address) = (Addresses::new(), clock::now(), ([192, 0, 2, 1], 25).into());
        book.failed(address, now, now, &rest(), "silent");
        let later = now + MINUTE;
        let Advice::Try(Some(probe)) = book.advise(address, later) else { panic!("the time is over") };
        assert_eq!(rests(&book, address, later), Some(Addresses::WHILE_PROBED));
        book.failed(address, later, later, &rest(), "silent");
        drop(probe);
        assert_eq!(rests(&book, address, later), Some(2 * MINUTE), "it doubles");
        let Advice::Try(Some(probe)) = book.advise(address, later + 2 * MINUTE) else { panic!("again") };
        assert!(book.good(address, later + 2 * MINUTE));
        drop(probe);
        assert!(matches!(book.advise(address, later + 2 * MINUTE), Advice::Try(None)));
        assert!(!book.good(address, later + 2 * MINUTE));
    }

    #[test]
    fn a_probe_that_came_to_nothing_is_given_back() {
        let (book, now, address) = (Addresses::new(), clock::now(), ([192, 0, 2, 1], 25).into());
        book.failed(address, now, now, &rest(), "silent");
        drop(book.advise(address, now + MINUTE));
        assert!(matches!(book.advise(address, now + MINUTE), Advice::Try(Some(_))));
    }

    /// Twenty sessions that waited for the same banner were twenty failures, and the first rest was the longest.
    #[test]
    fn one_outage_is_one_failure_however_many_sessions_it_met() {
        let (book, now, address) = (Addresses::new(), clock::now(), ([192, 0, 2, 1], 25).into());
        for n in 0..20 {
            book.failed(address, now, now + MINUTE + n * MINUTE / 600, &rest(), "silent");
        }
        assert_eq!(rests(&book, address, now + MINUTE), Some(MINUTE));
    }

    /// A smart host that was down at one port made another at the next port rest.
    #[test]
    fn another_port_is_another_server() {
        let (book, now) = (Addresses::new(), clock::now());
        book.failed(([192, 0, 2, 1], 587).into(), now, now, &rest(), "silent");
        assert_eq!(rests(&book, ([192, 0, 2, 1], 25).into(), now), None);
    }

    #[test]
    fn an_address_that_was_good_has_the_benefit_of_the_doubt() {
        let (book, now, address) = (Addresses::new(), clock::now(), ([192, 0, 2, 1], 25).into());
        book.good(address, now + MINUTE);
        book.failed(address, now, now + MINUTE, &rest(), "silent");
        for _ in 0..2 {
            book.failed(address, now + 2 * MINUTE, now + 2 * MINUTE, &rest(), "silent");
            assert_eq!(rests(&book, address, now + 2 * MINUTE), None);
        }
        book.failed(address, now + 2 * MINUTE, now + 2 * MINUTE, &rest(), "silent");
        assert_eq!(rests(&book, address, now + 2 * MINUTE), Some(MINUTE));
    }
}
