//! The queue at a glance: how much is in which state, and the destinations that stand out. One walk over the sites, nothing
//! copied but the few that are shown, so that it may be asked for every second with 100,000 destinations.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::queue::Queue;
use super::site::Site;
use super::view::SiteView;

/// The queue at a glance. A message counts once for each of its destinations.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// In hand, or next in a session's hand.
    pub active: usize,
    /// Could go now.
    pub ready: usize,
    /// Waiting for a time of their own.
    pub waiting: usize,
    /// Resting with their destination, after it failed as a site.
    pub resting: usize,
    /// Behind an address that is full, or left alone.
    pub blocked: usize,
    /// Held by an operator.
    pub held: usize,
    /// Waiting for an operator, who has suspended their destination.
    pub suspended: usize,
    /// Destinations that have mail.
    pub destinations: usize,
    /// Destinations that rest.
    pub destinations_resting: usize,
    /// Destinations that an operator has suspended.
    pub destinations_suspended: usize,
    /// The destinations with the most messages, the most first.
    pub busiest: Vec<SiteView>,
    /// The destinations with the most failures in a row, the most first.
    pub worst: Vec<SiteView>,
}

impl Summary {
    /// How many destinations are shown in each list.
    pub const MOST: usize = 10;
}

impl Queue {
    /// The queue at a glance.
    pub(super) fn summary(&self, now: Instant) -> Summary {
        let mut summary = Summary::default();
        for site in self.sites.values() {
            let rests = site.rest_until.is_some_and(|until| until > now);
            let (ready, waiting, held) = (site.ready(), site.waiting.len(), site.held.len());
            summary.active += site.entries.saturating_sub(ready + waiting + held);
            summary.held += held;
            summary.waiting += if site.suspended { 0 } else { waiting };
            match (rests, &site.blocked_on) {
                _ if site.suspended => summary.suspended += ready + waiting,
                (true, _) => summary.resting += ready,
                (false, Some(_)) => summary.blocked += ready,
                (false, None) => summary.ready += ready,
            }
            summary.destinations_suspended += usize::from(site.suspended);
            summary.destinations += usize::from(site.entries > 0);
            summary.destinations_resting += usize::from(rests);
        }
        summary.busiest = self.top(now, |site| site.entries);
        summary.worst = self.top(now, |site| site.failures as usize);
        summary
    }

    /// The sites with the most of something, those without any left out.
    fn top(&self, now: Instant, of: impl Fn(&Site) -> usize) -> Vec<SiteView> {
        let mut heap = BinaryHeap::with_capacity(Summary::MOST + 1);
        for (id, site) in &self.sites {
            let key = Reverse((of(site), Reverse(*id)));
            // The least of those kept is on top.
            let enters = heap.len() < Summary::MOST || heap.peek().is_some_and(|least| key < *least);
            if key.0.0 > 0 && enters {
                heap.push(key);
                if heap.len() > Summary::MOST {
                    heap.pop();
                }
            }
        }
        let best = heap.into_sorted_vec();
        let sites = best.iter().filter_map(|Reverse((_, Reverse(id)))| self.sites.get(id));
        sites.map(|site| self.look_at(site, now)).collect()
    }
}
