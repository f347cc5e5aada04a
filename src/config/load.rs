//! Reading the file, whole or not at all: a configuration with a fault is never half taken.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use super::error::{ConfigError, Fault, Place};
use super::keys::Reading;
use super::settings::Config;

/// A configuration is a page or two; what is longer is another file.
const MOST_OCTETS: u64 = 1 << 20;
/// Beyond this, more faults do not help.
const MOST_FAULTS: usize = 20;

impl Config {
    /// Reads a file of at most 1 MiB. What it does not say keeps its default; a relative `spool.path` stays relative, and so
    /// is relative to the working directory.
    ///
    /// # Errors
    /// [`ConfigError`] when it cannot be read, and as [`Config::parse`].
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => Config::parse(&text, &name),
            Err(error) => {
                let words = format!("cannot be read: {error}");
                Err(ConfigError::new(vec![Fault { file: name, place: None, words }]))
            }
        }
    }

    /// Reads a configuration from `text`; `name` is what its faults call the file.
    ///
    /// # Errors
    /// [`ConfigError`] with the place of each fault: what is no TOML, unknown keys (and the nearest known one), wrong values,
    /// and, when all of that is right, [`Config::contradictions`].
    pub fn parse(text: &str, name: &str) -> Result<Config, ConfigError> {
        let fault = |span: Option<Range<usize>>, words: String| Fault {
            file: name.to_owned(),
            place: span.map(|span| Place::of(text, span)),
            words,
        };
        let document = DeTable::parse(text).map_err(|error| {
            ConfigError::new(vec![fault(error.span(), format!("this is no TOML: {}", error.message()))])
        })?;
        let mut reading = Reading::of(document.get_ref());
        let mut config = Config::default();
        reading.config(&mut config);
        if !reading.wrong.is_empty() {
            reading.wrong.sort_by_key(|wrong| wrong.span.start);
            let faults = reading.wrong.into_iter().take(MOST_FAULTS);
            return Err(ConfigError::new(faults.map(|wrong| fault(Some(wrong.span), wrong.words)).collect()));
        }
        let contradictions = config.contradictions();
        if contradictions.is_empty() {
            return Ok(config);
        }
        // The first of its keys that the file has is where to look; what no key says is in the defaults.
        let place = |keys: &[String]| keys.iter().find_map(|key| reading.places.get(key).cloned());
        Err(ConfigError::new(contradictions.into_iter().map(|c| fault(place(&c.keys), c.words)).collect()))
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_OCTETS + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_OCTETS {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Destination;
    use crate::smtp::Domain;
    use proptest::prelude::*;

    /// What a file is refused with.
    fn refused(text: &str) -> String {
        Config::parse(text, "a.toml").expect_err(text).to_string()
    }

    #[test]
    fn the_config_of_the_manual_is_read() {
        let text = r#"hostname = "relay.example.org"     # what we say in EHLO
[spool]
path = "/var/spool/sendoff"
[listen]
smtp = ["127.0.0.1:2525"]          # plain SMTP, STARTTLS offered when a certificate is set
relay_from = ["127.0.0.0/8", "::1"]  # who may relay without AUTH
max_message_size = "50 MiB"
[delivery]
workers = 1000                     # the fixed pool
connections_per_destination = 20
connections_per_address = 20
port = 25
expire_after = "5d"
[timeouts]
connect = "30s"
banner = "5m"
patience = "10s"
[dns]
servers = []                       # empty: /etc/resolv.conf
[routes]                           # a domain, "*.domain", or "*" to a smart host; the rest goes by MX
"example.net" = "smtp://smart.example.net:587"
"#;
        let hostname = Domain::parse("relay.example.org").unwrap();
        let mut expected = Config { hostname, ..Config::default() };
        expected.spool.path = "/var/spool/sendoff".into();
        let smart = Destination::parse("smtp://smart.example.net:587").unwrap();
        expected.routes.table = vec![("example.net".to_owned(), smart)];
        // The file says nothing else than the defaults, and that is how it is meant.
        assert_eq!(Config::parse(text, "a.toml").unwrap(), expected);
        assert_eq!(Config::parse("", "a.toml").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_one() {
        assert_eq!(
            refused("[timeouts]\nconnect = \"5s\"\nbaner = \"5m\"\n"),
            "a.toml:3:1: unknown key `baner` in [timeouts]: did you mean `banner`?\n  |\n3 | baner = \"5m\"\n  | ^^^^^"
        );
        for (text, words) in [
            ("[timeout]\n", "a.toml:1:2: unknown table [timeout]: did you mean [timeouts]?"),
            ("banner = \"5m\"\n", "unknown key `banner`: it belongs in [timeouts]"),
            ("[dns]\nhostname = \"a\"\n", "unknown key `hostname` in [dns]: it belongs at the top"),
            ("[spool]\nzzz = 1\n", "unknown key `zzz` in [spool]\n"),
            (
                "delivery.worker = 5",
                "a.toml:1:10: unknown key `worker` in [delivery]: did you mean `workers`?",
            ),
        ] {
            assert!(refused(text).contains(words), "{}", refused(text));
        }
    }

    #[test]
    fn a_wrong_value_is_refused_in_words_at_its_place() {
        for (text, words) in [
            ("[timeouts]\nbanner = 30\n", "a.toml:2:10: 30 of what? write a duration like"),
            (
                "[timeouts]\nbanner = true\n",
                "a.toml:2:10: a duration is a text like \"30s\", not true or false",
            ),
            ("[delivery]\nport = 70000", "a.toml:2:8: this number is too large"),
            ("[delivery]\nworkers = -1", "this number must not be negative"),
            ("[delivery]\nworkers = \"many\"", "a whole number is wanted here, not a text"),
            ("[spool]\nmemory = -1", "this number must not be negative"),
            (
                "[listen]\nsmtp = [\"127.0.0.1:25\", \"localhost:25\"]",
                "a.toml:2:25: \"localhost:25\" cannot be",
            ),
            ("[listen]\nsmtp = \"127.0.0.1:25\"", "a list is wanted here, like [\"...\"], not a text"),
            ("[listen]\nrelay_from = [\"10/8\"]", "\"10/8\" is no network"),
            ("[dns]\nservers = [\"192.0.2.1:0\"]", "no nameserver answers at port 0"),
            ("[log]\nformat = \"xml\"", "a.toml:2:10: \"xml\" is no format of the log"),
            ("hostname = \"a b\"", "a.toml:1:12: \"a b\" is no domain name"),
            ("timeouts = 5", "`timeouts` is a table: write [timeouts]"),
            ("routes = 5", "`routes` is a table: write [routes]"),
            ("[routes]\nexample.net = \"smtp://a\"", "it must stand in quotes"),
            ("[routes]\n\"*x\" = \"smtp://a\"", "a.toml:2:1: \"*x\" is no pattern"),
            ("[routes]\n\"a.b\" = \"a\"", "\"a\" is no smart host"),
            ("[routes]\n\"a.b\" = \"smtp://c\"\n\"A.b\" = \"smtp://c\"", "stands here twice"),
            ("[spool\npath", "a.toml:1:7: this is no TOML: "),
        ] {
            assert!(refused(text).contains(words), "{}", refused(text));
        }
    }

    #[test]
    fn a_contradiction_is_shown_where_the_file_says_it() {
        let words = refused("[delivery]\nworkers = 10\nconnections_per_address = 5\n");
        // The other half of it is a default: the half that is in the file is where to look.
        assert!(
            words.starts_with("a.toml:2:11: delivery.connections_per_destination (20) must be less"),
            "{words}"
        );
        let words = refused("[routes]\n\"*\" = \"smtp://127.0.0.1:2525\"\n");
        assert!(
            words.starts_with("a.toml:2:1: the route of \"*\" leads to smtp://[127.0.0.1]:2525"),
            "{words}"
        );
    }

    #[test]
    fn several_faults_come_in_the_order_of_the_file() {
        let error = Config::parse("[dns]\nx = 1\n[bounce]\ny = 1\n[timeouts]\nquit = 1", "a").unwrap_err();
        let lines: Vec<_> =
            error.faults().iter().filter_map(|fault| fault.place.as_ref()).map(|p| p.line).collect();
        assert_eq!(lines, [2, 4, 6]);
    }

    #[test]
    fn a_file_that_is_not_there_or_no_text_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.toml");
        assert!(Config::load(&path).unwrap_err().to_string().contains("none.toml: cannot be read: "));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(Config::load(&path).unwrap_err().to_string().contains("UTF-8"));
        std::fs::write(&path, "hostname = \"a.example\"").unwrap();
        assert_eq!(Config::load(&path).unwrap().hostname.as_str(), "a.example");
    }

    proptest! {
        #[test]
        fn any_text_gives_a_value(text in "(\\[(dns|routes|timeouts)\\]\n|[a-z]{1,5} = |\"[*a-z.:/]{0,9}\"|[0-9]{1,3}|\n|\\PC){0,20}") {
            if let Err(error) = Config::parse(&text, "a.toml") {
                prop_assert!(!error.faults().is_empty() && !error.to_string().is_empty());
            }
        }
    }
}
