//! The addresses of a `To:` field (RFC 5322, 3.4), read as people write them: names, comments and groups are left out.

/// The addresses in a field's body, in order, as written between the angle brackets or without them.
pub(super) fn addresses(body: &str) -> Vec<String> {
    let (mut found, mut reading) = (Vec::new(), Reading::default());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if reading.quoted || reading.comments > 0 => {
                let pair = chars.next();
                if reading.quoted {
                    reading.push(c);
                    pair.into_iter().for_each(|c| reading.push(c));
                }
            }
            '(' if !reading.quoted => reading.comments += 1,
            ')' if !reading.quoted && reading.comments > 0 => reading.comments -= 1,
            _ if reading.comments > 0 => {}
            '"' => {
                reading.quoted = !reading.quoted;
                reading.push(c);
            }
            _ if reading.quoted => reading.push(c),
            '<' => (reading.inside, reading.angle) = (true, Some(String::new())),
            '>' => reading.inside = false,
            ',' | ';' if !reading.inside => found.extend(reading.end()),
            // The name of a group; within angle brackets, and literals, it is part of the address.
            ':' if !reading.inside && !reading.bare.contains('[') => reading.bare.clear(),
            // White space may fold a field anywhere; in an address it means nothing.
            c if c.is_whitespace() && reading.inside => {}
            c => reading.push(c),
        }
    }
    found.extend(reading.end());
    found
}

/// One address on its way.
#[derive(Default)]
struct Reading {
    /// What stands outside of angle brackets: a name, or the address itself.
    bare: String,
    /// What stands within them.
    angle: Option<String>,
    inside: bool,
    quoted: bool,
    comments: usize,
}

impl Reading {
    fn push(&mut self, c: char) {
        match &mut self.angle {
            Some(angle) if self.inside => angle.push(c),
            // After the brackets nothing belongs to it any more.
            Some(_) => {}
            None => self.bare.push(c),
        }
    }

    fn end(&mut self) -> Option<String> {
        let done = std::mem::take(self);
        let address = done.angle.unwrap_or(done.bare);
        Some(address.trim().to_owned()).filter(|address| !address.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_write_addresses_in_many_ways() {
        for (body, expected) in [
            (" a@x.test\r\n", &["a@x.test"][..]),
            ("a@x.test, B C <b@x.test>,\r\n \"D, E\" <d@x.test>", &["a@x.test", "b@x.test", "d@x.test"]),
            ("a@x.test (a comment, (nested) with \\) it), b@x.test", &["a@x.test", "b@x.test"]),
            ("Friends: a@x.test, B <b@x.test>;, c@x.test", &["a@x.test", "b@x.test", "c@x.test"]),
            ("undisclosed-recipients:;", &[]),
            ("\"a, b\"@x.test, \"q\\\"<r>\"@x.test", &["\"a, b\"@x.test", "\"q\\\"<r>\"@x.test"]),
            ("root", &["root"]),
            ("a@[IPv6:::1], b@x.test", &["a@[IPv6:::1]", "b@x.test"]),
            ("<a@x.\r\n test>", &["a@x.test"]),
            ("", &[]),
            (",,", &[]),
        ] {
            assert_eq!(addresses(body), expected, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_gives_a_list(body in "([<>(),;:\"\\\\@a ]|\\PC){0,40}") {
            prop_assert!(addresses(&body).iter().all(|address| !address.is_empty()));
        }
    }
}
