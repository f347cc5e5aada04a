//! Asking without sending: whether a host would take mail for a recipient.

use super::greeting::Client;
use super::trouble::{Trouble, refusal};
use crate::mail::{Blame, Failure};
use crate::smtp::{Mailbox, ReversePath};
use crate::time::Phase;

impl Client {
    /// Says MAIL, RCPT and RSET, never DATA (RFC 5321, 4.1.1.5). `Ok(None)`: it would be taken so far; `Ok(Some(..))`: it is
    /// refused, for good or not.
    ///
    /// # Errors
    /// [`Trouble`]: the conversation is over.
    pub fn would_take(
        &mut self,
        reverse_path: &ReversePath,
        recipient: &Mailbox,
    ) -> Result<Option<Failure>, Trouble> {
        let timeouts = &self.manner.timeouts;
        let (mail, rcpt, rset) = (timeouts.mail, timeouts.rcpt, timeouts.rset);
        let conversation = &mut self.conversation;
        conversation.enter(Phase::Mail, mail);
        conversation.say(&format!("MAIL FROM:<{reverse_path}>\r\n"))?;
        let reply = conversation.hear()?;
        if !reply.is_positive() {
            return Ok(Some(refusal(Blame::Message, Phase::Mail, &conversation.remote, reply)));
        }
        conversation.enter(Phase::Rcpt, rcpt);
        conversation.say(&format!("RCPT TO:<{recipient}>\r\n"))?;
        let reply = conversation.hear()?;
        let refused = (!reply.is_positive())
            .then(|| refusal(Blame::Recipient, Phase::Rcpt, &conversation.remote, reply));
        conversation.enter(Phase::Rset, rset);
        conversation.say("RSET\r\n")?;
        conversation.hear()?;
        Ok(refused)
    }
}
