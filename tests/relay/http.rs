//! A raw HTTP client, and a strict reader of what Prometheus is given (OpenMetrics 1.0).

use crate::house::House;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer: its status, its head, its body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Where the house says that it speaks HTTP.
#[track_caller]
pub fn address(house: &House) -> SocketAddr {
    let out = std::fs::read_to_string(house.path().join("relay.out")).unwrap();
    let line = out.lines().find_map(|line| line.trim().strip_prefix("metrics")).expect(&out);
    line.trim().strip_prefix("http://").unwrap().trim_end_matches('/').parse().unwrap()
}

/// Says these octets and reads to the end.
#[track_caller]
pub fn say(address: SocketAddr, octets: &[u8]) -> Answer {
    let limit = Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&address, limit).unwrap();
    stream.set_read_timeout(Some(limit)).unwrap();
    stream.write_all(octets).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_string(), body: body.to_string() }
}

/// GET.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Answer {
    say(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
}

/// Every sample of a text, by name and labels as they stand: `sendoff_slots{class="new"}`. Panics on anything that is not as
/// the specification has it.
#[track_caller]
pub fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
    let mut helped = BTreeSet::new();
    let text = text.strip_suffix("# EOF\n").expect("the end is said");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(helped.insert(name) && help.ends_with('.'), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name) && types.insert(name, kind).is_none(), "{line}");
        } else {
            assert!(!line.starts_with('#'), "{line}");
            let (series, value) = line.rsplit_once(' ').expect(line);
            let (name, labels) = series
                .split_once('{')
                .map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').expect(line)));
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
            let suffixes = ["_total", "_bucket", "_sum", "_count", ""];
            let kind = suffixes
                .iter()
                .find_map(|suffix| types.get(name.strip_suffix(suffix)?).map(|kind| (*kind, *suffix)));
            assert!(
                matches!(
                    kind,
                    Some(
                        ("counter", "_total") | ("gauge", "") | ("histogram", "_bucket" | "_sum" | "_count")
                    )
                ),
                "{line}: {kind:?}"
            );
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (key, word) = label.split_once('=').expect(line);
                let word = word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).expect(line);
                assert!(key.chars().all(|c| c.is_ascii_lowercase()) && !word.contains(['"', '\\']), "{line}");
            }
            let value: f64 = value.parse().expect(line);
            assert!(samples.insert(series.to_string(), value).is_none(), "twice: {line}");
        }
    }
    samples
}
