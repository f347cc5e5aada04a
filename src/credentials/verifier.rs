//! What is kept of a password: enough to know it again, and not enough to say it.
//!
//! The form of RFC 5803 serves SCRAM and all that sends the password itself; what `openssl passwd -6` makes (SHA-crypt)
//! serves only the latter.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use sha_crypt::{PasswordVerifier, ShaCrypt};

use super::scram::{alike, hash, sign};

/// What is kept of one password.
#[derive(Clone)]
pub enum Verifier {
    /// For SCRAM-SHA-256 (RFC 5802, 3; RFC 7677).
    Scram(ScramKeys),
    /// SHA-crypt: `$6$` or `$5$`, a salt, and the rest.
    Crypt(String),
}

/// The four values that a SCRAM server keeps (RFC 5802, 5.1).
#[derive(Clone)]
pub struct ScramKeys {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
    pub(super) stored_key: [u8; 32],
    pub(super) server_key: [u8; 32],
}

impl Verifier {
    /// How often `sendoff passwd` hashes. RFC 7677, 4 asks for 4,096 or more; this takes tens of milliseconds of one processor, for us
    /// and for whoever has stolen the file.
    pub const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(99_999);
    /// The octets of a salt.
    pub const SALT: usize = 16;
    /// The least that a file may ask for, and the most: above, one try would hold a processor for seconds.
    const ALLOWED: std::ops::RangeInclusive<u32> = 4_096..=10_000_000;

    /// What is to be kept of `password`.
    pub fn of(password: &[u8], salt: [u8; Verifier::SALT]) -> Verifier {
        Verifier::Scram(ScramKeys::derive(password, salt.to_vec(), Verifier::ITERATIONS))
    }

    /// Reads one, as it stands in a file.
    ///
    /// # Errors
    /// Words for whoever wrote the file; they do not repeat it.
    pub fn parse(text: &str) -> Result<Verifier, String> {
        if text.starts_with("$6$") || text.starts_with("$5$") {
            return match is_crypt(text) {
                true => Ok(Verifier::Crypt(text.to_owned())),
                false => Err("this is no hash of SHA-crypt with up to a million rounds".to_owned()),
            };
        }
        let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or(
            "a hash begins with SCRAM-SHA-256$ (write it with sendoff passwd), or with $6$ (openssl passwd -6)",
        )?;
        ScramKeys::parse(rest)
            .ok_or("this is no SCRAM-SHA-256$iterations:salt$key:key (RFC 5803)".to_owned())
            .and_then(|keys| match Verifier::ALLOWED.contains(&keys.iterations.get()) {
                true => Ok(Verifier::Scram(keys)),
                false => Err("the iterations are not 4096 to 10000000".to_owned()),
            })
    }

    /// Whether this is the password. Takes milliseconds of a processor.
    pub(super) fn is(&self, password: &[u8]) -> bool {
        match self {
            Verifier::Scram(keys) => {
                let tried = ScramKeys::derive(password, keys.salt.clone(), keys.iterations);
                alike(&tried.stored_key, &keys.stored_key)
            }
            // A hash of nothing is a mistake of whoever made the file, and no door.
            Verifier::Crypt(_) if password.is_empty() => false,
            Verifier::Crypt(hash) => ShaCrypt::SHA512.verify_password(password, hash.as_str()).is_ok(),
        }
    }
}

/// Whether this has the form of SHA-crypt: `$6$`, perhaps `rounds=N$`, a salt, `$`, the hash. It is not tried: two thousand
/// lines would take seconds, and one line with all the rounds there can be, hours.
fn is_crypt(text: &str) -> bool {
    const ROUNDS: std::ops::RangeInclusive<u32> = 1_000..=1_000_000;
    let (rest, length) = match (text.strip_prefix("$6$"), text.strip_prefix("$5$")) {
        (Some(rest), _) => (rest, 86),
        (_, Some(rest)) => (rest, 43),
        _ => return false,
    };
    let rest = match rest.strip_prefix("rounds=").map(|rest| rest.split_once('$')) {
        None => rest,
        Some(Some((rounds, rest))) if rounds.parse().is_ok_and(|rounds| ROUNDS.contains(&rounds)) => rest,
        Some(_) => return false,
    };
    let letters = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'.' || c == b'/');
    rest.split_once('$').is_some_and(|(salt, hash)| {
        salt.len() <= 16 && letters(salt) && hash.len() == length && letters(hash)
    })
}

impl ScramKeys {
    fn derive(password: &[u8], salt: Vec<u8>, iterations: NonZeroU32) -> ScramKeys {
        let mut salted = zeroize::Zeroizing::new([0; 32]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password, &mut *salted);
        let client_key = zeroize::Zeroizing::new(sign(&*salted, b"Client Key"));
        let server_key = sign(&*salted, b"Server Key");
        ScramKeys { salt, iterations, stored_key: hash(&*client_key), server_key }
    }

    /// Keys that no password has, the same each time for the same name: what a stranger sees of a user that there is not.
    pub(super) fn of_nobody(secret: &hmac::Key, name: &str, iterations: NonZeroU32) -> ScramKeys {
        let of = |what: &str| -> [u8; 32] {
            let mut sum = [0; 32];
            sum.copy_from_slice(hmac::sign(secret, format!("{what} {name}").as_bytes()).as_ref());
            sum
        };
        let salt = of("salt")[..Verifier::SALT].to_vec();
        ScramKeys { salt, iterations, stored_key: of("stored key"), server_key: of("server key") }
    }

    fn parse(text: &str) -> Option<ScramKeys> {
        let (info, value) = text.split_once('$')?;
        let ((iterations, salt), (stored, server)) = (info.split_once(':')?, value.split_once(':')?);
        let octets = |text: &str| STANDARD.decode(text).ok();
        let salt = octets(salt).filter(|salt| (8..=64).contains(&salt.len()))?;
        let key = |text| octets(text)?.try_into().ok();
        Some(ScramKeys {
            salt,
            iterations: iterations.parse().ok()?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }
}

impl fmt::Display for Verifier {
    /// As it stands in a file: a secret, if less of one than the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verifier::Scram(ScramKeys { salt, iterations, stored_key, server_key }) => {
                let [salt, stored, server] =
                    [&salt[..], stored_key, server_key].map(|key| STANDARD.encode(key));
                write!(f, "SCRAM-SHA-256${iterations}:{salt}${stored}:{server}")
            }
            Verifier::Crypt(hash) => f.write_str(hash),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verifier::Scram(_) => "Scram(..)",
            Verifier::Crypt(_) => "Crypt(..)",
        })
    }
}

/// A key that is as secret, and as lasting, as `line`.
pub(super) fn key_of(line: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, digest::digest(&digest::SHA256, line).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of PostgreSQL's documentation has the same form; this one is of the RFC's exchange (7677, 3): "pencil".
    #[test]
    fn the_keys_are_those_of_the_standard() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = ScramKeys::derive(b"pencil", salt, NonZeroU32::new(4096).unwrap());
        let text = Verifier::Scram(keys).to_string();
        assert_eq!(
            text,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        let read = Verifier::parse(&text).unwrap();
        assert!(read.is(b"pencil") && !read.is(b"Pencil") && !read.is(b""));
        assert_eq!((read.to_string(), format!("{read:?}").as_str()), (text, "Scram(..)"));
    }

    /// The hash is `openssl passwd -6 -salt saltsalt pencil`.
    #[test]
    fn hashes_of_openssl_are_known_again() {
        let hash = "$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb0";
        let read = Verifier::parse(hash).unwrap();
        assert!(read.is(b"pencil") && !read.is(b"Pencil"));
    }

    /// Reading a file hashed every line of it, in the thread that hears SIGTERM.
    #[test]
    fn a_line_is_read_without_being_tried() {
        let hash = "a".repeat(86);
        let line = |rounds: &str| Verifier::parse(&format!("$6${rounds}saltsalt${hash}"));
        assert!(line("").is_ok() && line("rounds=1000000$").is_ok());
        for refused in ["rounds=999999999$", "rounds=999$", "rounds=$", "rounds=", "sa:lt"] {
            assert!(line(refused).is_err(), "{refused}");
        }
        assert!(!line("").unwrap().is(b""));
    }

    #[test]
    fn what_is_no_hash_is_refused_in_words() {
        for (text, words) in [
            ("", "a hash begins with"),
            ("pencil", "a hash begins with"),
            ("$1$saltsalt$abc", "a hash begins with"),
            ("$6$", "no hash of SHA-crypt"),
            ("$6$salt", "no hash of SHA-crypt"),
            ("SCRAM-SHA-256$", "(RFC 5803)"),
            ("SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$a:b", "(RFC 5803)"),
        ] {
            let words_found = Verifier::parse(text).unwrap_err();
            assert!(words_found.contains(words), "{text}: {words_found}");
        }
        let key = STANDARD.encode([0; 32]);
        let few = format!("SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==${key}:{key}");
        assert!(Verifier::parse(&few).unwrap_err().contains("4096 to"));
    }
}
