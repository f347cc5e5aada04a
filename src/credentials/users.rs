//! The file of users: one line each, `name:hash`, written by `sendoff passwd`. Empty lines and lines with `#` in front are
//! remarks.
//!
//! Who is not in it is answered as somebody who is: with a salt of its own, and after the same work.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use ring::hmac;

use super::files::read_secret;
use super::kept::Source;
use super::verifier::{ScramKeys, Verifier, key_of};

/// Where the users are; `None`: nobody can authenticate.
#[derive(Clone, Debug)]
pub struct UsersFile(pub Option<PathBuf>);

impl Source for UsersFile {
    type Value = Option<Users>;
    const WHAT: &'static str = "users";

    fn files(&self) -> Vec<&Path> {
        self.0.iter().map(PathBuf::as_path).collect()
    }

    fn make(&self) -> Result<Option<Users>, String> {
        let Some(path) = &self.0 else { return Ok(None) };
        let octets = read_secret(path)?;
        let text = std::str::from_utf8(&octets).map_err(|_| format!("{}: it is no UTF-8", path.display()))?;
        Users::parse(text).map(Some).map_err(|(line, words)| format!("{}:{line}: {words}", path.display()))
    }
}

/// Those who may authenticate.
pub struct Users {
    verifiers: HashMap<String, Verifier>,
    /// What the keys of nobody are made of: as secret as the first line of the file, and as lasting. So a restart changes
    /// neither the salts of users nor those of strangers.
    disguise: hmac::Key,
    /// What a first user would have: strangers must not differ.
    iterations: NonZeroU32,
}

impl Users {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// The number of the line, from 1, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Users, (usize, String)> {
        let mut users =
            Users { verifiers: HashMap::new(), disguise: key_of(b""), iterations: Verifier::ITERATIONS };
        for (n, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let fault = |words: &str| (n + 1, words.to_owned());
            let (name, hash) = line.split_once(':').ok_or(fault("a line is name:hash"))?;
            let verifier = Verifier::parse(hash.trim_end()).map_err(|words| fault(&words))?;
            if !is_name(name) {
                return Err(fault("a name has 1 to 255 octets, and no colon or control character in it"));
            }
            if users.verifiers.is_empty() {
                users.disguise = key_of(line.as_bytes());
                if let Verifier::Scram(keys) = &verifier {
                    users.iterations = keys.iterations;
                }
            }
            if users.verifiers.insert(name.to_owned(), verifier).is_some() {
                return Err(fault("this name stands here twice"));
            }
        }
        Ok(users)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.verifiers.len()
    }

    /// Whether every one of them can use SCRAM: it is offered only then, since a client that is offered it takes it, and
    /// one whose user has only a hash of SHA-crypt would never get in.
    pub fn all_know_scram(&self) -> bool {
        self.verifiers.values().all(|verifier| matches!(verifier, Verifier::Scram(_)))
    }

    /// The keys of a name; of one that cannot use SCRAM, keys that no password fits.
    pub(super) fn scram_keys(&self, name: &str) -> ScramKeys {
        match self.verifiers.get(name) {
            Some(Verifier::Scram(keys)) => keys.clone(),
            _ => ScramKeys::of_nobody(&self.disguise, name, self.iterations),
        }
    }

    /// Whether this is the password of this name; the same work is done for a name that there is not.
    pub(super) fn is(&self, name: &str, password: &[u8]) -> bool {
        match self.verifiers.get(name) {
            Some(verifier) => verifier.is(password),
            None => {
                let nobody = ScramKeys::of_nobody(&self.disguise, name, self.iterations);
                // No password has these keys; that the work is done is all that is wanted.
                std::hint::black_box(Verifier::Scram(nobody).is(password));
                false
            }
        }
    }
}

/// Whether somebody can be called this: 1 to 255 octets, no colon, no control character, nothing that reads as a remark.
pub fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.starts_with('#')
        && !name.chars().any(|c| c == ':' || c.is_control())
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRYPT: &str =
        "$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb0";

    fn line(name: &str, password: &str) -> String {
        format!("{name}:{}\n", Verifier::of(password.as_bytes(), [7; Verifier::SALT]))
    }

    #[test]
    fn users_are_known_by_their_lines() {
        let users =
            Users::parse(&format!("# ours\n\n{}{}", line("ann", "a"), line("bob@example.org", "b"))).unwrap();
        assert!(users.count() == 2 && users.all_know_scram());
        assert!(users.is("ann", b"a") && users.is("bob@example.org", b"b"));
        assert!(!users.is("ann", b"b") && !users.is("Ann", b"a") && !users.is("eve", b"a"));
        let mixed = Users::parse(&format!("old:{CRYPT}\r\n")).unwrap();
        assert!(!mixed.all_know_scram() && Users::parse("").unwrap().count() == 0);
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let twice = format!("{0}{0}", line("ann", "a"));
        for (text, at, words) in [
            ("#\nann", 2, "name:hash"),
            ("ann:secret", 1, "a hash begins with"),
            (&line("", "a"), 1, "a name has"),
            (&line("a\tb", "a"), 1, "a name has"),
            (&twice, 2, "twice"),
        ] {
            let (line, found) = Users::parse(text).unwrap_err();
            assert!(line == at && found.contains(words), "{line}: {found}");
        }
    }

    #[test]
    fn nobodys_salt_outlives_a_restart() {
        let text = line("ann", "a");
        let (one, other) = (Users::parse(&text).unwrap(), Users::parse(&text).unwrap());
        assert_eq!(one.scram_keys("eve").salt, other.scram_keys("eve").salt);
        assert_ne!(one.scram_keys("eve").salt, one.scram_keys("mallory").salt);
        assert_eq!(one.scram_keys("eve").iterations, one.scram_keys("ann").iterations);
    }
}
