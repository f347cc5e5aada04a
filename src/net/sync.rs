//! What the ledger is built on, in one place: the model checker of `tests/model.rs` puts its own primitives here, and runs
//! the same ledger under every interleaving.

pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use parking_lot::Mutex;
