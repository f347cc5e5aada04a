//! Values from columns, and back. What cannot be read is said in words; it is the caller's to skip it.

use rusqlite::types::FromSql;
use rusqlite::{Row, ToSql};

use super::Last;
use crate::mail::{Blame, BodyType, Destination, Diagnostic, Failure, QueueId, Remote};
use crate::smtp::{EnhancedStatus, Mailbox, Reply, ReversePath};
use crate::time::{Phase, Unix};

/// A value, or what is wrong with the row.
pub(super) type Readable<T> = Result<T, String>;

/// The columns that [`last`] reads, in its order.
pub(super) const LAST: &str = "last_at, last_blame, last_phase, last_status, last_said, last_text, last_remote, \
                               last_address, last_duplicate";

/// The number of an id in the database. Ids have 55 bits, so this never saturates.
pub(super) fn row(id: QueueId) -> i64 {
    i64::try_from(id.row()).unwrap_or(i64::MAX)
}

/// Any column.
pub(super) fn column<T: FromSql>(row: &Row<'_>, n: usize) -> Readable<T> {
    row.get(n).map_err(|error| error.to_string())
}

/// A queue id.
pub(super) fn id(row: &Row<'_>, n: usize) -> Readable<QueueId> {
    let number: i64 = column(row, n)?;
    let id = u64::try_from(number).ok().map(|number| (number, QueueId::from_row(number)));
    id.filter(|(number, id)| id.row() == *number)
        .map(|(_, id)| id)
        .ok_or(format!("the id {number} is out of range"))
}

/// A count or a size, which is never negative.
pub(super) fn count<T: TryFrom<i64>>(row: &Row<'_>, n: usize) -> Readable<T> {
    let number: i64 = column(row, n)?;
    T::try_from(number).map_err(|_| format!("the number {number} is out of range"))
}

/// A forward-path.
pub(super) fn mailbox(row: &Row<'_>, n: usize) -> Readable<Mailbox> {
    let text: String = column(row, n)?;
    Mailbox::parse(&text).map_err(|error| format!("the address {text:?}: {error}"))
}

/// A reverse-path; empty text is the null path.
pub(super) fn reverse_path(row: &Row<'_>, n: usize) -> Readable<ReversePath> {
    let text: String = column(row, n)?;
    match text.as_str() {
        "" => Ok(ReversePath::NULL),
        _ => Mailbox::parse(&text)
            .map(Into::into)
            .map_err(|error| format!("the reverse-path {text:?}: {error}")),
    }
}

/// A next hop.
pub(super) fn destination(row: &Row<'_>, n: usize) -> Readable<Destination> {
    let text: String = column(row, n)?;
    Destination::parse(&text).ok_or_else(|| format!("the destination {text:?} is none"))
}

/// BODY= as the number of bits.
pub(super) fn bits(body_type: BodyType) -> i64 {
    match body_type {
        BodyType::SevenBit => 7,
        BodyType::EightBitMime => 8,
    }
}

/// The inverse of [`bits`]. What is unknown is taken for eight bits: then it is not sent where it may not go.
pub(super) fn body_type(row: &Row<'_>, n: usize) -> Readable<BodyType> {
    Ok(if column::<i64>(row, n)? == 7 { BodyType::SevenBit } else { BodyType::EightBitMime })
}

/// The last failure, from the columns of [`LAST`] at `n`; `None` when there is none, or it cannot be read: it is a
/// memory, and mail does not stand still for it.
pub(super) fn last(row: &Row<'_>, n: usize) -> Option<Last> {
    let at = Unix(row.get(n).ok()?);
    let text = |n: usize| row.get::<_, String>(n).ok();
    let words = text(n + 5)?;
    let said = row.get::<_, i64>(n + 4).ok()? == 1;
    let failure = Failure {
        blame: blame(&text(n + 1)?)?,
        phase: Phase::from_word(&text(n + 2)?)?,
        status: EnhancedStatus::parse(&text(n + 3)?)?,
        diagnostic: if said { Diagnostic::Smtp(reply(&words)?) } else { Diagnostic::Local(words) },
        remote: text(n + 6)
            .map(|name| Remote::new(name, text(n + 7).and_then(|address| address.parse().ok()))),
        duplicate: row.get::<_, i64>(n + 8).ok()? == 1,
    };
    Some(Last { at, failure })
}

/// The values of the columns of [`LAST`] after the first, in their order.
pub(super) fn failure_values(failure: &Failure) -> [Box<dyn ToSql>; 8] {
    let remote = failure.remote.as_ref();
    [
        Box::new(failure.blame.word()),
        Box::new(failure.phase.word()),
        Box::new(failure.status.to_string()),
        Box::new(matches!(failure.diagnostic, Diagnostic::Smtp(_))),
        Box::new(cut(failure.diagnostic.to_string())),
        Box::new(remote.map(|remote| remote.name.clone())),
        Box::new(remote.and_then(|remote| remote.address).map(|address| address.to_string())),
        Box::new(failure.duplicate),
    ]
}

/// The words of a failure, no longer than they are kept.
pub(super) use crate::mail::cut;

fn blame(word: &str) -> Option<Blame> {
    [Blame::Site, Blame::Message, Blame::Recipient].into_iter().find(|blame| blame.word() == word)
}

/// A reply from the form of its `Display`.
fn reply(text: &str) -> Option<Reply> {
    let (code, rest) = (text.get(..3)?, text.get(3..)?);
    Some(Reply::new(code.parse().ok()?, rest.strip_prefix(' ').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_comes_back_as_it_was() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let mut failure = Failure {
            blame: Blame::Recipient,
            phase: Phase::Rcpt,
            status: EnhancedStatus::new(4, 2, 2),
            diagnostic: Diagnostic::Smtp(Reply::new(452, "4.2.2 full")),
            remote: Some(Remote::new("mx.example", Some([192, 0, 2, 1].into()))),
            duplicate: true,
        };
        for _ in 0..2 {
            let values = failure_values(&failure);
            let values: Vec<&dyn ToSql> =
                std::iter::once(&7i64 as &dyn ToSql).chain(values.iter().map(|v| &**v)).collect();
            let back =
                connection.query_row("SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9", &*values, |row| Ok(last(row, 0)));
            assert_eq!(back.unwrap(), Some(Last { at: Unix(7), failure: failure.clone() }));
            failure.remote = None;
            failure.diagnostic = Diagnostic::Local("timed out".into());
        }
    }
}
