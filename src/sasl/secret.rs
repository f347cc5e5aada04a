//! What must not be seen: never shown, and gone from memory when it is dropped.

use std::fmt;

use zeroize::Zeroizing;

/// Octets that are nobody's business.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes them over.
    pub fn new(octets: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(octets))
    }

    /// The octets, for whoever must write them to a wire.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// In base 64, as AUTH carries them (RFC 4954, 4).
    pub fn base64(&self) -> Secret {
        use base64::Engine;
        Secret::new(base64::engine::general_purpose::STANDARD.encode(&*self.0).into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
