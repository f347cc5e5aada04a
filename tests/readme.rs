//! The README's configurations are true: the first one is taken, and the long one has every key, each with its default.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the verdict")]

use sendoff::config::Config;
use std::collections::BTreeSet;

const README: &str = include_str!("../README.md");

/// The list of keys that is complete because the compiler holds it against the fields of the settings.
const KEYS: &str = include_str!("../src/config/keys_tests.rs");

#[test]
fn the_first_configuration_is_taken() {
    let config = Config::parse(block(0), "README.md").unwrap();
    assert_eq!(config.hostname.to_string(), "relay.example.org");
    assert_eq!(config.listen.relay_from.len(), 3);
}

#[test]
fn the_configuration_with_tls_is_taken() {
    let config = Config::parse(block(2), "README.md").unwrap();
    assert_eq!((config.listen.smtps.len(), config.listen.certificates.len()), (1, 1));
}

#[test]
fn the_defaults_are_the_defaults() {
    let said = Config::parse(block(1), "README.md").unwrap();
    assert_eq!(said, Config { hostname: said.hostname.clone(), ..Config::default() });
}

#[test]
fn no_key_is_missing() {
    // The test beside the keys sets every field to something new, so its text has them all.
    let all = KEYS.split("r#\"").nth(1).unwrap().split("\"#").next().unwrap();
    assert_eq!(keys(block(1)), keys(all));
}

/// The nth block of TOML.
fn block(n: usize) -> &'static str {
    README.split("```toml\n").nth(n + 1).unwrap().split("```").next().unwrap()
}

/// All keys as `table.key`. What a route is called is nobody's key.
fn keys(text: &str) -> BTreeSet<String> {
    let table: toml::Table = text.parse().unwrap();
    let of = |name: &String, value: &toml::Value| match value.as_table() {
        Some(entries) if name != "routes" => entries.keys().map(|key| format!("{name}.{key}")).collect(),
        _ => vec![name.clone()],
    };
    table.iter().flat_map(|(name, value)| of(name, value)).collect()
}
