//! Durations and sizes as people write them: `1h30m`, `50 MiB`. What could be read in two ways is refused, with the way to
//! write it.

use std::time::Duration;

/// The longest duration that is taken, ten years: above it stands a slip of the hand, not a wish.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// Parses `500ms`, `30s`, `5m`, `1h`, `5d`, or several of them, largest first: `1h30m`, `1h 30m`.
///
/// # Errors
/// Words that say what is wrong. A bare number is refused: seconds or milliseconds is the reader's guess, not ours.
pub fn duration(text: &str) -> Result<Duration, String> {
    const HOW: &str = "write a duration like \"500ms\", \"30s\", \"5m\", \"1h30m\" or \"5d\"";
    let mut rest = text.trim();
    let (mut sum, mut above) = (Duration::ZERO, u64::MAX);
    if rest.is_empty() {
        return Err(format!("this is no duration: {HOW}"));
    }
    while !rest.is_empty() {
        let (number, unit, tail) = split(rest);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if !number.is_empty() => return Err(format!("{number} of what? {HOW}")),
            _ => return Err(format!("\"{text}\" is no duration: {HOW}")),
        };
        if millis >= above {
            return Err(format!("\"{text}\" is no duration: each unit once, the largest first"));
        }
        let count: u64 = number.parse().map_err(|_| format!("\"{text}\" is no duration: {HOW}"))?;
        let part = count.checked_mul(millis).map(Duration::from_millis);
        let longer = part.and_then(|part| sum.checked_add(part)).filter(|sum| *sum <= LONGEST);
        sum = longer.ok_or_else(|| format!("\"{text}\" is longer than ten years"))?;
        (above, rest) = (millis, tail);
    }
    Ok(sum)
}

/// Parses `50 MiB`, `64KiB`, `10 MB`, or a number of octets. KiB, MiB, GiB are powers of 1024; kB, MB, GB of 1000; in any
/// case of letters.
///
/// # Errors
/// Words that say what is wrong. `50M` is refused: it means either.
pub fn size(text: &str) -> Result<u64, String> {
    const HOW: &str = "write a size like \"64 KiB\", \"50 MiB\" or \"10 MB\", or a number of octets";
    let (number, unit, tail) = split(text.trim());
    let factor: Option<u64> = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "k" | "m" | "g" if !number.is_empty() => {
            return Err(format!(
                "\"{text}\" could be powers of 1000 or of 1024: write {number} {unit}B or {number} {unit}iB"
            ));
        }
        _ => None,
    };
    let factor = factor.filter(|_| tail.is_empty()).ok_or_else(|| format!("\"{text}\" is no size: {HOW}"))?;
    let count: u64 = number.parse().map_err(|_| format!("\"{text}\" is no size: {HOW}"))?;
    count.checked_mul(factor).ok_or_else(|| format!("\"{text}\" is too large"))
}

/// The digits at the start, the letters behind them, and the rest, without the spaces between.
fn split(text: &str) -> (&str, &str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    (number, unit, rest.trim_start())
}

/// `duration` as [`duration()`] reads it: `5d`, `1h30m`, `500ms`, `0s`. Less than a millisecond is not shown.
pub fn written(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (unit, millis) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if left >= millis {
            text.push_str(&format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            (" 1h 30m ", 5_400_000),
            ("5 d", 432_000_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_how_to_be_one() {
        for wrong in
            ["", " ", "s", "5 weeks", "5M", "-5s", "1.5h", "30m1h", "1h1h", "5s,", "\u{b5}s", "99999999d"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(duration("30").unwrap_err().starts_with("30 of what? write a duration like"));
        assert!(duration("18446744073709551615d").is_err());
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, octets) in [
            ("50 MiB", 50 << 20),
            ("64KiB", 64 << 10),
            ("10 MB", 10_000_000),
            ("1gib", 1 << 30),
            ("1000", 1000),
        ] {
            assert_eq!(size(text), Ok(octets), "{text}");
        }
        for wrong in ["", "MB", "1.5 MB", "-1", "5 MiB MiB", "5 TB", "99999999999999999999", "99999999999 GB"]
        {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(size("50M").unwrap_err().ends_with("write 50 MB or 50 MiB"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(millis in 0u64..1_000_000_000_000) {
            let wait = Duration::from_millis(millis).min(LONGEST);
            prop_assert_eq!(duration(&written(wait)), Ok(wait));
        }

        #[test]
        fn any_text_gives_a_value(text in "\\PC{0,20}|[0-9dhms ]{0,12}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
