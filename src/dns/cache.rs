//! The cache of answers: bounded in entries and in memory, a function of `now`.
//!
//! Not only answers are kept: "there is none" is (RFC 2308), and for a moment "nobody could say" too, so that a dead zone is
//! not asked about for every message of its queue. One mutex, held for a hash and a clone.
//!
//! What is evicted is chosen among the next [`LOOKED_AT`] entries of a turning hand: one that has run out, or that nobody
//! asked for since the hand last passed. An exact LRU was weighed and left: the hand costs the same whatever an attacker
//! asks for, and a queue full of made-up domains does not push out what is in use.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::message::{Content, Question, Record};

/// What is known about a question: an answer, or why there is none.
pub(super) type Finding = Result<Content, Arc<str>>;

/// The least time anything is kept: TTLs of 0 would ask for every message.
const LEAST: Duration = Duration::from_secs(1);
/// The longest time records are kept.
const MOST: Duration = Duration::from_secs(86_400);
/// The longest time "there is none" is kept: a domain that is new, or repaired, gets its mail within the hour.
const MOST_NEGATIVE: Duration = Duration::from_secs(3600);
/// How long "nobody could say" is kept (RFC 9520, 3.2: at least one second).
const FAILURE: Duration = Duration::from_secs(5);
/// The memory of a cache, in octets for each entry it may have: what usual answers need. Large ones push out several.
const OCTETS_PER_ENTRY: usize = 512;
/// How many entries the hand looks at for one eviction.
const LOOKED_AT: usize = 8;

/// The answers kept.
#[derive(Debug)]
pub(super) struct Cache {
    kept: Mutex<Kept>,
    most: usize,
}

#[derive(Debug, Default)]
struct Kept {
    places: HashMap<Question, usize>,
    entries: Vec<Entry>,
    hand: usize,
    octets: usize,
}

#[derive(Debug)]
struct Entry {
    question: Question,
    finding: Finding,
    ends: Instant,
    octets: usize,
    used: bool,
}

impl Cache {
    /// A cache of at most `most` entries (at least one) and [`OCTETS_PER_ENTRY`] times as many octets.
    pub(super) fn new(most: usize) -> Cache {
        Cache { kept: Mutex::default(), most: most.max(1) }
    }

    /// What is known at `now`.
    pub(super) fn get(&self, question: &Question, now: Instant) -> Option<Finding> {
        let mut kept = self.kept.lock();
        let place = *kept.places.get(question)?;
        let entry = kept.entries.get_mut(place).filter(|entry| now < entry.ends)?;
        entry.used = true;
        Some(entry.finding.clone())
    }

    /// Keeps `finding` for `ttl`, within the bounds of its sort.
    pub(super) fn put(&self, question: &Question, finding: Finding, ttl: Duration, now: Instant) {
        let life = match &finding {
            Ok(Content::Records(_) | Content::Alias(_)) => ttl.clamp(LEAST, MOST),
            Ok(Content::NoData | Content::NxDomain) => ttl.clamp(LEAST, MOST_NEGATIVE),
            Err(_) => FAILURE,
        };
        let octets = size(question, &finding);
        let entry = Entry { question: question.clone(), finding, ends: now + life, octets, used: false };
        let mut kept = self.kept.lock();
        kept.put(entry);
        while kept.entries.len() > self.most
            || (kept.octets > self.most.saturating_mul(OCTETS_PER_ENTRY) && kept.entries.len() > 1)
        {
            kept.evict(now);
        }
    }
}

impl Kept {
    fn put(&mut self, entry: Entry) {
        self.octets += entry.octets;
        let next = self.entries.len();
        match self.places.entry(entry.question.clone()) {
            Place::Vacant(place) => {
                place.insert(next);
                self.entries.push(entry);
            }
            Place::Occupied(place) => {
                if let Some(old) = self.entries.get_mut(*place.get()) {
                    self.octets -= old.octets;
                    *old = entry;
                }
            }
        }
    }

    /// Turns the hand until something can go, at most [`LOOKED_AT`] entries far.
    fn evict(&mut self, now: Instant) {
        for turn in 1..=LOOKED_AT {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let Some(entry) = self.entries.get_mut(self.hand) else { return };
            if turn == LOOKED_AT || !entry.used || now >= entry.ends {
                break;
            }
            entry.used = false;
            self.hand += 1;
        }
        let gone = self.entries.swap_remove(self.hand);
        self.octets -= gone.octets;
        self.places.remove(&gone.question);
        // The last one has taken its place.
        if let Some(moved) = self.entries.get(self.hand) {
            self.places.insert(moved.question.clone(), self.hand);
        }
        self.hand += 1;
    }
}

/// About how many octets an entry takes: the question twice, the finding, and the tables around them.
fn size(question: &Question, finding: &Finding) -> usize {
    let inner = match finding {
        Ok(Content::Records(records)) => records
            .iter()
            .map(|record| match record {
                Record::Address(_) => size_of::<Record>(),
                Record::Mx { host, .. } | Record::Name(host) => size_of::<Record>() + host.len() + 16,
            })
            .sum(),
        Ok(Content::Alias(name)) => name.as_slice().len(),
        Ok(Content::NoData | Content::NxDomain) => 0,
        Err(reason) => reason.len(),
    };
    let name = question.name.as_slice().len() + 16;
    size_of::<Entry>() + size_of::<(Question, usize)>() + 2 * name + inner
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::{Kind, Name};
    use crate::time::clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn question(name: &str) -> Question {
        Question { name: Name::vec_from_str(name).unwrap(), kind: Kind::A }
    }

    fn records(n: usize) -> Finding {
        Ok(Content::Records(vec![Record::Address([192, 0, 2, 1].into()); n].into()))
    }

    #[test]
    fn an_answer_is_kept_for_its_time_whatever_the_case_of_its_name() {
        let (cache, now) = (Cache::new(9), clock::now());
        cache.put(&question("a.example"), records(1), 60 * SECOND, now);
        assert_eq!(cache.get(&question("A.Example"), now + 59 * SECOND), Some(records(1)));
        assert_eq!(cache.get(&question("a.example"), now + 60 * SECOND), None);
        assert_eq!(cache.get(&Question { kind: Kind::Aaaa, ..question("a.example") }, now), None);
    }

    #[test]
    fn every_sort_of_finding_has_its_bounds() {
        let now = clock::now();
        for (finding, ttl, life) in [
            (records(1), Duration::ZERO, LEAST),
            (records(1), Duration::MAX, MOST),
            (Ok(Content::NxDomain), Duration::MAX, MOST_NEGATIVE),
            (Ok(Content::NoData), 30 * SECOND, 30 * SECOND),
            (Err("no".into()), Duration::MAX, FAILURE),
        ] {
            let cache = Cache::new(9);
            cache.put(&question("a.example"), finding.clone(), ttl, now);
            let just_before = now + life - Duration::from_millis(1);
            assert_eq!(cache.get(&question("a.example"), just_before), Some(finding.clone()));
            assert_eq!(cache.get(&question("a.example"), now + life), None, "{finding:?}");
        }
    }

    #[test]
    fn a_flood_of_names_neither_grows_it_nor_drives_out_what_is_used() {
        let (cache, now) = (Cache::new(100), clock::now());
        let mine = question("mine.example");
        cache.put(&mine, records(1), 3600 * SECOND, now);
        for n in 0..10_000 {
            cache.put(&question(&format!("x{n}.example")), Ok(Content::NxDomain), 3600 * SECOND, now);
            assert_eq!(cache.get(&mine, now), Some(records(1)), "after {n}");
        }
        let kept = cache.kept.lock();
        assert_eq!((kept.entries.len(), kept.places.len()), (100, 100));
        assert_eq!(kept.octets, kept.entries.iter().map(|entry| entry.octets).sum::<usize>());
        assert!(kept.places.iter().all(|(question, place)| kept.entries[*place].question == *question));
    }

    #[test]
    fn large_answers_push_out_several() {
        let (cache, now) = (Cache::new(100), clock::now());
        for n in 0..1000 {
            cache.put(&question(&format!("x{n}.example")), records(32), 3600 * SECOND, now);
            assert!(cache.kept.lock().octets <= 100 * OCTETS_PER_ENTRY);
        }
        assert!(cache.kept.lock().entries.len() > 10);
        cache.put(&question("huge.example"), records(10_000), SECOND, now);
        assert!(cache.kept.lock().octets <= 100 * OCTETS_PER_ENTRY, "not even one that is larger than all");
    }

    #[test]
    fn one_question_has_one_entry() {
        let (cache, now) = (Cache::new(2), clock::now());
        for n in 1..=50 {
            cache.put(&question("a.example"), records(n % 5), 3600 * SECOND, now);
        }
        assert_eq!(cache.kept.lock().entries.len(), 1);
        assert_eq!(cache.get(&question("a.example"), now), Some(records(0)));
    }
}
