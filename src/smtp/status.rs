//! Enhanced status codes (RFC 3463; registry of RFC 5248).

use std::fmt;

/// An enhanced status code `class.subject.detail`. The class is 2, 4 or 5; subject and detail are at most 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    class: u8,
    subject: u16,
    detail: u16,
}

impl EnhancedStatus {
    /// A code from its parts. A class other than 2, 4 or 5 reads as 5; larger parts are cut to 999.
    pub const fn new(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
        let class = if matches!(class, 2 | 4) { class } else { 5 };
        let subject = if subject > 999 { 999 } else { subject };
        let detail = if detail > 999 { 999 } else { detail };
        EnhancedStatus { class, subject, detail }
    }

    /// The code at the start of `text`, and what follows it (RFC 2034, 4).
    pub fn take(text: &str) -> Option<(EnhancedStatus, &str)> {
        let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let (code, rest) = text.split_at(end);
        if !(rest.is_empty() || rest.starts_with(' ')) {
            return None;
        }
        Some((EnhancedStatus::parse(code)?, rest.strip_prefix(' ').unwrap_or(rest)))
    }

    /// Exactly one code, as [`fmt::Display`] writes it.
    pub fn parse(text: &str) -> Option<EnhancedStatus> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let number = |part: &str| {
            let fits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            if fits { part.parse::<u16>().ok() } else { None }
        };
        let subject = number(parts.next()?)?;
        let detail = number(parts.next()?)?;
        if parts.next().is_some() {
            return None;
        }
        Some(EnhancedStatus { class, subject, detail })
    }

    /// The class: 2 success, 4 persistent transient failure, 5 permanent failure.
    pub fn class(self) -> u8 {
        self.class
    }

    /// The same subject and detail in another class: a deferral that expired becomes a failure.
    pub const fn with_class(self, class: u8) -> EnhancedStatus {
        EnhancedStatus::new(class, self.subject, self.detail)
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_taken_from_the_start_of_a_text() {
        let (code, rest) = EnhancedStatus::take("5.1.1 no such user").unwrap();
        assert_eq!((code.to_string().as_str(), rest), ("5.1.1", "no such user"));
        for wrong in ["", "5.1", "5.1.1.1 x", "3.1.1 x", "5.1.1x", "5.1.1000 x", "5..1", "250 ok", "5.1.+1"] {
            assert!(EnhancedStatus::take(wrong).is_none(), "{wrong}");
        }
    }
}
