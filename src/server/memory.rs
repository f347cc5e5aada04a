//! A reception that keeps mail in memory, for the tests of the incoming side: it stands where the spool will.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Draft, Proof, Reception};
use crate::mail::{Envelope, QueueId};
use crate::smtp::Refusal;

/// What happens when a client's message is to be kept.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mood {
    #[default]
    Keeps,
    NoRoom(Refusal),
    NoDraft(Refusal),
    NoWrite(Refusal),
    NoCommit(Refusal),
    Panics,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    drafts: u64,
    open: usize,
    kept: Vec<(Envelope, String)>,
}

/// The reception.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<State>>);

impl Memory {
    pub(crate) fn mood(&self, mood: Mood) {
        self.0.lock().mood = mood;
    }

    /// The messages that were accepted.
    pub(crate) fn kept(&self) -> Vec<(Envelope, String)> {
        self.0.lock().kept.clone()
    }

    /// Drafts that are neither committed nor dropped.
    pub(crate) fn open(&self) -> usize {
        self.0.lock().open
    }
}

#[derive(Debug)]
pub(crate) struct MemoryDraft {
    memory: Memory,
    id: QueueId,
    octets: Vec<u8>,
}

pub(crate) struct Kept(QueueId);

impl Proof for Kept {
    fn id(&self) -> QueueId {
        self.0
    }
}

impl Reception for Memory {
    type Draft = MemoryDraft;

    fn room(&self, _octets: u64) -> Result<(), Refusal> {
        match &self.0.lock().mood {
            Mood::NoRoom(refusal) => Err(refusal.clone()),
            _ => Ok(()),
        }
    }

    fn draft(&self) -> Result<MemoryDraft, Refusal> {
        let mut state = self.0.lock();
        if let Mood::NoDraft(refusal) = &state.mood {
            return Err(refusal.clone());
        }
        (state.drafts, state.open) = (state.drafts + 1, state.open + 1);
        Ok(MemoryDraft { memory: self.clone(), id: QueueId::from_row(state.drafts), octets: Vec::new() })
    }
}

impl Draft for MemoryDraft {
    type Accepted = Kept;

    fn id(&self) -> QueueId {
        self.id
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        if let Mood::NoWrite(refusal) = &self.memory.0.lock().mood {
            return Err(refusal.clone());
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    fn commit(self, envelope: Envelope, _limit: Duration) -> Result<Kept, Refusal> {
        let mut state = self.memory.0.lock();
        match state.mood.clone() {
            Mood::NoCommit(refusal) => return Err(refusal),
            Mood::Panics => panic!("a defect in the reception"),
            _ => state.kept.push((envelope, String::from_utf8_lossy(&self.octets).into_owned())),
        }
        Ok(Kept(self.id))
    }
}

impl Drop for MemoryDraft {
    fn drop(&mut self) {
        self.memory.0.lock().open -= 1;
    }
}

/// A client of a test: it says what it is told to, and reads replies. Each of its waits ends after ten seconds.
pub(crate) struct Peer {
    pub(crate) stream: crate::net::Stream,
    lines: crate::net::Lines,
}

impl Peer {
    pub(crate) fn to(address: std::net::SocketAddr) -> Peer {
        let deadline = crate::time::Deadline::within(crate::time::clock::now(), Duration::from_secs(10));
        Peer { stream: crate::net::Stream::dial(address, deadline).unwrap(), lines: Default::default() }
    }

    pub(crate) fn say(&mut self, text: impl AsRef<[u8]>) {
        std::io::Write::write_all(&mut self.stream, text.as_ref()).unwrap();
    }

    /// The next reply, its lines on one; empty at the end of the stream.
    pub(crate) fn hear(&mut self) -> String {
        let mut reply = String::new();
        while let Ok(line) = self.lines.next(&mut self.stream) {
            let line = String::from_utf8_lossy(line);
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
            reply.push(' ');
        }
        reply
    }

    /// Hears replies that begin with these words, one each.
    pub(crate) fn expect(&mut self, replies: &[&str]) {
        for (n, expected) in replies.iter().enumerate() {
            let reply = self.hear();
            assert!(reply.starts_with(expected), "reply {n} is {reply:?}, not {expected:?}");
        }
    }

    /// Everything up to the end of the stream.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| Some(self.hear()).filter(|reply| !reply.is_empty())).collect()
    }

    /// To the 354: greeting, EHLO, one envelope.
    pub(crate) fn to_data(address: std::net::SocketAddr) -> Peer {
        let mut peer = Peer::to(address);
        peer.expect(&["220 "]);
        peer.say("EHLO client.example\r\n");
        peer.expect(&["250-"]);
        peer.envelope();
        peer
    }

    pub(crate) fn envelope(&mut self) {
        self.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        self.expect(&["250 2.1.0", "250 2.1.5", "354 "]);
    }
}
