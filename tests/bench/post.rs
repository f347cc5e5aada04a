//! What was sent and what came: every message of a run by its number, with the moments that matter.
//!
//! The source and the far side are threads of one program, so one clock times both ends, and a loss or a duplicate is
//! seen by number. A message carries its batch and number in a header line.

use crate::talk::Recipients;
use memchr::memmem;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The header line that tells which message this is.
pub const MARK: &str = "X-Bench: ";

/// All batches of a run.
#[derive(Default)]
pub struct Post {
    batches: RwLock<Vec<Weak<Batch>>>,
    /// Messages that are none of ours: bounces, and what comes after its batch was given up.
    strangers: AtomicU64,
}

/// Messages that are measured together.
pub struct Batch {
    number: usize,
    base: Instant,
    letters: Vec<Letter>,
    /// Recipients of each, at most 64, and the bits of all of them.
    each: u32,
    whole: u64,
    refused: AtomicU64,
    /// Letters that have arrived at every recipient.
    arrived: AtomicU64,
    /// Copies, by recipient: all, and those that were the first at theirs.
    copies: AtomicU64,
    first: AtomicU64,
}

/// Moments in nanoseconds since the batch began; zero: not yet.
#[derive(Default)]
struct Letter {
    due: AtomicU64,
    accepted: AtomicU64,
    /// When it was at the last of its recipients.
    arrived: AtomicU64,
    /// The recipients that have it, by bit.
    at: AtomicU64,
}

impl Post {
    /// A new batch of so many messages, each with one recipient.
    pub fn batch(&self, count: usize) -> Arc<Batch> {
        self.batch_of(count, 1)
    }

    /// A new batch of so many messages, each with so many recipients, 64 at most. It is counted as long as it is held.
    pub fn batch_of(&self, count: usize, each: u32) -> Arc<Batch> {
        let mut batches = self.batches.write();
        let letters = (0..count).map(|_| Letter::default()).collect();
        let batch = Arc::new(Batch {
            number: batches.len(),
            base: Instant::now(),
            letters,
            each,
            whole: u64::MAX >> 64_u32.saturating_sub(each),
            refused: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            copies: AtomicU64::new(0),
            first: AtomicU64::new(0),
        });
        batches.push(Arc::downgrade(&batch));
        batch
    }

    /// The far side has a message that begins like this.
    pub fn arrived(&self, head: &[u8], recipients: Recipients) {
        let place = mark(head).and_then(|(batch, number)| {
            let batch = self.batches.read().get(batch)?.upgrade()?;
            batch.letters.get(number)?.arrived(&batch, recipients);
            Some(())
        });
        if place.is_none() {
            self.strangers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Messages that were none of ours.
    pub fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }
}

/// `X-Bench: 3.17` is message 17 of batch 3.
fn mark(head: &[u8]) -> Option<(usize, usize)> {
    let at = memmem::find(head, MARK.as_bytes())? + MARK.len();
    let rest = head.get(at..)?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let (batch, number) = std::str::from_utf8(&rest[..end]).ok()?.split_once('.')?;
    Some((batch.parse().ok()?, number.parse().ok()?))
}

impl Letter {
    fn arrived(&self, batch: &Batch, recipients: Recipients) {
        let before = self.at.fetch_or(recipients.which, Ordering::Relaxed);
        let new = recipients.which & !before;
        batch.copies.fetch_add(recipients.count.into(), Ordering::Relaxed);
        batch.first.fetch_add(new.count_ones().into(), Ordering::Relaxed);
        if before != batch.whole && before | new == batch.whole {
            self.arrived.store(batch.now(), Ordering::Relaxed);
            batch.arrived.fetch_add(1, Ordering::Release);
        }
    }
}

impl Batch {
    /// Nanoseconds since it began, never zero.
    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// The value of its header line.
    pub fn mark(&self, number: usize) -> String {
        format!("{MARK}{}.{number}", self.number)
    }

    /// How many messages it is.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Message `number` should go now, whether or not a client is free for it.
    pub fn due(&self, number: usize, late: Duration) {
        let late = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        self.letters[number].due.store(self.now().saturating_sub(late).max(1), Ordering::Relaxed);
    }

    /// The relay has answered 250 to its final dot.
    pub fn accepted(&self, number: usize) {
        self.letters[number].accepted.store(self.now(), Ordering::Relaxed);
    }

    /// The relay has said something else, or nothing.
    pub fn refused(&self, error: &std::io::Error) {
        if self.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            eprintln!("bench: the first message that was not accepted: {}", error.to_string().trim());
        }
    }

    /// How many recipients each message has.
    pub fn each(&self) -> usize {
        self.each as usize
    }

    /// Recipients that were promised a message (the relay said 250) and do not have it, so far.
    pub fn missing(&self) -> usize {
        let promised = self.letters.iter().filter(|letter| letter.accepted.load(Ordering::Relaxed) > 0);
        promised.map(|letter| (self.whole & !letter.at.load(Ordering::Relaxed)).count_ones() as usize).sum()
    }

    /// How long ago it began.
    pub fn age(&self) -> Duration {
        self.base.elapsed()
    }

    /// How many the relay has taken so far.
    pub fn accepted_so_far(&self) -> usize {
        self.letters.iter().filter(|letter| letter.accepted.load(Ordering::Relaxed) > 0).count()
    }

    /// When this share of what has arrived was there, from the beginning of the batch.
    pub fn arrival(&self, share: f64) -> Option<Duration> {
        let moments = self.letters.iter().map(|letter| letter.arrived.load(Ordering::Relaxed));
        let mut moments: Vec<_> = moments.filter(|moment| *moment > 0).map(Duration::from_nanos).collect();
        moments.sort_unstable();
        quantile(&moments, share)
    }

    /// How many have arrived so far.
    pub fn delivered(&self) -> usize {
        usize::try_from(self.arrived.load(Ordering::Acquire)).unwrap_or(usize::MAX)
    }

    /// What has become of it so far.
    pub fn summary(&self) -> Summary {
        let load = |moment: &AtomicU64| moment.load(Ordering::Relaxed);
        let mut summary = Summary { planned: self.len(), lost: self.missing(), ..Summary::default() };
        summary.refused = usize::try_from(load(&self.refused)).unwrap_or(usize::MAX);
        for letter in &self.letters {
            let (due, accepted, arrived) = (load(&letter.due), load(&letter.accepted), load(&letter.arrived));
            summary.accepted += usize::from(accepted > 0);
            if arrived > 0 {
                summary.last = summary.last.max(Duration::from_nanos(arrived));
                let took = Duration::from_nanos(arrived.saturating_sub(due));
                summary.from_due.push(took);
                summary.slowest.push((Duration::from_nanos(due), took));
            }
            if arrived > 0 && accepted > 0 {
                // A message may be there before the client has read its 250.
                summary.from_accept.push(Duration::from_nanos(arrived.saturating_sub(accepted)));
            }
        }
        summary.delivered = self.delivered();
        let surplus = load(&self.copies).saturating_sub(load(&self.first));
        summary.duplicates = usize::try_from(surplus).unwrap_or(usize::MAX);
        summary.from_accept.sort_unstable();
        summary.from_due.sort_unstable();
        summary.slowest.sort_unstable_by_key(|(_, took)| std::cmp::Reverse(*took));
        summary
    }
}

/// What has become of a batch.
#[derive(Default)]
pub struct Summary {
    pub planned: usize,
    pub accepted: usize,
    pub refused: usize,
    pub delivered: usize,
    /// Recipients that were promised a message and do not have it yet.
    pub lost: usize,
    /// Copies for a recipient that had one.
    pub duplicates: usize,
    /// When the last one came, from the beginning of the batch.
    pub last: Duration,
    /// From 250 to arrival, in order.
    pub from_accept: Vec<Duration>,
    /// From the moment the message should have gone to arrival, in order: a relay that is slow to accept shows here.
    pub from_due: Vec<Duration>,
    /// The same with the moment in the batch, the slowest first: whether they are slow together.
    pub slowest: Vec<(Duration, Duration)>,
}

/// The value below which this share of the sorted values lies.
pub fn quantile(sorted: &[Duration], share: f64) -> Option<Duration> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}
