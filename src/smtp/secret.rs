//! A secret: octets that are never shown, and leave no trace in memory.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroizing;

/// Octets that are wiped when they are dropped, and that no log line shows. To compare two of them takes a time that tells
/// how much of them is alike: no password may be checked so.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl From<Vec<u8>> for Secret {
    fn from(octets: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(octets))
    }
}

impl From<&[u8]> for Secret {
    fn from(octets: &[u8]) -> Secret {
        Secret::from(octets.to_vec())
    }
}

impl Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a secret)")
    }
}

#[test]
fn a_secret_is_not_shown() {
    let secret = Secret::from(&b"open sesame"[..]);
    assert_eq!((format!("{secret:?}").as_str(), secret.len()), ("(a secret)", 11));
}
