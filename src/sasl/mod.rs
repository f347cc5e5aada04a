//! Who we are at smart hosts (floor 2): the credentials of a file, and the words of the mechanisms (RFC 4954). No sockets
//! here: `client` carries the words, and only over TLS.

mod credentials;
mod exchange;
mod file;
mod mechanism;
mod scram;
mod secret;

pub use credentials::{Credential, Credentials, CredentialsError};
pub use exchange::{Exchange, SaslError};
pub use mechanism::Mechanism;
pub use secret::Secret;
