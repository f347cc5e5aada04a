//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the side of the server, as values: a message in, a message out.
//!
//! Without channel binding: a client that demands it (`p=`) is refused, one that would have done it had we offered it (`y`)
//! is served. Names and passwords are taken as they are: SASLprep leaves ASCII alone, and what it would do to the rest is
//! left to the client, on both occasions the same one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};

use super::exchange::Malformed;
use super::verifier::ScramKeys;

/// The client's first message.
#[derive(Debug)]
pub(super) struct ClientFirst {
    pub(super) name: String,
    nonce: String,
    header: String,
    bare: String,
}

/// Our first message, and what the client's last one must fit to.
#[derive(Debug)]
pub(super) struct ServerFirst {
    pub(super) name: String,
    pub(super) message: String,
    nonce: String,
    header: String,
    bare: String,
    keys: Keys,
}

/// Not to be shown.
struct Keys(ScramKeys);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secrets)")
    }
}

impl ClientFirst {
    /// Reads `gs2-header client-first-message-bare`.
    ///
    /// # Errors
    /// [`Malformed`]: it is no such message, demands channel binding, or asks to be somebody else than it proves to be.
    pub(super) fn parse(message: &[u8]) -> Result<ClientFirst, Malformed> {
        let text = std::str::from_utf8(message).map_err(|_| Malformed)?;
        let rest = text.strip_prefix("n,").or_else(|| text.strip_prefix("y,")).ok_or(Malformed)?;
        let (identity, bare) = rest.split_once(',').ok_or(Malformed)?;
        let header = text[..text.len() - bare.len()].to_owned();
        // "m=" would be an extension that must be understood: it is not at the start of what we read.
        let mut parts = bare.split(',');
        let name =
            parts.next().and_then(|part| part.strip_prefix("n=")).and_then(saslname).ok_or(Malformed)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(Malformed)?;
        let own = match identity.strip_prefix("a=") {
            Some(identity) => saslname(identity).as_ref() == Some(&name),
            None => identity.is_empty(),
        };
        let printable = nonce.bytes().all(|b| b.is_ascii_graphic());
        if !own || !printable || !(1..=512).contains(&nonce.len()) {
            return Err(Malformed);
        }
        Ok(ClientFirst { name, nonce: nonce.to_owned(), header, bare: bare.to_owned() })
    }

    /// The answer, with the keys of whoever this is and `nonce`, random and printable.
    pub(super) fn answer(self, keys: ScramKeys, nonce: &str) -> ServerFirst {
        let ClientFirst { name, nonce: theirs, header, bare } = self;
        let nonce = format!("{theirs}{nonce}");
        let message = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
        ServerFirst { name, message, nonce, header, bare, keys: Keys(keys) }
    }
}

impl ServerFirst {
    /// Reads the client's last message: our own last one when it proves the password, `None` when it does not.
    ///
    /// # Errors
    /// [`Malformed`]: it is no such message, or belongs to another exchange.
    pub(super) fn finish(&self, message: &[u8]) -> Result<Option<String>, Malformed> {
        let text = std::str::from_utf8(message).map_err(|_| Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Malformed)?;
        let proof: [u8; 32] = STANDARD.decode(proof).ok().and_then(|p| p.try_into().ok()).ok_or(Malformed)?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or(Malformed)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(Malformed)?;
        if binding != STANDARD.encode(&self.header) || nonce != self.nonce {
            return Err(Malformed);
        }
        let said = format!("{},{},{without_proof}", self.bare, self.message);
        let Keys(keys) = &self.keys;
        let signature = sign(&keys.stored_key, said.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(byte, other)| *byte ^= other);
        let proven = alike(&hash(&client_key), &keys.stored_key);
        Ok(proven.then(|| format!("v={}", STANDARD.encode(sign(&keys.server_key, said.as_bytes())))))
    }
}

/// A name, in which `=2C` is a comma and `=3D` an equals sign (RFC 5802, 5.1).
fn saslname(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        name.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    (!name.is_empty()).then_some(name)
}

/// HMAC-SHA-256.
pub(super) fn sign(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref());
    sum
}

/// SHA-256.
pub(super) fn hash(text: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
    sum
}

/// Whether they are the same, in a time that does not tell how much of them is.
pub(super) fn alike(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differs = one.iter().zip(other).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    differs == 0
}
