//! The queue id of a message: unique within a spool for ever, short enough to say on the phone.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Digits that are hard to misread: no I, L, O, U (Crockford's base 32).
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A queue id. The number is a row id of the spool; people see eleven base-32 digits. Later ids are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(u64);

impl QueueId {
    /// The id of the row `id`; ids have at most 55 bits, whatever is above is cut.
    pub fn from_row(id: u64) -> QueueId {
        QueueId(id & ((1 << 55) - 1))
    }

    /// The row of this id.
    pub fn row(self) -> u64 {
        self.0
    }

    /// The inverse of [`fmt::Display`]; lower case is understood.
    pub fn parse(text: &str) -> Option<QueueId> {
        if text.len() != 11 {
            return None;
        }
        text.bytes()
            .try_fold(0u64, |id, byte| {
                let digit = DIGITS.iter().position(|digit| *digit == byte.to_ascii_uppercase())?;
                Some((id << 5) | digit as u64)
            })
            .map(QueueId)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: [u8; 11] = std::array::from_fn(|n| DIGITS[(self.0 >> (50 - 5 * n)) as usize & 31]);
        f.pad(std::str::from_utf8(&digits).unwrap_or("?"))
    }
}

/// Gives out queue ids: microseconds of the wall clock, but always above the last one, so that neither a clock that jumps
/// back nor a restart gives an id twice.
#[derive(Debug)]
pub struct QueueIds(AtomicU64);

impl QueueIds {
    /// Ids above `last`, the greatest id the spool has ever had.
    pub fn above(last: u64) -> QueueIds {
        QueueIds(AtomicU64::new(last))
    }

    /// A new id, given the wall clock in microseconds.
    pub fn next(&self, micros: u64) -> QueueId {
        let step = |last: u64| Some((last + 1).max(micros));
        let last =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or_else(|last| last);
        QueueId::from_row((last + 1).max(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_parsed() {
        for row in [0, 1, 31, 32, 1_700_000_000_000_000, (1 << 55) - 1] {
            let id = QueueId::from_row(row);
            assert_eq!(QueueId::parse(&id.to_string()), Some(id));
            assert_eq!(QueueId::parse(&id.to_string().to_lowercase()), Some(id));
        }
        for wrong in ["", "0000000000", "000000000000", "0000000000U", "0000000000\u{e9}"] {
            assert_eq!(QueueId::parse(wrong), None);
        }
    }

    #[test]
    fn a_clock_that_jumps_back_gives_no_id_twice() {
        let ids = QueueIds::above(0);
        let given: Vec<_> = [5, 5, 3, 100, 1].map(|micros| ids.next(micros).row()).to_vec();
        assert_eq!(given, [5, 6, 7, 100, 101]);
    }
}
