//! The command line of sendmail(1), as cron, mail(1), PHP and monit write it: pure. What is harmless is taken and ignored;
//! what is unknown is refused, since it may have meant something.

use std::path::PathBuf;

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// `-bm`: a message on standard input.
    #[default]
    Deliver,
    /// `-bs`: SMTP on standard input and output.
    Smtp,
    /// `-bp`, `mailq`: the queue.
    Queue,
    /// `-bv`: addresses are looked at, nothing is sent.
    Verify,
    /// `-bi`, `newaliases`: there are no aliases.
    Aliases,
    /// `-q`: destinations that rest are tried now.
    Flush,
}

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) mode: Mode,
    /// `-t`: recipients stand in the header.
    pub(super) from_header: bool,
    /// `-i`, `-oi`: a line with a dot alone is text.
    pub(super) dot_is_text: bool,
    /// `-f`, `-r`: the reverse-path, as given.
    pub(super) reverse_path: Option<String>,
    /// `-F`: the name of who sends.
    pub(super) full_name: Option<String>,
    pub(super) config: Option<PathBuf>,
    pub(super) spool: Option<PathBuf>,
    pub(super) recipients: Vec<String>,
}

/// Options whose value is taken and means nothing here: the macro file, log tag, DSN, queue and protocol options of sendmail.
const IGNORED_WITH_VALUE: &str = "ABDLMNORVXhpe";
/// Options without a value that mean nothing here; `d` and `o` may have one that is joined to them.
const IGNORED: &str = "GIUcmnsvxdo";

impl Flags {
    /// Reads arguments, the program's name not among them.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(super) fn parse(args: &[String]) -> Result<Flags, String> {
        let mut flags = Flags::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = |joined: &str, option: &str| -> Result<String, String> {
                match joined {
                    "" => args.next().cloned().ok_or_else(|| format!("{option} needs a value")),
                    joined => Ok(joined.to_owned()),
                }
            };
            match arg.as_str() {
                "--" => {
                    flags.recipients.extend(args.cloned());
                    break;
                }
                "--config" => flags.config = Some(value("", "--config")?.into()),
                "--spool" => flags.spool = Some(value("", "--spool")?.into()),
                "-bm" | "-ba" => flags.mode = Mode::Deliver,
                "-bs" => flags.mode = Mode::Smtp,
                "-bp" => flags.mode = Mode::Queue,
                "-bv" => flags.mode = Mode::Verify,
                "-bi" => flags.mode = Mode::Aliases,
                "-oi" => flags.dot_is_text = true,
                other => match other.strip_prefix('-').map(|rest| rest.split_at(first(rest))) {
                    None | Some(("", _)) => flags.recipients.push(other.to_owned()),
                    Some(("f" | "r", joined)) => {
                        flags.reverse_path = Some(reverse_path(other, joined, &mut args)?)
                    }
                    Some(("F", joined)) => flags.full_name = Some(value(joined, "-F")?),
                    Some(("C", joined)) => flags.config = Some(value(joined, "-C")?.into()),
                    Some(("q", _)) => flags.mode = Mode::Flush,
                    Some(("t" | "i", _)) => flags.cluster(&other[1..])?,
                    Some((option, joined)) if IGNORED_WITH_VALUE.contains(option) => {
                        drop(value(joined, other)?)
                    }
                    Some((option, _)) if IGNORED.contains(option) => {}
                    Some(("b", "d" | "D")) => {
                        return Err(format!("{other}: the relay is started by `sendoff serve`"));
                    }
                    Some(_) => return Err(format!("{other}: no such option")),
                },
            }
        }
        Ok(flags)
    }

    /// `-t`, `-i`, `-ti`: letters that stand together.
    fn cluster(&mut self, letters: &str) -> Result<(), String> {
        for letter in letters.chars() {
            match letter {
                't' => self.from_header = true,
                'i' => self.dot_is_text = true,
                other if IGNORED.contains(other) => {}
                other => return Err(format!("-{letters}: no such option: {other}")),
            }
        }
        Ok(())
    }
}

/// An empty value is one: `-f ""` is the null path.
fn reverse_path<'a>(
    option: &str,
    joined: &str,
    args: &mut impl Iterator<Item = &'a String>,
) -> Result<String, String> {
    match joined {
        "" => args.next().cloned().ok_or_else(|| format!("{option} needs an address")),
        joined => Ok(joined.to_owned()),
    }
}

/// How many octets the first character has.
fn first(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Flags, String> {
        Flags::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn callers_are_understood() {
        // PHP; cron; s-nail; mutt; monit; git send-email.
        let php = of("-t -i").unwrap();
        assert!(php.from_header && php.dot_is_text && php.recipients.is_empty());
        let cron = of("-FCronDaemon -i -B8BITMIME -oem root").unwrap();
        assert_eq!(
            (cron.full_name.as_deref(), &cron.recipients[..]),
            (Some("CronDaemon"), &["root".to_owned()][..])
        );
        let snail = of("-i -f me@x.test -- -odd@x.test").unwrap();
        assert_eq!(
            (snail.reverse_path.as_deref(), snail.recipients[0].as_str()),
            (Some("me@x.test"), "-odd@x.test")
        );
        let mutt = of("-oem -oi -fme@x.test -N failure,delay -R hdrs -V id a@x.test b@x.test").unwrap();
        assert_eq!(
            (mutt.recipients.len(), mutt.dot_is_text, mutt.reverse_path.as_deref()),
            (2, true, Some("me@x.test"))
        );
        assert!(of("-ti").unwrap().from_header && of("-odb -om -v -ti").unwrap().dot_is_text);
        assert_eq!(Flags::parse(&["-f".into(), String::new()]).unwrap().reverse_path.as_deref(), Some(""));
        for (line, mode) in [
            ("-bs", Mode::Smtp),
            ("-bp", Mode::Queue),
            ("-bv a", Mode::Verify),
            ("-bi", Mode::Aliases),
            ("-q", Mode::Flush),
            ("-q30m", Mode::Flush),
            ("-bm a", Mode::Deliver),
        ] {
            assert_eq!(of(line).unwrap().mode, mode, "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["-Z", "-bd", "-bx", "-f", "-F", "--config", "-tz", "-\u{fc}"] {
            assert!(of(line).is_err(), "{line}");
        }
    }
}
