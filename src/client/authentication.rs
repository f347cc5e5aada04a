//! AUTH in a session (RFC 4954): the strongest mechanism that the host offers and our credential can serve, and only under
//! TLS. What is said is in no log, and neither is what is heard.
//!
//! A host that refuses us has failed as a host: its mail waits, with the host's words, until somebody corrects the credentials.
//! A typing error in a file must not bounce a day's mail.

use super::conversation::Conversation;
use super::greeting::{Hop, Manner};
use super::trouble::Trouble;
use crate::sasl::{Credential, Exchange, Mechanism, SaslError, Secret};
use crate::smtp::{EnhancedStatus, Extensions, Reply};
use crate::time::Phase;

/// Encryption required for the requested mechanism (RFC 4954, 6).
const IN_THE_CLEAR: EnhancedStatus = EnhancedStatus::new(4, 7, 11);
/// Security features not supported (RFC 3463, 3.8).
const NO_MECHANISM: EnhancedStatus = EnhancedStatus::new(4, 7, 4);
/// Authentication credentials invalid (RFC 4954, 6), as far as we are concerned.
const NO_PROOF: EnhancedStatus = EnhancedStatus::new(4, 7, 8);
/// The longest command line, without its end (RFC 5321, 4.5.3.1.4): a longer first response follows by itself
/// (RFC 4954, 4).
const LINE: usize = 510;

/// Says who we are.
pub(super) fn authenticate(
    talk: &mut Conversation,
    manner: &Manner,
    hop: &Hop,
    extensions: &Extensions,
    credential: &Credential,
) -> Result<(), Trouble> {
    if talk.connection.agreed().is_none() {
        let words = "was to be told who we are, and not in the clear".to_owned();
        return Err(talk.failed(Phase::Auth, IN_THE_CLEAR, words));
    }
    let Some(mechanism) = credential.choose(&extensions.auth) else {
        let words = match extensions.auth.is_empty() {
            true => "does not offer AUTH".to_owned(),
            false => format!("offers no AUTH that the credential is for, only {}", extensions.auth.join(" ")),
        };
        return Err(talk.failed(Phase::Auth, NO_MECHANISM, words));
    };
    let exchange = Exchange::new(credential, mechanism, &hop.name, hop.address.port());
    let mut exchange = exchange.map_err(|error| ours(talk, &error))?;
    let reply = prove(talk, manner, mechanism, &mut exchange);
    let reply = reply.map_err(|trouble| hidden(talk, trouble, &exchange))?;
    if !reply.is_positive() {
        return Err(refused(talk, reply, &exchange));
    }
    exchange.accepted().map_err(|error| ours(talk, &error))
}

/// All lines of the exchange, to the reply that ends it.
fn prove(
    talk: &mut Conversation,
    manner: &Manner,
    mechanism: Mechanism,
    exchange: &mut Exchange,
) -> Result<Reply, Trouble> {
    let mut reply = begin(talk, manner, mechanism, exchange)?;
    while reply.code() == 334 {
        let challenge = reply.lines().first().cloned().unwrap_or_default();
        reply = match exchange.answer(&challenge) {
            Ok(answer) => exchanged(talk, manner, "", Some(&answer))?,
            Err(error) => {
                // RFC 4954, 4: a client cancels with a star. What the server says to that changes nothing.
                let _ = exchanged(talk, manner, "*", None);
                return Err(ours(talk, &error));
            }
        };
    }
    Ok(reply)
}

/// The conversation ended within the exchange, with a 421 say: its words are not shown either when they have our secret in
/// them.
fn hidden(talk: &Conversation, trouble: Trouble, exchange: &Exchange) -> Trouble {
    if !exchange.is_told_by(&trouble.failure.diagnostic.to_string()) {
        return trouble;
    }
    talk.failed(
        Phase::Auth,
        NO_PROOF,
        "broke off and repeated the secret, so its words are not shown,".to_owned(),
    )
}

fn begin(
    talk: &mut Conversation,
    manner: &Manner,
    mechanism: Mechanism,
    exchange: &Exchange,
) -> Result<Reply, Trouble> {
    let command = format!("AUTH {mechanism}");
    let Some(first) = exchange.first() else { return exchanged(talk, manner, &command, None) };
    if command.len() + 1 + first.octets().len() <= LINE {
        return exchanged(talk, manner, &format!("{command} "), Some(&first));
    }
    let reply = exchanged(talk, manner, &command, None)?;
    if reply.code() == 334 { exchanged(talk, manner, "", Some(&first)) } else { Ok(reply) }
}

/// One line out, one reply in.
fn exchanged(
    talk: &mut Conversation,
    manner: &Manner,
    words: &str,
    secret: Option<&Secret>,
) -> Result<Reply, Trouble> {
    talk.enter(Phase::Auth, manner.timeouts.auth);
    talk.say_secretly(words, secret)?;
    talk.hear()
}

/// The server said no. Its words are shown, unless they have our secret in them.
fn refused(talk: &Conversation, reply: Reply, exchange: &Exchange) -> Trouble {
    if exchange.is_told_by(&reply.to_string()) {
        let words = format!("said {} and repeated the secret, so its words are not shown,", reply.code());
        return talk.failed(Phase::Auth, NO_PROOF, words);
    }
    let mut trouble = Trouble::refused(Phase::Auth, &talk.remote, reply);
    if let crate::mail::Diagnostic::Smtp(reply) = &trouble.failure.diagnostic {
        trouble.failure.status = reply.status().map_or(NO_PROOF, |status| status.with_class(4));
    }
    trouble
}

fn ours(talk: &Conversation, error: &SaslError) -> Trouble {
    talk.failed(Phase::Auth, NO_PROOF, format!("cannot be told who we are: {error},"))
}
