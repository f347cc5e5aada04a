//! DNS (floor 3): the route of a destination, and the resolver it is asked of. Blocking; every wait has its deadline.
//!
//! ```text
//! plan (resolve) -> resolver (lookup) -> cache
//!       |                 `-> exchange -> message
//!       `-> own, ipv6, route
//! ```

mod cache;
mod exchange;
mod ipv6;
mod message;
mod own;
mod plan;
mod resolv;
mod resolver;
mod route;

#[cfg(test)]
mod nameserver;

pub use message::{Kind, Record};
pub use own::Own;
pub use plan::Want;
pub use resolv::servers;
pub use resolver::{Answer, Resolver};
pub use route::{Mx, Route};
