//! Commands, as a server reads them (RFC 5321, 4.1.1).
//!
//! [`Command::parse`] takes one line and gives a command, or the [`Refusal`] that is the exact reply to it. Nothing that
//! comes out of here carries a control character. Verbs and keywords are not case-sensitive; a space after the colon of
//! `FROM:` and `TO:` is tolerated, since too many clients write it; all else is read strictly.

use super::{AddressError, ForwardPath, Refusal, ReversePath, Secret};

/// A command of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// EHLO, and what the client calls itself: 1 to 255 octets of printable ASCII without spaces, `?` for anything above.
    Ehlo(String),
    /// HELO, likewise.
    Helo(String),
    /// MAIL FROM.
    Mail {
        /// Where trouble is reported to.
        reverse_path: ReversePath,
        /// SIZE=, in octets (RFC 1870).
        size: Option<u64>,
        /// BODY=8BITMIME was said (RFC 6152).
        eight_bit: bool,
    },
    /// RCPT TO.
    Rcpt(ForwardPath),
    /// DATA.
    Data,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// VRFY; what it asks for is not answered anyway.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth {
        /// The name of the mechanism, in capitals: 1 to 20 letters, digits, `-` and `_` (RFC 4422, 3.1).
        mechanism: String,
        /// The initial response, as it was sent: base64, or `=` for an empty one.
        initial: Option<Secret>,
    },
    /// BDAT (RFC 3030). Octets that are no commands follow it.
    Bdat,
    /// A request of HTTP: somebody's browser was made to speak to us.
    Http,
}

const NO_COMMAND: Refusal = Refusal::new(500, 5, 2, "command not recognised");
const NOT_TEXT: Refusal = Refusal::new(500, 5, 2, "a command is printable text");
const NO_ARGUMENT: Refusal = Refusal::new(501, 5, 4, "this command takes no argument");
const NEED_ARGUMENT: Refusal = Refusal::new(501, 5, 4, "this command needs an argument");
const HOST: Refusal = Refusal::new(501, 5, 4, "say one host name of at most 255 octets");
const MAIL_SYNTAX: Refusal = Refusal::new(501, 5, 4, "syntax: MAIL FROM:<address> [SIZE=n] [BODY=8BITMIME]");
const RCPT_SYNTAX: Refusal = Refusal::new(501, 5, 4, "syntax: RCPT TO:<address>");
const AUTH_SYNTAX: Refusal = Refusal::new(501, 5, 4, "syntax: AUTH mechanism [initial-response]");
const PARAMETER: Refusal = Refusal::new(555, 5, 4, "parameter not recognised");
const REPEATED: Refusal = Refusal::new(501, 5, 4, "a parameter is said twice");
const SIZE_SYNTAX: Refusal = Refusal::new(501, 5, 4, "SIZE needs a number of octets");
const IDENTITY: Refusal = Refusal::new(501, 5, 4, "AUTH is <> or an address in xtext");
const BODY_SYNTAX: Refusal = Refusal::new(501, 5, 4, "BODY is 7BIT or 8BITMIME");

impl Command {
    /// Reads one line, without its line end. How long a line may be is the affair of whoever reads lines.
    ///
    /// # Errors
    /// The reply to a line that is no command of ours.
    pub fn parse(line: &[u8]) -> Result<Command, Refusal> {
        let text = std::str::from_utf8(line).map_err(|_| NOT_TEXT)?.trim_end_matches([' ', '\t']);
        if text.chars().any(char::is_control) {
            return Err(NOT_TEXT);
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim_start_matches(' ');
        let bare = |command| if rest.is_empty() { Ok(command) } else { Err(NO_ARGUMENT) };
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => host(rest).map(Command::Ehlo),
            "HELO" => host(rest).map(Command::Helo),
            "MAIL" => mail(rest),
            "RCPT" => rcpt(rest),
            "DATA" => bare(Command::Data),
            "RSET" => bare(Command::Rset),
            "QUIT" => bare(Command::Quit),
            // Its argument, if any, is ignored (RFC 5321, 4.1.1.9); likewise that of HELP.
            "NOOP" => Ok(Command::Noop),
            "HELP" => Ok(Command::Help),
            "VRFY" if rest.is_empty() => Err(NEED_ARGUMENT),
            "VRFY" => Ok(Command::Vrfy),
            "EXPN" => Ok(Command::Expn),
            "STARTTLS" => bare(Command::StartTls),
            "AUTH" => auth(rest),
            "BDAT" => Ok(Command::Bdat),
            "GET" | "POST" | "PUT" | "HEAD" | "OPTIONS" | "CONNECT" => Ok(Command::Http),
            _ => Err(NO_COMMAND),
        }
    }
}

/// What a client calls itself. Not parsed as a host: a client must not be refused for a poor name (RFC 5321, 4.1.4).
fn host(text: &str) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > 255 || text.contains(' ') {
        return Err(HOST);
    }
    Ok(text.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect())
}

fn mail(rest: &str) -> Result<Command, Refusal> {
    let (path, parameters) = after(rest, "FROM:").and_then(split_path).ok_or(MAIL_SYNTAX)?;
    let reverse_path = ReversePath::parse(path).map_err(|error| bad_address(error, 7))?;
    let (mut size, mut body, mut identity) = (None, None, None);
    for parameter in parameters.split_ascii_whitespace() {
        let (keyword, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let repeated = match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => size.replace(octets(value).ok_or(SIZE_SYNTAX)?).is_some(),
            // Who is said to have sent it first (RFC 4954, 5). Nobody here believes it, or passes it on.
            "AUTH" => identity.replace(is_xtext(value).ok_or(IDENTITY)?).is_some(),
            "BODY" => body.replace(is_eight_bit(value).ok_or(BODY_SYNTAX)?).is_some(),
            _ => return Err(PARAMETER),
        };
        if repeated {
            return Err(REPEATED);
        }
    }
    Ok(Command::Mail { reverse_path, size, eight_bit: body.unwrap_or(false) })
}

fn rcpt(rest: &str) -> Result<Command, Refusal> {
    let (path, parameters) = after(rest, "TO:").and_then(split_path).ok_or(RCPT_SYNTAX)?;
    let forward_path = ForwardPath::parse(path).map_err(|error| bad_address(error, 3))?;
    if parameters.trim().is_empty() { Ok(Command::Rcpt(forward_path)) } else { Err(PARAMETER) }
}

fn auth(rest: &str) -> Result<Command, Refusal> {
    let (mechanism, initial) = rest.split_once(' ').map_or((rest, None), |(name, rest)| (name, Some(rest)));
    let named = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let initial = initial.map(|text| text.trim_start_matches(' '));
    let one = initial.is_none_or(|text| !text.is_empty() && !text.contains(' '));
    if !(1..=20).contains(&mechanism.len()) || !mechanism.bytes().all(named) || !one {
        return Err(AUTH_SYNTAX);
    }
    let initial = initial.map(|text| Secret::from(text.as_bytes()));
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial })
}

/// xtext of RFC 3461, 4; at most 500 octets (RFC 4954, 3).
fn is_xtext(value: &str) -> Option<()> {
    let mut parts = value.split('+');
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    let hex = |b: &u8| b.is_ascii_digit() || (b'A'..=b'F').contains(b);
    let escaped =
        |text: &str| text.as_bytes().get(..2).is_some_and(|pair| pair.iter().all(hex)) && plain(text);
    let fine = parts.next().is_some_and(plain) && parts.all(escaped);
    (fine && (1..=500).contains(&value.len())).then_some(())
}

/// 20 digits at most (RFC 1870, 6). A number beyond u64 is larger than any message: it reads as the largest.
fn octets(value: &str) -> Option<u64> {
    let fits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn is_eight_bit(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(false),
        "8BITMIME" => Some(true),
        _ => None,
    }
}

/// What follows a keyword, without the spaces that should not be there.
fn after<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// The path with its brackets, and the parameters. A `>` in a quoted local part ends no path.
fn split_path(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with('<') {
        return None;
    }
    let mut quoted = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => drop(bytes.next()),
            b'>' if !quoted => {
                let (path, rest) = text.split_at(at + 1);
                return (rest.is_empty() || rest.starts_with(' ')).then_some((path, rest));
            }
            _ => {}
        }
    }
    None
}

/// X.1.7 for a bad reverse-path, X.1.3 for a bad forward-path; X.6.7 for what needs SMTPUTF8 (RFC 6531, 3.5).
fn bad_address(error: AddressError, detail: u16) -> Refusal {
    let refusal = match error {
        AddressError::NotAscii => Refusal::new(553, 6, 7, ""),
        _ => Refusal::new(501, 1, detail, ""),
    };
    refusal.saying(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Mailbox;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.as_bytes()).map_err(|refusal| refusal.to_string())
    }

    fn mail_of(address: &str, size: Option<u64>, eight_bit: bool) -> Result<Command, String> {
        let reverse_path = ReversePath::parse(&format!("<{address}>")).unwrap();
        Ok(Command::Mail { reverse_path, size, eight_bit })
    }

    #[test]
    fn mail_is_read_with_its_parameters() {
        for (line, command) in [
            ("MAIL FROM:<>", mail_of("", None, false)),
            ("mail from:<a@b.c>", mail_of("a@b.c", None, false)),
            ("Mail From: <a@b.c>  ", mail_of("a@b.c", None, false)),
            ("MAIL FROM:<a@b.c> SIZE=100 BODY=8BITMIME", mail_of("a@b.c", Some(100), true)),
            ("MAIL FROM:<a@b.c>  body=7bit  size=0", mail_of("a@b.c", Some(0), false)),
            ("MAIL FROM:<a@b.c> SIZE=99999999999999999999", mail_of("a@b.c", Some(u64::MAX), false)),
            ("MAIL FROM:<a@b.c> AUTH=<>", mail_of("a@b.c", None, false)),
            ("MAIL FROM:<a@b.c> auth=e+3Dmc2@example.com", mail_of("a@b.c", None, false)),
            (r#"MAIL FROM:<"a> b"@b.c> SIZE=1"#, mail_of(r#""a> b"@b.c"#, Some(1), false)),
            (r#"MAIL FROM:<"\">"@b.c>"#, mail_of(r#""\">"@b.c"#, None, false)),
        ] {
            assert_eq!(parse(line), command, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_exact_reply() {
        let long = format!("EHLO {}", "a".repeat(256));
        let local = format!("RCPT TO:<{}@b.c>", "a".repeat(65));
        for (line, reply) in [
            ("", "500 5.5.2"),
            ("XYZZY", "500 5.5.2"),
            ("NOOP\rQUIT", "500 5.5.2"),
            ("NO\0OP", "500 5.5.2"),
            ("EHLO", "501 5.5.4"),
            ("EHLO a b", "501 5.5.4"),
            (&long, "501 5.5.4"),
            ("MAIL", "501 5.5.4"),
            ("MAIL a@b.c", "501 5.5.4"),
            ("MAIL FROM:a@b.c", "501 5.5.4"),
            ("MAIL FROM:<a@b.c", "501 5.5.4"),
            ("MAIL FROM:<a@b.c>SIZE=1", "501 5.5.4"),
            ("MAIL FROM:<a b@b.c>", "501 5.1.7"),
            ("MAIL FROM:<a@b.c> SIZE", "501 5.5.4"),
            ("MAIL FROM:<a@b.c> SIZE=-1", "501 5.5.4"),
            ("MAIL FROM:<a@b.c> SIZE=1 SIZE=2", "501 5.5.4"),
            ("MAIL FROM:<a@b.c> BODY=BINARYMIME", "501 5.5.4"),
            ("MAIL FROM:<a@b.c> AUTH=", "501 5.5.4"),
            ("MAIL FROM:<a@b.c> AUTH=a+3", "501 5.5.4"),
            ("MAIL FROM:<a@b.c> AUTH=a+3d", "501 5.5.4"),
            ("MAIL FROM:<a@b.c> AUTH=<> AUTH=<>", "501 5.5.4"),
            ("AUTH", "501 5.5.4"),
            ("AUTH PLAIN a b", "501 5.5.4"),
            ("AUTH PL;AIN", "501 5.5.4"),
            ("AUTH A-NAME-THAT-IS-FAR-TOO-LONG", "501 5.5.4"),
            ("MAIL FROM:<a@b.c> SMTPUTF8", "555 5.5.4"),
            ("MAIL FROM:<j\u{f6}rg@b.c>", "553 5.6.7"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:<a@b.c> NOTIFY=NEVER", "555 5.5.4"),
            (&local, "501 5.1.3"),
            ("DATA now", "501 5.5.4"),
            ("VRFY", "501 5.5.4"),
        ] {
            let refusal = parse(line).unwrap_err();
            assert!(refusal.starts_with(reply), "{line:?}: {refusal}");
        }
        assert_eq!(Command::parse(b"NOOP \xff"), Err(NOT_TEXT));
    }

    #[test]
    fn the_rest_is_known_by_its_verb() {
        let mailbox = ForwardPath::Mailbox(Mailbox::parse("a@b.c").unwrap());
        let auth = |mechanism: &str, initial: Option<&str>| Command::Auth {
            mechanism: mechanism.into(),
            initial: initial.map(|text| Secret::from(text.as_bytes())),
        };
        for (line, command) in [
            ("ehlo host", Command::Ehlo("host".into())),
            ("HELO [127.0.0.1]", Command::Helo("[127.0.0.1]".into())),
            ("EHLO j\u{f6}rgs-pc", Command::Ehlo("j?rgs-pc".into())),
            ("RCPT TO:<a@b.c>", Command::Rcpt(mailbox.clone())),
            ("rcpt to: <@x.y:a@b.c>", Command::Rcpt(mailbox)),
            ("RCPT TO:<postmaster>", Command::Rcpt(ForwardPath::Postmaster)),
            ("data ", Command::Data),
            ("NOOP whatever", Command::Noop),
            ("QUIT", Command::Quit),
            ("GET / HTTP/1.1", Command::Http),
            ("BDAT 5 LAST", Command::Bdat),
            ("AUTH login", auth("LOGIN", None)),
            ("auth PLAIN =", auth("PLAIN", Some("="))),
            ("AUTH SCRAM-SHA-256  biws", auth("SCRAM-SHA-256", Some("biws"))),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn any_argument_gives_a_value_without_controls(
            start in prop::sample::select(vec!["EHLO ", "MAIL FROM:<", "MAIL FROM:<>", "RCPT TO:<", "RCPT TO: <\""]),
            rest in "[ -~\\\\\"<>@.=\u{0}\r\n\u{e9}]{0,60}",
        ) {
            let shown = match Command::parse(format!("{start}{rest}").as_bytes()) {
                Ok(Command::Ehlo(host)) => host,
                Ok(Command::Mail { reverse_path, .. }) => reverse_path.to_string(),
                Ok(Command::Rcpt(ForwardPath::Mailbox(mailbox))) => mailbox.to_string(),
                Ok(_) => String::new(),
                Err(refusal) => refusal.to_string(),
            };
            prop_assert!(!shown.contains(char::is_control), "{:?}", shown);
        }
    }
}
