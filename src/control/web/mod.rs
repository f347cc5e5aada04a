//! HTTP for whoever watches: `/metrics` for Prometheus, `/healthz`, and a page at `/` that shows what `sendoff top` shows.
//!
//! Read-only, on loopback only, and off unless `metrics.listen` says where: it shows who writes to whom, and has no login. A few
//! threads, one request a connection, each under a deadline; a caller that is slow or silent holds one of them until then, and
//! nothing else. A request must name a loopback host: a page of another site that had its name point here (DNS rebinding) is
//! refused.

mod door;
mod exposition;
mod health;
mod page;
mod process;
mod request;

pub use door::WebDoor;
