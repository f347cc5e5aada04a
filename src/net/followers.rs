//! Followers: operators who watch conversations as they are held. A session that nobody follows pays one relaxed load a line.
//!
//! Each follower has a bounded channel; what does not fit is dropped and counted, so that a terminal that does not read
//! holds up no mail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::mail::Destination;
use crate::time::clock;

/// A line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overheard {
    /// When, in microseconds of Unix time.
    pub at: u64,
    /// The session.
    pub session: u64,
    /// Its destination.
    pub destination: Destination,
    /// Its host and address, once one is chosen.
    pub host: Option<(String, SocketAddr)>,
    /// `>` what we say, `<` what the host says, `*` what happens.
    pub way: char,
    /// The line.
    pub text: String,
}

/// The followers of a session table.
#[derive(Debug, Default)]
pub struct Followers {
    count: AtomicUsize,
    list: Mutex<Vec<Arc<Ear>>>,
}

#[derive(Debug)]
struct Ear {
    /// All destinations without this.
    destination: Option<Destination>,
    lines: Sender<Overheard>,
    dropped: AtomicU64,
}

/// A follower. Its Drop ends it.
#[derive(Debug)]
pub struct Follower {
    followers: Arc<Followers>,
    ear: Arc<Ear>,
    /// What is overheard.
    pub lines: Receiver<Overheard>,
}

impl Followers {
    /// How many lines wait for a follower that does not read.
    const ROOM: usize = 1024;

    /// Follows one destination, or all.
    pub fn follow(self: &Arc<Followers>, destination: Option<Destination>) -> Follower {
        let (send, lines) = bounded(Followers::ROOM);
        let ear = Arc::new(Ear { destination, lines: send, dropped: AtomicU64::new(0) });
        self.list.lock().push(Arc::clone(&ear));
        self.count.fetch_add(1, Ordering::Relaxed);
        Follower { followers: Arc::clone(self), ear, lines }
    }

    /// Whether anybody follows anything.
    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Tells whoever follows this destination. The line is only made when somebody does.
    pub(super) fn tell(&self, destination: &Destination, line: impl FnOnce(u64) -> Overheard) {
        let follows = |ear: &&Arc<Ear>| ear.destination.as_ref().is_none_or(|only| only == destination);
        let list = self.list.lock();
        let mut ears = list.iter().filter(follows).peekable();
        if ears.peek().is_none() {
            return;
        }
        let line = line(clock::unix_micros());
        for ear in ears {
            if ear.lines.try_send(line.clone()).is_err() {
                ear.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Follower {
    /// How many lines were dropped since this was last asked.
    pub fn dropped(&self) -> u64 {
        self.ear.dropped.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.followers.list.lock().retain(|ear| !Arc::ptr_eq(ear, &self.ear));
        self.followers.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(text: &str) -> Destination {
        Destination::parse(text).unwrap()
    }

    fn say(followers: &Followers, destination: &str) {
        let destination = to(destination);
        followers.tell(&destination, |at| Overheard {
            at,
            session: 1,
            destination: destination.clone(),
            host: None,
            way: '>',
            text: "NOOP".into(),
        });
    }

    #[test]
    fn a_follower_hears_its_destination_while_it_lives() {
        let followers = Arc::new(Followers::default());
        assert!(!followers.any());
        let (one, all) = (followers.follow(Some(to("x.test"))), followers.follow(None));
        say(&followers, "x.test");
        say(&followers, "y.test");
        assert_eq!((one.lines.len(), all.lines.len()), (1, 2));
        drop((one, all));
        assert!(!followers.any() && followers.list.lock().is_empty());
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let followers = Arc::new(Followers::default());
        let follower = followers.follow(None);
        for _ in 0..Followers::ROOM + 7 {
            say(&followers, "x.test");
        }
        assert_eq!((follower.dropped(), follower.dropped()), (7, 0));
    }
}
