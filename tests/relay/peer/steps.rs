//! The words of the dialogue language, and their grammar: one step a line, `#` begins a comment line.
//!
//! ```text
//! say 220 hi              the line and CRLF
//! say-raw "250-a\r\n"     exactly these bytes; \r \n \t \0 \\ \" and \xNN are understood
//! hear EHLO               read a line, which must start so (in any case of letters); alone: any line
//! hear-data               read to CRLF.CRLF
//! hear-bytes 100          read that many
//! pause 300ms             do nothing, unless the other side closes; also 2s
//! drip 50ms 220 slow      the line and CRLF, a byte at a time
//! drip-forever 50ms 250-x the same line dripped again and again, until the other side closes
//! endless 250-more        the line for ever, as fast as the socket takes it
//! flood 1000 250-more     the line that many times
//! silence                 read nothing and say nothing, until the other side closes
//! mute                    read everything and say nothing, until the other side closes
//! close                   close; also what the end of the script does
//! reset                   close with a RST
//! label again             a place in the script
//! repeat-from again       go on from that place
//! ```

use std::time::Duration;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Say(Vec<u8>),
    Hear(String),
    HearData,
    HearBytes(usize),
    Pause(Duration),
    Drip(Duration, Vec<u8>),
    DripForever(Duration, Vec<u8>),
    Endless(Vec<u8>),
    Flood(usize, Vec<u8>),
    Silence,
    Mute,
    Close,
    Reset,
    /// To the step of this index.
    RepeatFrom(usize),
}

/// Parses a script; panics with the line that is not one.
pub(super) fn parse(text: &str) -> Vec<Step> {
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    // A label is no step, so its place is the number of steps before it.
    let place = |name: &str| {
        let label = |line: &&str| line.split_once(' ') == Some(("label", name));
        let at = lines.iter().position(label)?;
        let steps = lines[..at].iter().filter(|line| !line.starts_with("label "));
        Some(steps.count())
    };
    let steps = lines.iter().filter(|line| !line.starts_with("label "));
    steps.map(|line| step(line, place).unwrap_or_else(|| panic!("not a step: {line}"))).collect()
}

fn step(line: &str, place: impl Fn(&str) -> Option<usize>) -> Option<Step> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match word {
        "say" => Step::Say(wire(rest)),
        "say-raw" => Step::Say(unescape(rest.strip_prefix('"')?.strip_suffix('"')?)?),
        "hear" => Step::Hear(rest.to_uppercase()),
        "hear-data" => Step::HearData,
        "hear-bytes" => Step::HearBytes(rest.parse().ok()?),
        "pause" => Step::Pause(span(rest)?),
        "drip" => Step::Drip(span(first)?, wire(second)),
        "drip-forever" => Step::DripForever(span(first)?, wire(second)),
        "endless" => Step::Endless(wire(rest)),
        "flood" => Step::Flood(first.parse().ok()?, wire(second)),
        "silence" => Step::Silence,
        "mute" => Step::Mute,
        "close" => Step::Close,
        "reset" => Step::Reset,
        "repeat-from" => Step::RepeatFrom(place(rest)?),
        _ => return None,
    })
}

fn wire(line: &str) -> Vec<u8> {
    format!("{line}\r\n").into_bytes()
}

fn span(text: &str) -> Option<Duration> {
    if let Some(ms) = text.strip_suffix("ms") {
        return ms.parse().ok().map(Duration::from_millis);
    }
    let seconds = text.strip_suffix('s')?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match chars.next()? {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).ok()?
            }
            other @ ('\\' | '"') => u8::try_from(other).ok()?,
            _ => return None,
        });
    }
    Some(bytes)
}

#[test]
fn a_script_is_lines() {
    let steps = parse(
        "# a comment\n say 220 hi\nlabel a\nhear EHLO\n\nsay-raw \"250\\r\\n\\xff\"\n\
         drip 50ms 220 a b\nflood 3 x\nrepeat-from a\npause 2s",
    );
    let ms = Duration::from_millis;
    assert_eq!(
        steps,
        [
            Step::Say(b"220 hi\r\n".to_vec()),
            Step::Hear("EHLO".to_string()),
            Step::Say(b"250\r\n\xff".to_vec()),
            Step::Drip(ms(50), b"220 a b\r\n".to_vec()),
            Step::Flood(3, b"x\r\n".to_vec()),
            Step::RepeatFrom(1),
            Step::Pause(ms(2000)),
        ]
    );
}

#[test]
#[should_panic(expected = "not a step: shout 220")]
fn an_unknown_word_is_told() {
    parse("say 220 hi\nshout 220");
}
