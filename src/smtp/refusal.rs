//! A refusal: the negative reply that we give as a server (RFC 5321, 4.2; RFC 3463).
//!
//! It can only be a 4yz or a 5yz reply, so whoever may refuse a message can never acknowledge one by mistake.

use std::borrow::Cow;
use std::fmt;

use super::EnhancedStatus;

/// A reply code of 400 to 599, the enhanced status code of the same class, and the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: u16,
    status: EnhancedStatus,
    words: Cow<'static, str>,
}

impl Refusal {
    /// A refusal. The class of the status is that of the code; a code outside 400..=599 reads as 554.
    pub const fn new(code: u16, subject: u16, detail: u16, words: &'static str) -> Refusal {
        let code = if code >= 400 && code <= 599 { code } else { 554 };
        let class = if code < 500 { 4 } else { 5 };
        Refusal { code, status: EnhancedStatus::new(class, subject, detail), words: Cow::Borrowed(words) }
    }

    /// The same refusal in other words.
    #[must_use]
    pub fn saying(self, words: impl Into<String>) -> Refusal {
        Refusal { words: Cow::Owned(words.into()), ..self }
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code.
    pub fn status(&self) -> EnhancedStatus {
        self.status
    }

    /// The words.
    pub fn words(&self) -> &str {
        &self.words
    }
}

impl fmt::Display for Refusal {
    /// As the client reads it: `550 5.7.1 words`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.status, self.words)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_never_says_yes() {
        for (code, shown) in [
            (250, "554 5.3.0 no"),
            (354, "554 5.3.0 no"),
            (0, "554 5.3.0 no"),
            (451, "451 4.3.0 no"),
            (599, "599 5.3.0 no"),
        ] {
            assert_eq!(Refusal::new(code, 3, 0, "no").to_string(), shown);
        }
    }
}
