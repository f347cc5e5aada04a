//! `/healthz`: whether mail can come in, be kept, and go out. Each of the three answers for itself, within a deadline; that
//! its thread is there proves nothing.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::control::Answers;
use crate::net::Stream;
use crate::time::{Deadline, clock};

/// What each part gets.
const LIMIT: Duration = Duration::from_secs(2);

/// What was found.
#[derive(Debug)]
pub(super) struct Health {
    /// Whether every part answers.
    pub(super) well: bool,
    /// A line for each part.
    pub(super) words: String,
}

/// Asks the scheduler, the spool's writer, and each listening address for its greeting. A listener that says 421 because
/// every seat is taken does answer: a restart would help nobody.
pub(super) fn health(answers: &Answers, listening: &[SocketAddr]) -> Health {
    let scheduler = answers.scheduler.summary(LIMIT).map(drop).ok_or_else(|| "does not answer".to_owned());
    let spool = answers.shop.spool.answers(LIMIT).map_err(|error| error.to_string());
    let parts = [("scheduler".to_owned(), scheduler), ("spool".to_owned(), spool)];
    let listeners = listening.iter().map(|address| (format!("listener {address}"), greeting(*address)));
    let (mut well, mut words) = (true, String::new());
    for (part, answer) in parts.into_iter().chain(listeners) {
        well &= answer.is_ok();
        words.push_str(&format!("{part}: {}\n", answer.err().as_deref().unwrap_or("answers")));
    }
    Health { well, words }
}

/// The first octets of a greeting: 220, or 421.
fn greeting(address: SocketAddr) -> Result<(), String> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let deadline = Deadline::within(clock::now(), LIMIT);
    let stream = Stream::dial(SocketAddr::new(ip, address.port()), deadline);
    let mut stream = stream.map_err(|error| error.to_string())?;
    let mut code = [0; 3];
    stream.read_exact(&mut code).map_err(|error| crate::net::StreamError::from(error).to_string())?;
    // A reset, so that no goodbye is waited for.
    stream.abort();
    if [*b"220", *b"421"].contains(&code) {
        Ok(())
    } else {
        Err("says something else than a greeting".into())
    }
}
