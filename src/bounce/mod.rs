//! Bounces (floor 3): the letters we write ourselves, as values. Nothing here stores or sends.
//!
//! A letter is a multipart/report (RFC 6522) of three parts: words for a person, a delivery status for programs (RFC 3464),
//! and the header section of the message it is about. What others said is quoted as theirs, what we observed is said as ours,
//! and nothing that either of them wrote can leave its place.

mod compose;
mod expired;
mod original;
mod report;
mod status;
mod words;

pub use compose::compose;
pub use expired::{expired, returned};
pub use report::{Kind, Letter, Report, ReportedRecipient};
