//! The ledger: how many connections there are, and who may open another.
//!
//! It counts, under one mutex, connections per destination, connections per address, and seats of the pool by standing. A
//! [`Slot`] is one connection's share of the counts; it is made only by [`Ledger::try_acquire`] and given back only in its
//! Drop. The bug that this product was born from was a count that one error path forgot: here there is no path to forget.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::IpAddr;

use crossbeam_channel::{Sender, TrySendError};

use super::sync::{Arc, AtomicBool, Mutex, Ordering};
use crate::mail::Destination;

/// What is known of a destination; it decides how much of the pool such destinations may hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Its last session answered a transaction, for good or ill. A greeting proves nothing: a host that greets and then
    /// falls silent would have any seat, and its back-off would begin anew with every EHLO.
    Proven,
    /// Nothing is known.
    #[default]
    New,
    /// Its last attempt failed as a site.
    Suspect,
}

impl Standing {
    /// The one word of the log and of the operator's tables.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Proven => "proven",
            Standing::New => "new",
            Standing::Suspect => "suspect",
        }
    }
}

/// The most of everything that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Seats of the pool.
    pub pool: usize,
    /// Seats that new destinations may hold together.
    pub new: usize,
    /// Seats that suspects may hold together.
    pub suspect: usize,
    /// Connections to one destination.
    pub destination: usize,
    /// Connections to one address.
    pub address: usize,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Every seat of the pool is taken.
    Pool,
    /// The share of this standing is used up.
    Standing(Standing),
    /// The destination has as many connections as it may have.
    Destination,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blocked::Pool => f.write_str("every seat of the pool is taken"),
            Blocked::Standing(standing) => {
                write!(f, "the seats that {} destinations may hold are taken", standing.word())
            }
            Blocked::Destination => f.write_str("the destination has as many connections as it may have"),
        }
    }
}

/// What the ledger holds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    destinations: HashMap<Destination, usize>,
    addresses: HashMap<IpAddr, usize>,
    seats: [usize; 3],
}

impl Counts {
    /// Connections, or work that leads to one, in all.
    pub fn total(&self) -> usize {
        self.seats.iter().sum()
    }

    /// Seats held by destinations of this standing.
    pub fn seats(&self, standing: Standing) -> usize {
        self.seats[standing as usize]
    }

    /// Slots of one destination.
    pub fn destination(&self, destination: &Destination) -> usize {
        self.destinations.get(destination).copied().unwrap_or(0)
    }

    /// Connections to one address.
    pub fn address(&self, address: IpAddr) -> usize {
        self.addresses.get(&address).copied().unwrap_or(0)
    }

    /// Destinations with at least one slot.
    pub fn destinations(&self) -> impl Iterator<Item = (&Destination, usize)> {
        self.destinations.iter().map(|(destination, count)| (destination, *count))
    }

    fn take(
        &mut self,
        caps: &Caps,
        most: usize,
        to: &Destination,
        standing: Standing,
    ) -> Result<(), Blocked> {
        self.may_take(caps, most, to, standing)?;
        *self.destinations.entry(to.clone()).or_default() += 1;
        self.seats[standing as usize] += 1;
        Ok(())
    }

    fn may_take(
        &self,
        caps: &Caps,
        most: usize,
        to: &Destination,
        standing: Standing,
    ) -> Result<(), Blocked> {
        let share = match standing {
            Standing::Proven => caps.pool,
            Standing::New => caps.new,
            Standing::Suspect => caps.suspect,
        };
        if self.total() >= caps.pool {
            return Err(Blocked::Pool);
        }
        if self.seats(standing) >= share {
            return Err(Blocked::Standing(standing));
        }
        if self.destination(to) >= most.min(caps.destination) {
            return Err(Blocked::Destination);
        }
        Ok(())
    }

    fn promote(&mut self, standing: Standing) {
        self.seats[standing as usize] = self.seats[standing as usize].saturating_sub(1);
        self.seats[Standing::Proven as usize] += 1;
    }

    fn give_back(&mut self, to: &Destination, standing: Standing) {
        lower(self.destinations.entry(to.clone()));
        let seats = &mut self.seats[standing as usize];
        debug_assert!(*seats > 0, "a seat was given back twice");
        *seats = seats.saturating_sub(1);
    }
}

/// One less; a count of zero is no entry, so that the map never outgrows the pool.
fn lower<K>(entry: Entry<'_, K, usize>) {
    match entry {
        Entry::Occupied(mut count) if *count.get() > 1 => *count.get_mut() -= 1,
        Entry::Occupied(count) => drop(count.remove()),
        Entry::Vacant(_) => debug_assert!(false, "a count was given back twice"),
    }
}

/// What a Drop has given back; the scheduler hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freed {
    /// A slot of this destination.
    Slot(Destination),
    /// A connection to this address.
    Address(IpAddr),
}

/// Counts and caps, under one mutex: a cap is checked in the same moment as its count is raised.
#[derive(Debug)]
struct State {
    counts: Counts,
    caps: Caps,
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    state: Mutex<State>,
    freed: Sender<Freed>,
    /// A Drop found the channel full, and must not wait: whoever reads it should look at everything once.
    missed: AtomicBool,
}

impl Ledger {
    /// An empty ledger. What is given back is told to `freed`; see [`Ledger::missed`] for when that is full.
    pub fn new(caps: Caps, freed: Sender<Freed>) -> Arc<Ledger> {
        let state = Mutex::new(State { counts: Counts::default(), caps });
        Arc::new(Ledger { state, freed, missed: AtomicBool::new(false) })
    }

    /// Whether something was given back that `freed` had no room for, since this was last asked.
    pub fn missed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }

    /// Connections, or work that leads to one, of one destination.
    pub fn destination(&self, destination: &Destination) -> usize {
        self.state.lock().counts.destination(destination)
    }

    /// How many more connections `address` may have.
    pub fn room(&self, address: IpAddr) -> usize {
        let state = self.state.lock();
        state.caps.address.saturating_sub(state.counts.address(address))
    }

    fn tell(&self, freed: Freed) {
        if let Err(TrySendError::Full(_)) = self.freed.try_send(freed) {
            self.missed.store(true, Ordering::Release);
        }
    }

    /// A slot for one more connection to `destination`, of which the caller wants no more than `most`.
    ///
    /// # Errors
    /// [`Blocked`]: which limit is in the way. Never waits.
    pub fn try_acquire(
        self: &Arc<Self>,
        destination: &Destination,
        standing: Standing,
        most: usize,
    ) -> Result<Slot, Blocked> {
        let mut state = self.state.lock();
        let caps = state.caps;
        state.counts.take(&caps, most, destination, standing)?;
        drop(state);
        Ok(Slot { ledger: Arc::clone(self), destination: destination.clone(), standing })
    }

    /// What [`Ledger::try_acquire`] would say at this moment. It takes nothing, so it promises nothing: for whoever asks why.
    ///
    /// # Errors
    /// [`Blocked`]: which limit is in the way.
    pub fn may_acquire(
        &self,
        destination: &Destination,
        standing: Standing,
        most: usize,
    ) -> Result<(), Blocked> {
        let state = self.state.lock();
        state.counts.may_take(&state.caps, most, destination, standing)
    }

    /// What is held now.
    pub fn counts(&self) -> Counts {
        self.state.lock().counts.clone()
    }

    /// The limits.
    pub fn caps(&self) -> Caps {
        self.state.lock().caps
    }

    /// Other limits from now on. Slots above them stay until they are given back.
    pub fn set_caps(&self, caps: Caps) {
        self.state.lock().caps = caps;
    }
}

/// The right to one connection to a destination.
///
/// Made only by [`Ledger::try_acquire`], given back only by Drop; not `Clone`.
///
/// ```compile_fail
/// use sendoff::{mail::Destination, net::{Slot, Standing}};
/// let destination = Destination::parse("example.org").unwrap();
/// let slot = Slot { destination, standing: Standing::New }; // private fields: nobody makes one by hand
/// ```
/// ```
/// use sendoff::{mail::Destination, net::{Caps, Ledger, Standing}};
/// let (freed, _) = crossbeam_channel::bounded(1);
/// let ledger = Ledger::new(Caps { pool: 1, new: 1, suspect: 1, destination: 1, address: 1 }, freed);
/// let destination = Destination::parse("example.org").unwrap();
/// let slot = ledger.try_acquire(&destination, Standing::New, 1).unwrap();
/// assert!(ledger.try_acquire(&destination, Standing::New, 1).is_err());
/// drop(slot);
/// assert_eq!(ledger.counts().total(), 0);
/// ```
#[derive(Debug)]
pub struct Slot {
    ledger: Arc<Ledger>,
    destination: Destination,
    standing: Standing,
}

impl Slot {
    /// The destination this slot counts for.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The standing it counts under.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The destination is proven now: its seat counts as such, and makes room in the share it was taken from. Not one
    /// count is given back by this; that is for Drop.
    pub fn promote(&mut self) {
        if self.standing != Standing::Proven {
            self.ledger.state.lock().counts.promote(self.standing);
            self.standing = Standing::Proven;
        }
    }

    /// One more connection to `address`, or `None` when it has as many as it may have.
    pub fn reach(&self, address: IpAddr) -> Option<AddressHold> {
        let mut state = self.ledger.state.lock();
        if state.counts.address(address) >= state.caps.address {
            return None;
        }
        *state.counts.addresses.entry(address).or_default() += 1;
        drop(state);
        Some(AddressHold { ledger: Arc::clone(&self.ledger), address })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.ledger.state.lock().counts.give_back(&self.destination, self.standing);
        self.ledger.tell(Freed::Slot(self.destination.clone()));
    }
}

/// One connection's share of the count of its address. Given back only by Drop.
#[derive(Debug)]
pub struct AddressHold {
    ledger: Arc<Ledger>,
    address: IpAddr,
}

impl AddressHold {
    /// The address.
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for AddressHold {
    fn drop(&mut self) {
        lower(self.ledger.state.lock().counts.addresses.entry(self.address));
        self.ledger.tell(Freed::Address(self.address));
    }
}
