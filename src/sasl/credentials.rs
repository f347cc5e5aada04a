//! The credentials file: who we are at which smart host.
//!
//! ```text
//! # host:port               user               what    the rest of the line
//! smart.example.net:587     relay@example.org  password  open sesame
//! smtp.example.com:465      relay@example.com  token     /etc/sendoff/token
//! ```
//!
//! `token` names a file whose first line is an OAuth 2 access token; it is read anew for each session, so whoever
//! renews it only has to replace the file. Both files are refused when others can read them.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file;
use super::mechanism::Mechanism;
use super::secret::Secret;
use crate::mail::Destination;

/// Who we are at one smart host.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The user.
    pub user: String,
    pub(super) proof: Proof,
}

/// How we prove it.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    Password(Secret),
    /// The file that has the token.
    Token(PathBuf),
}

impl Credential {
    /// The longest token; those of real issuers have up to 4 KB.
    const TOKEN: usize = 16 * 1024;

    /// The strongest of the offered mechanisms that can prove it.
    pub fn choose(&self, offered: &[String]) -> Option<Mechanism> {
        let known: &[Mechanism] = match self.proof {
            Proof::Password(_) => &Mechanism::OF_PASSWORDS,
            Proof::Token(_) => &Mechanism::OF_TOKENS,
        };
        known.iter().copied().find(|known| offered.iter().any(|name| name == known.name()))
    }

    /// The password, or the token as its file has it now.
    pub(super) fn secret(&self) -> Result<Secret, String> {
        match &self.proof {
            Proof::Password(password) => Ok(password.clone()),
            Proof::Token(path) => {
                let named = |words: String| format!("the token file {}: {words}", path.display());
                let octets = file::read(path, Credential::TOKEN).map_err(named)?;
                let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default().trim_ascii();
                // RFC 6750, 2.1: a token has no spaces and no controls, which would be separators in what we say.
                match !line.is_empty() && line.iter().all(u8::is_ascii_graphic) {
                    true => Ok(Secret::new(line.to_vec())),
                    false => Err(named("its first line is no token".into())),
                }
            }
        }
    }
}

/// Why credentials cannot be had.
#[derive(Debug)]
pub struct CredentialsError {
    path: PathBuf,
    line: Option<usize>,
    words: String,
}

impl fmt::Display for CredentialsError {
    /// Never with a word of the line: it may be the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.line {
            Some(line) => write!(f, "delivery.credentials: {path}:{line}: {}", self.words),
            None => write!(f, "delivery.credentials: {path} {}", self.words),
        }
    }
}

impl std::error::Error for CredentialsError {}

/// All credentials, by smart host.
#[derive(Debug, Default)]
pub struct Credentials {
    table: HashMap<Key, Arc<Credential>>,
}

/// A smart host and its port, however a session with it begins.
type Key = (String, u16);

impl Credentials {
    /// The longest file.
    const MOST: usize = 256 * 1024;

    /// Reads the file; none has no credentials.
    ///
    /// # Errors
    /// [`CredentialsError`], which says where and never what.
    pub fn load(path: Option<&Path>) -> Result<Credentials, CredentialsError> {
        let Some(path) = path else { return Ok(Credentials::default()) };
        let fault = |line, words: String| CredentialsError { path: path.to_owned(), line, words };
        let octets = file::read(path, Credentials::MOST).map_err(|words| fault(None, words))?;
        let text = std::str::from_utf8(&octets).map_err(|_| fault(None, "is no UTF-8 text".into()))?;
        let mut table = HashMap::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, credential) = parse(line).map_err(|words| fault(Some(n + 1), words.into()))?;
            if table.insert(key, Arc::new(credential)).is_some() {
                return Err(fault(Some(n + 1), "this smart host stands here twice".into()));
            }
        }
        Ok(Credentials { table })
    }

    /// Who we are at a destination, if it is a smart host that the file names.
    pub fn of(&self, destination: &Destination) -> Option<Arc<Credential>> {
        // Most houses have none, and then no key need be made for each message.
        if self.table.is_empty() {
            return None;
        }
        let (_, port) = destination.smart()?;
        self.table.get(&(destination.host().to_string(), port)).cloned()
    }
}

fn parse(line: &str) -> Result<(Key, Credential), &'static str> {
    let (host, rest) = word(line);
    let (user, rest) = word(rest);
    let (what, rest) = word(rest);
    if user.is_empty() || rest.is_empty() {
        return Err("write `host:port user password SECRET` or `host:port user token FILE`");
    }
    if user.chars().any(char::is_control) || rest.contains('\0') {
        return Err("a NUL or another control cannot stand here");
    }
    let smart = Destination::parse(&format!("smtp://{host}")).and_then(|to| Some((to.host(), to.smart()?)));
    let (host, (_, port)) =
        smart.ok_or("the first word must be a smart host and its port, like smart.example.net:587")?;
    let proof = match what {
        "password" => Proof::Password(Secret::new(rest.as_bytes().to_vec())),
        "token" => Proof::Token(PathBuf::from(rest)),
        _ => return Err("the third word must be `password` or `token`"),
    };
    Ok(((host.to_string(), port), Credential { user: user.to_owned(), proof }))
}

/// The first word, and the rest without the space between.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    const TEXT: &str = "# who\n\nSmart.Example:587 ann password open  sesame \n[192.0.2.1]:25 bob token /t\n";

    #[test]
    fn credentials_are_those_of_their_host_and_port() {
        let (_dir, path) = file(TEXT, 0o600);
        let credentials = Credentials::load(Some(&path)).unwrap();
        let of = |to: &str| credentials.of(&Destination::parse(to).unwrap()).map(|known| known.user.clone());
        assert_eq!(of("smtp://smart.example:587").as_deref(), Some("ann"));
        assert_eq!(of("smtps://smart.example:587").as_deref(), Some("ann"));
        assert_eq!(of("smtp://[192.0.2.1]:25").as_deref(), Some("bob"));
        for other in ["smtp://smart.example:25", "smart.example", "[192.0.2.1]", "smtp://other.example:587"] {
            assert_eq!(of(other), None, "{other}");
        }
        let ann = credentials.of(&Destination::parse("smtp://smart.example:587").unwrap()).unwrap();
        assert_eq!(ann.secret().unwrap().octets(), b"open  sesame");
        assert!(!format!("{credentials:?}").contains("sesame"));
        assert!(Credentials::load(None).unwrap().table.is_empty());
    }

    #[test]
    fn the_strongest_mechanism_that_is_offered_is_used() {
        let (_dir, path) = file(TEXT, 0o400);
        let credentials = Credentials::load(Some(&path)).unwrap();
        let choose = |to: &str, offered: &str| {
            let offered: Vec<_> = offered.split(' ').map(str::to_owned).collect();
            credentials.of(&Destination::parse(to).unwrap()).unwrap().choose(&offered)
        };
        let ann = |offered| choose("smtp://smart.example:587", offered);
        assert_eq!(ann("LOGIN PLAIN SCRAM-SHA-256 CRAM-MD5"), Some(Mechanism::ScramSha256));
        assert_eq!(ann("LOGIN PLAIN XOAUTH2"), Some(Mechanism::Plain));
        assert_eq!((ann("LOGIN"), ann("CRAM-MD5 XOAUTH2")), (Some(Mechanism::Login), None));
        let bob = |offered| choose("smtp://[192.0.2.1]:25", offered);
        assert_eq!(bob("PLAIN XOAUTH2 OAUTHBEARER"), Some(Mechanism::OAuthBearer));
        assert_eq!((bob("PLAIN XOAUTH2"), bob("PLAIN LOGIN")), (Some(Mechanism::XOAuth2), None));
    }

    #[test]
    fn what_others_can_read_is_refused_and_no_fault_tells_a_secret() {
        let refused = |text: &str, mode| {
            let (_dir, path) = file(text, mode);
            Credentials::load(Some(&path)).unwrap_err().to_string()
        };
        for mode in [0o640, 0o604, 0o620, 0o601] {
            assert!(refused(TEXT, mode).contains("chmod 600"), "{mode:o}");
        }
        for (text, words) in [
            (
                "a:1 ann password sesame\na:1 ann password sesame",
                "credentials:2: this smart host stands here twice",
            ),
            ("ann password sesame", "credentials:1: write `host:port user password"),
            ("a ann password sesame", "must be a smart host and its port"),
            ("a:1 ann sesame sesame", "the third word must be"),
            ("a:1 ann password", "write `host:port user"),
        ] {
            let said = refused(text, 0o600);
            assert!(said.contains(words) && !said.contains("sesame"), "{said}");
        }
        assert!(refused(&"#\n".repeat(200_000), 0o600).contains("longer"));
        assert!(Credentials::load(Some(Path::new("/"))).unwrap_err().to_string().contains("is no file"));
    }

    #[test]
    fn a_token_is_the_first_line_of_its_file_as_it_is_now() {
        let (_dir, path) = file("ya29.one\r\nrest", 0o600);
        let credential = Credential { user: "bob".into(), proof: Proof::Token(path.clone()) };
        assert_eq!(credential.secret().unwrap().octets(), b"ya29.one");
        for wrong in ["", "two words", "a\u{1}b"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(credential.secret().unwrap_err().ends_with("its first line is no token"), "{wrong:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(credential.secret().unwrap_err().contains("cannot be read"));
    }
}
