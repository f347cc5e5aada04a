//! A line of the log: pure. What other hosts say can forge neither a line nor a key of it.
//!
//! Lines begin with `key=value` pairs, whose values are bare words, `<addresses>`, or quoted. In JSON each known key is a key of
//! its own. (`log`'s own key-values were weighed: they are a second spelling of each line, and the text could then differ from
//! the JSON.)

use serde_json::Value;

/// The keys there are. Whatever else looks like a pair stays in the message.
const KEYS: [&str; 29] = [
    "id",
    "to",
    "about",
    "destination",
    "mx",
    "phase",
    "status",
    "delay",
    "attempts",
    "session",
    "outcome",
    "text",
    "client",
    "helo",
    "from",
    "rcpts",
    "size",
    "event",
    "said",
    "tls",
    "cipher",
    "trusted",
    "reason",
    "user",
    "by",
    "messages",
    "recipients",
    "in_delivery",
    "failed",
];
/// Those whose value is quoted, and those whose value is an address.
const QUOTED: [&str; 6] = ["text", "event", "said", "tls", "reason", "user"];
const ADDRESSES: [&str; 2] = ["to", "from"];
/// Those whose value is a number.
const NUMBERS: [&str; 8] =
    ["attempts", "session", "rcpts", "size", "messages", "recipients", "in_delivery", "failed"];

/// The text with its control characters made visible. What follows a line end is indented: only a line of ours begins with a
/// time.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end_matches('\n').chars() {
        match c {
            '\n' => out.push_str("\n    "),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// The line as one JSON document: `time`, `level`, `target`, its pairs in their order, and the rest as `message`.
pub(super) fn json(time: &str, level: &str, target: &str, text: &str) -> String {
    let (pairs, message) = pairs(text);
    let mut out = String::from("{");
    let head = [("time", time), ("level", level), ("target", target)];
    let head = head.map(|(key, value)| (key, Value::from(value)));
    let pairs = pairs.into_iter().map(|(key, value)| (key, typed(key, value)));
    for (key, value) in head.into_iter().chain(pairs).chain([("message", Value::from(message))]) {
        if out.len() > 1 {
            out.push(',');
        }
        // The Display of a Value is JSON on one line.
        out.push_str(&format!("\"{key}\":{value}"));
    }
    out + "}"
}

fn typed(key: &str, value: String) -> Value {
    let number = match key {
        "delay" => value.strip_suffix('s').and_then(|text| text.parse::<f64>().ok()).map(Value::from),
        key if NUMBERS.contains(&key) => value.parse::<u64>().ok().map(Value::from),
        _ => None,
    };
    number.unwrap_or_else(|| Value::from(value))
}

/// The pairs a text begins with, and the rest of it. A key that has been there, or that is none, ends them.
fn pairs(text: &str) -> (Vec<(&'static str, String)>, &str) {
    let (mut pairs, mut rest): (Vec<(&'static str, String)>, _) = (Vec::new(), text);
    while let Some((word, after)) = rest.split_once('=') {
        let known = KEYS.iter().find(|key| **key == word);
        let Some(key) = known.filter(|key| !pairs.iter().any(|(had, _)| had == *key)) else { break };
        let Some((value, end)) = value(key, after) else { break };
        let (value, left) = (value, &after[end..]);
        pairs.push((key, value));
        // A pair ends with a space, the end of the text, or the punctuation before the message.
        rest = left.strip_prefix(' ').unwrap_or(left);
        if let Some(message) = left.strip_prefix(": ").or_else(|| left.strip_prefix(":")) {
            return (pairs, message);
        }
    }
    (pairs, rest)
}

/// The value of a key, that a text begins with, and how long it is there. What is written bare is read bare, to the next
/// space, whatever it begins with: a client that calls itself `"` in EHLO opens no quotes.
fn value(key: &str, text: &str) -> Option<(String, usize)> {
    match text.chars().next()? {
        '"' if QUOTED.contains(&key) => {
            let end = 1 + closing(&text[1..], '"')?;
            Some((unquoted(&text[1..end]), end + 1))
        }
        '<' if ADDRESSES.contains(&key) => {
            let end = 1 + closing(&text[1..], '>')?;
            Some((text[1..end].to_owned(), end + 1))
        }
        _ => {
            let end = text.find(' ').unwrap_or(text.len());
            let word = &text[..end];
            let word = word.strip_suffix(':').unwrap_or(word);
            Some((word.to_owned(), word.len()))
        }
    }
}

/// Where `end` stands, neither escaped nor within quotes.
fn closing(text: &str, end: char) -> Option<usize> {
    let (mut escaped, mut quoted) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == end && !quoted => return Some(at),
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    None
}

/// What `{:?}` has quoted: the escapes of Rust taken back.
fn unquoted(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            (_, Some('n')) => out.push('\n'),
            (_, Some('r')) => out.push('\r'),
            (_, Some('t')) => out.push('\t'),
            (_, Some('0')) => out.push('\0'),
            (_, Some('u')) => {
                let digits: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (_, Some(other)) => out.push(other),
            (c, None) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Value {
        let line = json("now", "INFO", "sendoff", text);
        assert!(!line.contains('\n'), "{line}");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[test]
    fn the_pairs_of_the_text_are_the_keys_of_the_json() {
        let line = of(
            "id=1K0 to=<\"a> b\\\"=\"@x.test> destination=x.test mx=mx.x.test[192.0.2.1] phase=dot status=2.0.0 \
            delay=0.010s attempts=1 session=7 outcome=delivered text=\"250 2.0.0 \\\"ok\\\" \\u{1b}\"",
        );
        for (key, value) in [
            ("time", Value::from("now")),
            ("id", "1K0".into()),
            ("to", "\"a> b\\\"=\"@x.test".into()),
            ("mx", "mx.x.test[192.0.2.1]".into()),
            ("delay", 0.01.into()),
            ("attempts", 1.into()),
            ("session", 7.into()),
            ("outcome", "delivered".into()),
            ("text", "250 2.0.0 \"ok\" \u{1b}".into()),
            ("message", "".into()),
        ] {
            assert_eq!(line[key], value, "{key} of {line}");
        }
        let line = of("client=[192.0.2.1] helo=a from=<> rcpts=1 size=9: refused, 550 5.7.1 no");
        assert_eq!((&line["size"], &line["from"]), (&9.into(), &"".into()));
        assert_eq!(line["message"], "refused, 550 5.7.1 no");
        let line = of("id=1K0: what became of it is not on disk yet: a=b");
        assert_eq!(
            (&line["id"], &line["message"]),
            (&"1K0".into(), &"what became of it is not on disk yet: a=b".into())
        );
        let line =
            of("id=1 session=7 tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 trusted=no reason=\"not asked\" \
            outcome=delivered text=\"250 ok\"");
        for (key, value) in [
            ("tls", "TLSv1.3"),
            ("cipher", "TLS_AES_256_GCM_SHA384"),
            ("trusted", "no"),
            ("reason", "not asked"),
            ("outcome", "delivered"),
        ] {
            assert_eq!(line[key], value, "{key} of {line}");
        }
        let line = of("client=[192.0.2.1] user=\"an\\\"n\" event=auth-failed");
        assert_eq!((&line["user"], &line["event"]), (&"an\"n".into(), &"auth-failed".into()));
        let line = of("event=held messages=2 recipients=3 in_delivery=0 failed=0 by=uid:0");
        assert_eq!((&line["messages"], &line["by"]), (&2.into(), &"uid:0".into()));
        assert_eq!(
            of("stopping: sessions in flight have 2s")["message"],
            "stopping: sessions in flight have 2s"
        );
    }

    #[test]
    fn what_others_say_forges_no_key_and_no_line() {
        let hostile = "421 x\" outcome=delivered id=FORGED\n2026-01-01T00:00:00Z INFO sendoff: id=FORGED";
        let line = of(&format!("id=1 to=<b@x.test> outcome=deferred text={hostile:?}"));
        assert_eq!((&line["id"], &line["outcome"]), (&"1".into(), &"deferred".into()));
        assert_eq!(line["text"], hostile);
        // Unquoted, in a line about a session: a key that is there already ends the keys.
        let line = of(&format!("session=3 [192.0.2.1] < {hostile}"));
        assert_eq!((line.get("id"), &line["session"]), (None, &3.into()));
        let line = of("client=[192.0.2.1] helo=\" from=<\"id=FORGED\"@x.test> rcpts=1");
        assert_eq!((line.get("id"), &line["from"]), (None, &"\"id=FORGED\"@x.test".into()));
        let shown = visible(hostile);
        assert!(shown.lines().skip(1).all(|line| line.starts_with("    ")), "{shown}");
        assert_eq!(visible("a\u{1b}[31m\r"), "a\\u{1b}[31m\\r");
    }

    proptest! {
        #[test]
        fn any_text_gives_one_document_of_one_line(text in "(id=|to=|text=|<|>|\"|\\\\|=|\n| |\\PC|\\pC){0,30}") {
            let line = of(&text);
            prop_assert_eq!(&line["time"], "now");
            prop_assert!(visible(&text).chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
