//! Dates as header fields have them (RFC 5322, 3.3).

use jiff::Timestamp;

use crate::time::Unix;

/// `Fri, 01 Mar 2024 12:00:00 +0000`, always in UTC: one relay's letters and log are then compared without arithmetic. A
/// time outside the years 0 to 9999 is moved to the nearer end.
pub fn rfc5322(time: Unix) -> String {
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_207_200;
    let time = Timestamp::from_second(time.0.clamp(FIRST, LAST)).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_standard() {
        for (time, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (1_709_294_400, "Fri, 01 Mar 2024 12:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (i64::MAX, "Thu, 30 Dec 9999 22:00:00 +0000"),
            (i64::MIN, "Sat, 01 Jan 0000 00:00:00 +0000"),
        ] {
            assert_eq!(rfc5322(Unix(time)), date);
        }
    }
}
