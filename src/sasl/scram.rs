//! SCRAM-SHA-256, the client's side (RFC 5802, RFC 7677): the password is proved and not told, and the server proves in turn
//! that it knows it. Without channel binding.
//!
//! Names and passwords are used as they are: nothing is done to characters outside ASCII (SASLprep, RFC 4013).

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};
use zeroize::Zeroizing;

use super::secret::Secret;

/// The most rounds that a server can make us count: about half a second. No deadline could end them.
const MOST_ROUNDS: u32 = 1_000_000;

/// An exchange under way.
pub(super) struct Scram {
    /// `n=user,r=nonce`
    first_bare: String,
    nonce: String,
    /// What the server must say, once we have said our proof.
    expected: Option<(hmac::Key, String)>,
    verified: bool,
}

impl Scram {
    /// Without channel binding, and with no other name to act for (RFC 5802, 7).
    const HEADER: &'static str = "n,,";

    /// `nonce` is printable ASCII without a comma, and never used twice.
    pub(super) fn new(user: &str, nonce: &str) -> Scram {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={user},r={nonce}");
        Scram { first_bare, nonce: nonce.to_owned(), expected: None, verified: false }
    }

    pub(super) fn first(&self) -> Secret {
        Secret::new(format!("{}{}", Scram::HEADER, self.first_bare).into_bytes())
    }

    /// Answers the server's first words with our proof, and its last with nothing, once they are right.
    pub(super) fn answer(&mut self, said: &[u8], password: &Secret) -> Result<Secret, &'static str> {
        let said = std::str::from_utf8(said).map_err(|_| "its SCRAM is no UTF-8")?;
        let Some((key, whole)) = self.expected.take() else { return self.prove(said, password) };
        let proof = said.split(',').next().and_then(|part| part.strip_prefix("v="));
        let proof = proof.and_then(|proof| BASE64.decode(proof).ok()).ok_or("its SCRAM has no signature")?;
        hmac::verify(&key, whole.as_bytes(), &proof)
            .map_err(|_| "it has not proved that it knows the password")?;
        self.verified = true;
        Ok(Secret::new(Vec::new()))
    }

    /// Whether the server has proved itself.
    pub(super) fn verified(&self) -> bool {
        self.verified
    }

    fn prove(&mut self, said: &str, password: &Secret) -> Result<Secret, &'static str> {
        let mut parts = said.split(',');
        let mut part =
            |name| parts.next().and_then(|part| part.strip_prefix(name)).ok_or("its SCRAM is not whole");
        let (nonce, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?);
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err("its SCRAM is the answer to somebody else");
        }
        let salt = BASE64.decode(salt).map_err(|_| "the salt of its SCRAM is no base 64")?;
        let rounds = rounds.parse().ok().filter(|rounds| *rounds <= MOST_ROUNDS).and_then(NonZeroU32::new);
        let rounds = rounds.ok_or("its SCRAM wants no rounds, or too many")?;

        let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.octets(), &mut *salted);
        let sign = |key: &[u8], words: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), words);
        let client_key = sign(&*salted, b"Client Key");
        let server_key = sign(&*salted, b"Server Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let without_proof = format!("c={},r={nonce}", BASE64.encode(Scram::HEADER));
        let whole = format!("{},{said},{without_proof}", self.first_bare);
        let signature = sign(stored_key.as_ref(), whole.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        self.expected = Some((hmac::Key::new(hmac::HMAC_SHA256, server_key.as_ref()), whole));
        Ok(Secret::new(format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn pencil() -> Secret {
        Secret::new(b"pencil".to_vec())
    }

    /// RFC 7677, 3.
    #[test]
    fn the_example_of_the_standard() {
        let mut scram = Scram::new("user", NONCE);
        assert_eq!(scram.first().octets(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let proof = scram.answer(FIRST, &pencil()).unwrap();
        assert_eq!(
            std::str::from_utf8(proof.octets()).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(!scram.verified());
        let last = scram.answer(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", &pencil()).unwrap();
        assert!(last.octets().is_empty() && scram.verified());
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let mut scram = Scram::new("user", NONCE);
        scram.answer(FIRST, &pencil()).unwrap();
        assert!(scram.answer(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", &pencil()).is_err());
        assert!(!scram.verified());
    }

    #[test]
    fn what_is_hostile_is_refused() {
        for said in [
            &b""[..],
            b"\xff",
            b"e=other-error",
            b"r=someone-else,s=QQ==,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqO,s=QQ==,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=0",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=4294967295",
            b"m=ext,r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=4096",
        ] {
            assert!(Scram::new("user", NONCE).answer(said, &pencil()).is_err(), "{said:?}");
        }
    }

    #[test]
    fn a_name_with_a_comma_is_still_one_name() {
        assert_eq!(Scram::new("a=b,c", "x").first().octets(), b"n,,n=a=3Db=2Cc,r=x");
    }
}
