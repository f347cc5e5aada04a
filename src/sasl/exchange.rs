//! One AUTH exchange, as values: what we say first, and what we answer. Nothing here is ever shown.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SecureRandom;

use super::credentials::Credential;
use super::mechanism::Mechanism;
use super::scram::Scram;
use super::secret::Secret;

/// Why we cannot go on, in words without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslError(pub String);

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SaslError {}

/// An exchange under way.
pub struct Exchange {
    mechanism: Mechanism,
    user: String,
    secret: Secret,
    /// The host and its port, which OAUTHBEARER names.
    server: (String, u16),
    scram: Option<Scram>,
    /// Challenges so far.
    heard: u32,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({})", self.mechanism)
    }
}

impl Exchange {
    /// The most challenges of one exchange; no mechanism of ours has more than three.
    const MOST: u32 = 4;

    /// Begins one with the server `host`, at `port`. A token is read from its file here.
    ///
    /// # Errors
    /// [`SaslError`] when the token cannot be read, or the system gives no random numbers.
    pub fn new(
        credential: &Credential,
        mechanism: Mechanism,
        host: &str,
        port: u16,
    ) -> Result<Exchange, SaslError> {
        let secret = credential.secret().map_err(SaslError)?;
        let scram = match mechanism {
            Mechanism::ScramSha256 => Some(Scram::new(&credential.user, &nonce()?)),
            _ => None,
        };
        let server = (host.to_owned(), port);
        Ok(Exchange { mechanism, user: credential.user.clone(), secret, server, scram, heard: 0 })
    }

    /// What follows the mechanism's name, in base 64; LOGIN has nothing to say there.
    pub fn first(&self) -> Option<Secret> {
        let parts = |parts: &[&[u8]]| Some(Secret::new(parts.concat()).base64());
        let (user, secret) = (self.user.as_bytes(), self.secret.octets());
        match self.mechanism {
            Mechanism::ScramSha256 => self.scram.as_ref().map(|scram| scram.first().base64()),
            Mechanism::Plain => parts(&[b"\0", user, b"\0", secret]),
            Mechanism::Login => None,
            Mechanism::XOAuth2 => parts(&[b"user=", user, b"\x01auth=Bearer ", secret, b"\x01\x01"]),
            Mechanism::OAuthBearer => {
                // RFC 7628, 3.1; the name is escaped as in SCRAM (RFC 5801, 4).
                let name = self.user.replace('=', "=3D").replace(',', "=2C");
                let (host, port) = &self.server;
                let head = format!("n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer ");
                parts(&[head.as_bytes(), secret, b"\x01\x01"])
            }
        }
    }

    /// What we answer to a challenge, the text of a 334: in base 64, as it goes out.
    ///
    /// # Errors
    /// [`SaslError`] when it is none that this mechanism has; the exchange is to be cancelled then (RFC 4954, 4).
    pub fn answer(&mut self, challenge: &str) -> Result<Secret, SaslError> {
        let wrong = |words: &str| SaslError(words.to_owned());
        self.heard += 1;
        if self.heard > Exchange::MOST {
            return Err(wrong("it asks for more than there is to say"));
        }
        let challenge = BASE64.decode(challenge.trim()).map_err(|_| wrong("its challenge is no base 64"))?;
        let answer = match (self.mechanism, self.heard) {
            (Mechanism::Login, 1) => Secret::new(self.user.clone().into_bytes()),
            (Mechanism::Login, 2) => self.secret.clone(),
            (Mechanism::ScramSha256, _) => match &mut self.scram {
                Some(scram) => scram.answer(&challenge, &self.secret).map_err(wrong)?,
                None => return Err(wrong("there is no SCRAM")),
            },
            // These say in a challenge why they refuse, and only refuse after an answer without meaning.
            (Mechanism::XOAuth2, _) => Secret::new(Vec::new()),
            (Mechanism::OAuthBearer, _) => Secret::new(vec![1]),
            (Mechanism::Plain | Mechanism::Login, _) => {
                return Err(wrong("it asks for more than there is to say"));
            }
        };
        Ok(answer.base64())
    }

    /// The server said 235.
    ///
    /// # Errors
    /// [`SaslError`] when it should have proved itself first, and has not.
    pub fn accepted(&self) -> Result<(), SaslError> {
        match &self.scram {
            Some(scram) if !scram.verified() => {
                Err(SaslError("it has not proved that it knows the password".into()))
            }
            _ => Ok(()),
        }
    }

    /// Whether a text has the secret in it, as it is or as it went out: then it is shown to nobody.
    pub fn is_told_by(&self, text: &str) -> bool {
        let has = |secret: &Secret| {
            let octets = secret.octets();
            !octets.is_empty() && memchr::memmem::find(text.as_bytes(), octets).is_some()
        };
        has(&self.secret) || has(&self.secret.base64()) || self.first().is_some_and(|first| has(&first))
    }
}

/// 144 random bits, printable.
fn nonce() -> Result<String, SaslError> {
    let mut bits = [0; 18];
    let random = ring::rand::SystemRandom::new().fill(&mut bits);
    random.map_err(|_| SaslError("the system has no random numbers".into()))?;
    Ok(BASE64.encode(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::credentials::Proof;

    fn exchange(mechanism: Mechanism) -> Exchange {
        let proof = Proof::Password(Secret::new(b"sesame".to_vec()));
        let credential = Credential { user: "ann".into(), proof };
        Exchange::new(&credential, mechanism, "smart.example", 587).unwrap()
    }

    fn decoded(secret: &Secret) -> String {
        String::from_utf8(BASE64.decode(secret.octets()).unwrap()).unwrap()
    }

    #[test]
    fn each_mechanism_says_what_its_standard_wants() {
        let first = |mechanism| exchange(mechanism).first().map(|first| decoded(&first));
        assert_eq!(first(Mechanism::Plain).as_deref(), Some("\0ann\0sesame"));
        assert_eq!(first(Mechanism::Login), None);
        assert_eq!(first(Mechanism::XOAuth2).as_deref(), Some("user=ann\x01auth=Bearer sesame\x01\x01"));
        assert_eq!(
            first(Mechanism::OAuthBearer).as_deref(),
            Some("n,a=ann,\x01host=smart.example\x01port=587\x01auth=Bearer sesame\x01\x01")
        );
        assert!(first(Mechanism::ScramSha256).unwrap().starts_with("n,,n=ann,r="));
    }

    #[test]
    fn login_answers_twice_and_a_refusal_is_answered_without_meaning() {
        let mut login = exchange(Mechanism::Login);
        assert_eq!(decoded(&login.answer("VXNlcm5hbWU6").unwrap()), "ann");
        assert_eq!(decoded(&login.answer("UGFzc3dvcmQ6").unwrap()), "sesame");
        assert!(login.answer("").is_err());
        assert_eq!(exchange(Mechanism::XOAuth2).answer("e30=").unwrap().octets(), b"");
        assert_eq!(exchange(Mechanism::OAuthBearer).answer("e30=").unwrap().octets(), b"AQ==");
        assert!(exchange(Mechanism::Plain).answer("").is_err());
        assert!(exchange(Mechanism::Login).answer("not base 64").is_err());
    }

    #[test]
    fn a_yes_without_a_proof_is_a_no() {
        assert!(exchange(Mechanism::ScramSha256).accepted().is_err());
        assert!(exchange(Mechanism::Plain).accepted().is_ok());
    }

    #[test]
    fn a_server_that_repeats_the_secret_is_noticed() {
        let plain = exchange(Mechanism::Plain);
        for text in ["535 sesame?", "535 c2VzYW1l", "501 AGFubgBzZXNhbWU= is wrong"] {
            assert!(plain.is_told_by(text), "{text}");
        }
        assert!(!plain.is_told_by("535 5.7.8 no"));
        assert!(!format!("{plain:?}").contains("sesame"));
    }
}
