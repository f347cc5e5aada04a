//! When a certificate ends: the one thing of it that an operator must know in time (RFC 5280, 4.1).
//!
//! Seven steps into the DER, and no more of a parser than they need; the chain itself is judged by those who connect.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::time::Unix;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of validity; `None` for what is no certificate.
pub fn ends(certificate: &[u8]) -> Option<Unix> {
    let (tag, certificate, _) = element(certificate)?;
    let (tbs_tag, tbs, _) = element(certificate)?;
    if (tag, tbs_tag) != (SEQUENCE, SEQUENCE) {
        return None;
    }
    let mut rest = tbs;
    let (tag, _, after) = element(rest)?;
    if tag == VERSION {
        rest = after;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        GENERALIZED_TIME => text.to_owned(),
        // Two digits are of the years 1950 to 2049 (RFC 5280, 4.1.2.5.1).
        UTC_TIME if text < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        _ => return None,
    };
    let end = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?.to_zoned_datetime(TimeZone::UTC).ok()?;
    Some(Unix(end.timestamp().as_second()))
}

/// The tag of the first element, what is in it, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if octets.len() > 4 {
            return None;
        }
        (octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
    };
    let (inside, after) = rest.split_at_checked(length)?;
    Some((tag, inside, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_forms() {
        for (year, end) in [(2024, 1_709_251_200), (2049, 2_498_169_600), (2050, 2_529_705_600)] {
            assert_eq!(ends(&certificate(year)), Some(Unix(end)), "{year}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_give_a_value(octets in prop::collection::vec(any::<u8>(), 0..99), at in 0usize..300, by in any::<u8>()) {
            let _ = ends(&octets);
            static WHOLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| certificate(2030));
            let mut bent = WHOLE.clone();
            let at = at % bent.len();
            bent[at] = by;
            let _ = (ends(&bent), ends(&bent[..at]));
        }
    }
}
