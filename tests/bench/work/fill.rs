//! A spool that is full before the relay starts. It is filled through the spool's own door, by many threads that share its
//! syncs: over SMTP a million messages would take ten minutes, and nothing else would be in the spool then.

use crate::post::Batch;
use crate::source::FROM;
use sendoff::mail::{BodyType, Destination, Envelope};
use sendoff::smtp::{Mailbox, ReversePath};
use sendoff::spool::{DestinationRecord, Spool};
use sendoff::time::Unix;
use std::io::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Threads that commit at once.
const THREADS: usize = 256;
const COMMIT: Duration = Duration::from_secs(60);

/// Puts a batch into the spool in `home`, a recipient for each message, with `size` octets each.
pub fn fill(home: &Path, batch: &Arc<Batch>, to: fn(usize) -> String, size: usize) -> Result<(), String> {
    let spool = Spool::open(&home.join("spool"), 0).map_err(|error| error.to_string())?;
    let next = AtomicUsize::new(0);
    let body = "m".repeat(62) + "\r\n";
    let body = body.repeat(size / body.len());
    let put = |number: usize| -> Option<()> {
        let mut draft = spool.draft();
        draft.write(format!("{}\r\nSubject: {number}\r\n\r\n{body}", batch.mark(number)).as_bytes()).ok()?;
        let address = to(number);
        let recipient = Mailbox::parse(&address).ok()?;
        let destination = address.rsplit_once('@').and_then(|(_, host)| Destination::parse(host))?;
        let envelope = Envelope {
            reverse_path: ReversePath::parse(&format!("<{FROM}>")).ok()?,
            recipients: vec![recipient],
            body_type: BodyType::SevenBit,
            accepted: now(),
        };
        draft.commit(envelope, vec![destination], COMMIT).ok().map(drop)
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && number < batch.len()
                {
                    match put(number) {
                        Some(()) => batch.accepted(number),
                        None => batch.refused(&Error::other("the spool refused it")),
                    }
                }
            });
        }
    });
    spool.close(COMMIT);
    Ok(())
}

/// Lets destinations rest for so long from now on, as if each had failed once.
pub fn rest(home: &Path, names: impl Iterator<Item = String>, long: Duration) -> Result<(), String> {
    let spool = Spool::open(&home.join("spool"), 0).map_err(|error| error.to_string())?;
    let record = |name: String| {
        Some(DestinationRecord {
            destination: Destination::parse(&name)?,
            failures: 1,
            until: now().after(long),
            proven: false,
            last_at: now(),
            last_text: "the bench has said so".into(),
        })
    };
    spool.remember(names.filter_map(record).collect());
    spool.close(COMMIT);
    Ok(())
}

fn now() -> Unix {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
