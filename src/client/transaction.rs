//! One mail transaction: MAIL, RCPT for each recipient, DATA, the message, the final dot (RFC 5321, 3.3).
//!
//! With PIPELINING (RFC 2920) the commands up to DATA are one write; without it each waits for its reply. Either way each
//! recipient has a fate of its own at the end, and "possible duplicate" is said exactly when the final dot was sent and
//! its reply did not come.

use std::fmt::Write as _;
use std::io::Read;

use super::greeting::Client;
use super::trouble::{Trouble, refusal};
use crate::mail::{Blame, Body, BodyType, Diagnostic, Failure, Outcome};
use crate::smtp::{EnhancedStatus, Mailbox, Reply, ReversePath, Stuffer};
use crate::time::Phase;

/// How much of a body is read, stuffed and written at a time.
const BLOCK: usize = 64 * 1024;

/// What a transaction carries. The recipients are those of one transaction: the caller keeps to the limit.
#[derive(Debug)]
pub struct Transaction<'a> {
    /// The reverse-path.
    pub reverse_path: &'a ReversePath,
    /// What the client said the body is.
    pub body_type: BodyType,
    /// The recipients, at least one.
    pub recipients: &'a [&'a Mailbox],
    /// The message.
    pub body: &'a Body,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is decided for this attempt.
    Decided(Outcome),
    /// The server wants no more recipients in this transaction: it follows in the next.
    Follows,
    /// The conversation ended before it was decided: another host may be tried.
    Open,
}

/// A transaction, done or broken.
#[derive(Debug)]
pub struct Transacted {
    /// One for each recipient, in their order.
    pub fates: Vec<Fate>,
    /// What ended the conversation, if it is over.
    pub trouble: Option<Trouble>,
}

/// What the conversation as a whole came to; the fates hold the rest.
type Step<T = ()> = Result<T, Trouble>;

impl Client {
    /// Makes one transaction. After trouble the client is only good for [`Client::close`].
    pub fn deliver(&mut self, transaction: &Transaction<'_>) -> Transacted {
        let mut fates = vec![Fate::Open; transaction.recipients.len()];
        if let Some(failure) = self.unfit(transaction) {
            fates.fill(Fate::Decided(Outcome::of(failure)));
            return Transacted { fates, trouble: None };
        }
        let trouble = self.transact(transaction, &mut fates).err();
        if let Some(trouble) = &trouble
            && trouble.failure.duplicate
        {
            // The message may have arrived: no other host gets it in this attempt.
            let lost = Outcome::Deferred(trouble.failure.clone());
            decide(&mut fates, |fate| *fate == Fate::Open, &lost);
        }
        Transacted { fates, trouble }
    }

    /// What this server has told us it will not take (RFC 1870, 6.1; RFC 6152, 3).
    fn unfit(&self, transaction: &Transaction<'_>) -> Option<Failure> {
        let fail = |status, words| Failure {
            blame: Blame::Message,
            phase: Phase::Mail,
            status,
            diagnostic: Diagnostic::Local(words),
            remote: Some(self.conversation.remote.clone()),
            duplicate: false,
        };
        let size = transaction.body.len();
        if let Some(limit) = self.extensions.too_large(size) {
            let words = format!("the message has {size} octets, the host takes at most {limit}");
            return Some(fail(EnhancedStatus::new(5, 3, 4), words));
        }
        let downgrade = transaction.body_type == BodyType::EightBitMime && !self.extensions.eight_bit_mime;
        if downgrade && has_eight_bits(transaction.body) {
            let words = "the message has 8-bit content, and the host does not offer 8BITMIME".to_owned();
            return Some(fail(EnhancedStatus::new(5, 6, 3), words));
        }
        None
    }

    fn transact(&mut self, transaction: &Transaction<'_>, fates: &mut [Fate]) -> Step {
        if self.dirty {
            self.reset()?;
        }
        let mail = self.mail_command(transaction);
        let pipelining = self.extensions.pipelining;
        self.conversation.enter(Phase::Mail, self.manner.timeouts.mail);
        if pipelining {
            let mut group = mail;
            transaction.recipients.iter().for_each(|to| rcpt_command(to, &mut group));
            group.push_str("DATA\r\n");
            self.conversation.say(&group)?;
        } else {
            self.conversation.say(&mail)?;
        }
        let reply = self.conversation.hear()?;
        self.dirty = true;
        self.transactions += 1;
        if !reply.is_positive() {
            let failure = refusal(Blame::Message, Phase::Mail, &self.conversation.remote, reply);
            fates.fill(Fate::Decided(Outcome::of(failure)));
            return if pipelining { self.leave_group(fates.len()) } else { Ok(()) };
        }
        self.recipients(transaction, fates)?;
        let accepted = fates.contains(&Fate::Open);
        if !pipelining && !accepted {
            return Ok(());
        }
        self.conversation.enter(Phase::Data, self.manner.timeouts.data);
        if !pipelining {
            self.conversation.say("DATA\r\n")?;
        }
        let reply = self.conversation.hear()?;
        match (reply.is_intermediate(), accepted) {
            (true, true) => self.body(transaction.body, fates),
            // RFC 2920, 3.1: DATA was in the group though nobody is left to get the message; it ends empty.
            (true, false) => self.empty_body(),
            (false, _) => {
                let failure = refusal(Blame::Message, Phase::Data, &self.conversation.remote, reply);
                decide(fates, |fate| *fate == Fate::Open, &Outcome::of(failure));
                Ok(())
            }
        }
    }

    fn reset(&mut self) -> Step {
        self.conversation.enter(Phase::Rset, self.manner.timeouts.rset);
        self.conversation.say("RSET\r\n")?;
        let reply = self.conversation.hear()?;
        if !reply.is_positive() {
            return Err(Trouble::refused(Phase::Rset, &self.conversation.remote, reply));
        }
        self.dirty = false;
        Ok(())
    }

    fn mail_command(&self, transaction: &Transaction<'_>) -> String {
        let mut line = format!("MAIL FROM:<{}>", transaction.reverse_path);
        if self.extensions.size.is_some() {
            // Writing to a String cannot fail.
            let _ = write!(line, " SIZE={}", transaction.body.len());
        }
        if self.extensions.eight_bit_mime && transaction.body_type == BodyType::EightBitMime {
            line.push_str(" BODY=8BITMIME");
        }
        line.push_str("\r\n");
        line
    }

    /// RCPT for each recipient, or, in a pipelined group, the reply to each. Who stays open is accepted.
    fn recipients(&mut self, transaction: &Transaction<'_>, fates: &mut [Fate]) -> Step {
        let mut accepted = 0;
        let mut full = false;
        for (to, fate) in transaction.recipients.iter().zip(fates.iter_mut()) {
            if full && !self.extensions.pipelining {
                *fate = Fate::Follows;
                continue;
            }
            self.conversation.enter(Phase::Rcpt, self.manner.timeouts.rcpt);
            if !self.extensions.pipelining {
                let mut line = String::new();
                rcpt_command(to, &mut line);
                self.conversation.say(&line)?;
            }
            let reply = self.conversation.hear()?;
            if reply.is_positive() {
                accepted += 1;
            } else if accepted > 0 && too_many(&reply) {
                full = true;
                *fate = Fate::Follows;
            } else {
                let failure = refusal(Blame::Recipient, Phase::Rcpt, &self.conversation.remote, reply);
                *fate = Fate::Decided(Outcome::of(failure));
            }
        }
        Ok(())
    }

    /// MAIL was refused and the rest of its group is already on the wire: its replies are heard and mean nothing.
    fn leave_group(&mut self, recipients: usize) -> Step {
        for _ in 0..recipients {
            self.conversation.enter(Phase::Rcpt, self.manner.timeouts.rcpt);
            self.conversation.hear()?;
        }
        self.conversation.enter(Phase::Data, self.manner.timeouts.data);
        let reply = self.conversation.hear()?;
        if reply.is_intermediate() { self.empty_body() } else { Ok(()) }
    }

    fn empty_body(&mut self) -> Step {
        self.conversation.enter(Phase::FinalDot, self.manner.timeouts.dot);
        let result = self.conversation.say(".\r\n").and_then(|()| self.conversation.hear());
        self.dirty = false;
        // Nobody's message was in it, so nothing can have been duplicated.
        result.map(drop).map_err(|mut trouble| {
            trouble.failure.duplicate = false;
            trouble
        })
    }

    fn body(&mut self, body: &Body, fates: &mut [Fate]) -> Step {
        let (block, rate) = (self.manner.timeouts.block, self.manner.timeouts.min_data_rate);
        self.conversation.enter(Phase::Body, block);
        self.conversation.connection.demand(rate, block);
        self.conversation.sends(body.len());
        let mut stuffer = Stuffer::default();
        let mut wire = Vec::new();
        if let Some(octets) = body.octets() {
            for piece in octets.chunks(BLOCK) {
                self.flush(&mut wire, fates)?;
                stuffer.push(piece, &mut wire);
            }
        } else {
            let mut reader = body.reader();
            let mut piece = vec![0; BLOCK];
            loop {
                let read = reader.read(&mut piece);
                match read.map_err(|error| Trouble::body(&self.conversation.remote, &error))? {
                    0 => break,
                    read => {
                        self.flush(&mut wire, fates)?;
                        stuffer.push(&piece[..read], &mut wire);
                    }
                }
            }
        }
        // The last piece and the final dot are one write. If it does not pass whole, the dot did not pass.
        stuffer.finish(&mut wire);
        self.flush(&mut wire, fates)?;
        self.conversation.enter(Phase::FinalDot, self.manner.timeouts.dot);
        let reply = self.conversation.hear()?;
        self.dirty = false;
        let remote = self.conversation.remote.clone();
        let outcome = if reply.is_positive() {
            self.conversation.connection.session().delivered();
            Outcome::Delivered(remote, reply)
        } else {
            Outcome::of(refusal(Blame::Message, Phase::FinalDot, &remote, reply))
        };
        decide(fates, |fate| *fate == Fate::Open, &outcome);
        Ok(())
    }

    fn flush(&mut self, wire: &mut Vec<u8>, fates: &mut [Fate]) -> Step {
        if wire.is_empty() {
            return Ok(());
        }
        let result = self.conversation.connection.write_block(wire, self.manner.timeouts.block);
        wire.clear();
        let Err(error) = result else { return Ok(()) };
        let trouble = self.conversation.lost(&error);
        // A host may refuse the message in the middle and hang up; its last words, if they came, are the reason.
        if let crate::net::StreamError::Io(_) = error {
            self.conversation.enter(Phase::Body, self.manner.timeouts.quit);
            if let Ok(reply) = self.conversation.hear()
                && !reply.is_positive()
                && !reply.is_intermediate()
            {
                let failure = refusal(Blame::Message, Phase::Body, &self.conversation.remote, reply);
                decide(fates, |fate| *fate == Fate::Open, &Outcome::of(failure));
            }
        }
        Err(trouble)
    }
}

fn decide(fates: &mut [Fate], which: impl Fn(&Fate) -> bool, outcome: &Outcome) {
    fates.iter_mut().filter(|fate| which(fate)).for_each(|fate| *fate = Fate::Decided(outcome.clone()));
}

fn rcpt_command(to: &Mailbox, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "RCPT TO:<{to}>\r\n");
}

/// "Too many recipients" (RFC 5321, 4.5.3.1.10, which has old servers say 552): not a full mailbox or a full disk, which
/// have enhanced codes of their own.
fn too_many(reply: &Reply) -> bool {
    let status = reply.status().map(|status| status.with_class(4));
    matches!(reply.code(), 452 | 552) && status.is_none_or(|status| status == EnhancedStatus::new(4, 5, 3))
}

fn has_eight_bits(body: &Body) -> bool {
    let mut reader = body.reader();
    let mut piece = vec![0; BLOCK];
    // A body that cannot be read is found out when it is sent.
    while let Ok(read @ 1..) = reader.read(&mut piece) {
        if !piece[..read].is_ascii() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
