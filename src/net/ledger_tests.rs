//! The ledger's caps, counts and Drops; every interleaving of them is the model's (`tests/model.rs`).

use super::ledger::*;
use crate::mail::Destination;
use crossbeam_channel::bounded;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

const CAPS: Caps = Caps { pool: 10, new: 6, suspect: 2, destination: 3, address: 2 };

fn to(name: &str) -> Destination {
    Destination::parse(name).unwrap()
}

#[test]
fn no_cap_is_ever_exceeded() {
    let (freed, _wakes) = bounded(1);
    let ledger = Ledger::new(CAPS, freed);
    let mut slots = Vec::new();
    for _ in 0..3 {
        slots.push(ledger.try_acquire(&to("a.example"), Standing::Proven, 9).unwrap());
    }
    assert_eq!(ledger.try_acquire(&to("a.example"), Standing::Proven, 9).err(), Some(Blocked::Destination));
    assert_eq!(ledger.try_acquire(&to("b.example"), Standing::Proven, 0).err(), Some(Blocked::Destination));
    for n in 0..2 {
        slots.push(ledger.try_acquire(&to(&format!("s{n}.example")), Standing::Suspect, 1).unwrap());
    }
    let suspect = ledger.try_acquire(&to("s9.example"), Standing::Suspect, 1);
    assert_eq!(suspect.err(), Some(Blocked::Standing(Standing::Suspect)));
    for n in 0..5 {
        slots.push(ledger.try_acquire(&to(&format!("n{n}.example")), Standing::New, 2).unwrap());
    }
    assert_eq!(ledger.try_acquire(&to("c.example"), Standing::Proven, 1).err(), Some(Blocked::Pool));
    drop(slots);
    assert_eq!(ledger.counts(), Counts::default());
}

#[test]
fn an_address_has_a_cap_of_its_own() {
    let (freed, _wakes) = bounded(1);
    let ledger = Ledger::new(CAPS, freed);
    let address: IpAddr = [192, 0, 2, 1].into();
    let slots: Vec<_> = (0..3)
        .map(|n| ledger.try_acquire(&to(&format!("d{n}.example")), Standing::New, 1).unwrap())
        .collect();
    let holds: Vec<_> = slots.iter().filter_map(|slot| slot.reach(address)).collect();
    assert_eq!((holds.len(), ledger.counts().address(address)), (2, 2));
    drop(holds);
    assert_eq!(ledger.counts().address(address), 0);
    assert!(slots[2].reach(address).is_some());
}

#[test]
fn a_slot_given_back_wakes_whoever_schedules() {
    let (freed, wakes) = bounded(1);
    let ledger = Ledger::new(CAPS, freed);
    for _ in 0..3 {
        drop(ledger.try_acquire(&to("a.example"), Standing::New, 1).unwrap());
    }
    assert_eq!(wakes.try_iter().collect::<Vec<_>>(), [Freed::Slot(to("a.example"))]);
    assert!(ledger.missed(), "two more were given back than the channel had room for");
    assert!(!ledger.missed());
}

#[test]
fn a_panic_loses_no_count() {
    let (freed, _wakes) = bounded(1);
    let ledger = Ledger::new(CAPS, freed);
    let slot = ledger.try_acquire(&to("a.example"), Standing::New, 1).unwrap();
    let result = catch_unwind(AssertUnwindSafe(move || {
        let _hold = slot.reach([192, 0, 2, 1].into());
        panic!("a worker's");
    }));
    assert!(result.is_err());
    assert_eq!(ledger.counts(), Counts::default());
}
