//! How a host was spoken to: in the clear and why, or under TLS, with whom.

use std::fmt;

/// The state of a session, once it is decided whether TLS protects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// In the clear, for this reason.
    Clear(String),
    /// Under TLS.
    Tls {
        /// `TLSv1.2` or `TLSv1.3`.
        version: String,
        /// The cipher suite, by its IANA name.
        cipher: String,
        /// Whether the host has proved to be the one that was meant.
        trusted: bool,
        /// Why it was trusted, or why not.
        reason: String,
    },
}

impl fmt::Display for Channel {
    /// The keys of the log: `tls=no reason="not offered"`, or `tls=TLSv1.3 cipher=.. trusted=no reason="not asked"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Channel::Clear(reason) => write!(f, "tls=no reason={reason:?}"),
            Channel::Tls { version, cipher, trusted, reason } => {
                let trusted = if *trusted { "yes" } else { "no" };
                write!(f, "tls={version} cipher={cipher} trusted={trusted} reason={reason:?}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_of_the_log() {
        let clear = Channel::Clear("refused: 454 \"no\"".into());
        assert_eq!(clear.to_string(), r#"tls=no reason="refused: 454 \"no\"""#);
        let (version, cipher) = ("TLSv1.3".to_owned(), "TLS_AES_128_GCM_SHA256".to_owned());
        let tls = Channel::Tls { version, cipher, trusted: false, reason: "not asked".into() };
        let keys = r#"tls=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256 trusted=no reason="not asked""#;
        assert_eq!(tls.to_string(), keys);
    }
}
