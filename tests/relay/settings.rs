//! The config file of a house: defaults for tests, and one dotted key at a time over them.

/// Everything a test waits for in the relay is short here; a test that is about one of these sets it.
const DEFAULTS: &str = r#"
hostname = "relay.test"
[listen]
smtp = ["127.0.0.1:0"]
[delivery]
workers = 16
connections_per_destination = 2
connections_per_address = 2
[retry]
delays = ["1s"]
site_first = "1s"
site_max = "2s"
jitter = 0
[timeouts]
connect = "1s"
banner = "1s"
ehlo = "1s"
starttls = "1s"
auth = "1s"
mail = "1s"
rcpt = "1s"
data = "1s"
block = "1s"
dot = "1s"
rset = "1s"
quit = "1s"
session = "10s"
client = "10s"
patience = "1s"
shutdown = "2s"
[dns]
timeout = "500ms"
attempts = 2
"#;

/// The settings, as a TOML table.
#[derive(Debug)]
pub struct Settings(toml::Table);

impl Default for Settings {
    fn default() -> Settings {
        Settings(DEFAULTS.parse().unwrap())
    }
}

impl Settings {
    /// Sets a dotted key. A value that is no TOML is taken as a string.
    #[track_caller]
    pub fn put(&mut self, key: &str, value: &str) {
        let read = |value: &str| format!("{key} = {value}").parse::<toml::Table>();
        let quoted = || toml::Value::String(value.to_string()).to_string();
        let change = read(value).or_else(|_| read(&quoted()));
        let change = change.unwrap_or_else(|e| panic!("{key}: {e}"));
        merge(&mut self.0, change);
    }

    /// The file.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.0).unwrap()
    }
}

/// Puts the change over the table, key by key.
fn merge(into: &mut toml::Table, change: toml::Table) {
    for (key, value) in change {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

#[test]
fn a_key_is_set_and_the_rest_stays() {
    let mut settings = Settings::default();
    settings.put("delivery.workers", "4");
    settings.put("timeouts.banner", "\"2s\"");
    settings.put("timeouts.ehlo", "3s");
    settings.put("routes.\"*.b.test\"", "\"smtp://127.1.1.1:25\"");
    let table: toml::Table = settings.to_toml().parse().unwrap();
    assert_eq!(table["delivery"]["workers"].as_integer(), Some(4));
    assert_eq!(table["timeouts"]["banner"].as_str(), Some("2s"));
    assert_eq!(table["timeouts"]["ehlo"].as_str(), Some("3s"));
    assert_eq!(table["timeouts"]["dot"].as_str(), Some("1s"));
    let route = table["routes"]["*.b.test"].as_str();
    assert_eq!(route, Some("smtp://127.1.1.1:25"));
}
