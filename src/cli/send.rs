//! `sendoff send`: one message, from a file or standard input, to the running relay.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use super::Exit;
use super::arguments;
use super::table::{print, print_json};
use crate::control::{Answer, CallError, Request, submit};
use crate::mail::rfc5322;
use crate::time::clock;

/// The largest message that is read. The relay's own limit is said by the relay.
const MOST: u64 = 1 << 30;

/// Submits a message and says its queue id.
pub(super) fn send(arguments: &arguments::Send) -> Result<(), Exit> {
    let spool = arguments.relay.spool()?;
    let text = match &arguments.file {
        Some(file) => {
            let text = File::open(file).and_then(read);
            text.map_err(|error| Exit::no_input(format!("{}: {error}", file.display())))?
        }
        None => read(io::stdin()).map_err(|error| Exit::no_input(format!("standard input: {error}")))?,
    };
    let mut message = crlf(&text);
    if !begins_with_a_field(&message) {
        message.splice(..0, headers(arguments).into_bytes());
    }
    let (from, to, size) = (arguments.from.clone(), arguments.to.clone(), message.len() as u64);
    match submit(&spool, &Request::Submit { from, to, size }, &message, Duration::from_secs(60))? {
        Answer::Submitted(done) if arguments.json => print_json(&done),
        Answer::Submitted(done) => print(&format!("queued as {}\n", done.id)),
        _ => Err(CallError::Broken("the relay answered something else".into()).into()),
    }
}

pub(super) fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MOST).read_to_end(&mut text)?;
    Ok(text)
}

/// Every line end becomes CRLF, and the last line has one.
pub(super) fn crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32 + 2);
    let mut lines = text.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_none() && line.is_empty() {
            break;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A CR in the middle is an old line end as well.
        for piece in line.split(|byte| *byte == b'\r') {
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

/// Whether the first line is a header field: a name of printable characters and a colon (RFC 5322, 2.2).
fn begins_with_a_field(message: &[u8]) -> bool {
    let name = message.iter().take_while(|byte| (33..=126).contains(*byte) && **byte != b':').count();
    name > 0 && message.get(name) == Some(&b':')
}

fn headers(arguments: &arguments::Send) -> String {
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let to: Vec<_> = arguments.to.iter().map(|to| format!("<{}>", clean(to))).collect();
    format!(
        "From: <{}>\r\nTo: {}\r\nDate: {}\r\nMessage-ID: <{}.{}@localhost>\r\n\r\n",
        clean(&arguments.from),
        to.join(",\r\n "),
        rfc5322(clock::unix()),
        clock::unix_micros(),
        std::process::id()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_become_crlf() {
        for (text, expected) in [
            ("", ""),
            ("a", "a\r\n"),
            ("a\n", "a\r\n"),
            ("a\r\nb\n", "a\r\nb\r\n"),
            ("a\rb\r\r\n", "a\r\nb\r\n\r\n"),
            ("a\n\n", "a\r\n\r\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&crlf(text.as_bytes())), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_without_headers_is_told_from_a_message() {
        assert!(begins_with_a_field(b"Subject: x\r\n"));
        for text in ["hello\r\n", "hello world: x\r\n", ": x", "", " a: b"] {
            assert!(!begins_with_a_field(text.as_bytes()), "{text}");
        }
    }
}
