//! `sendoff check`.

use std::fmt::Write as _;

use super::Exit;
use super::arguments::{self, settings};
use super::table::print;
use crate::dns;
use crate::sasl::Credentials;
use crate::tls::Outbound;

/// Says what is wrong with a configuration; or, when nothing is, what it comes to.
pub(super) fn check(arguments: &arguments::Check) -> Result<(), Exit> {
    let config = settings(arguments.config.as_ref())?;
    // The files that the settings name, as a start would read them.
    Outbound::new(&config.tls).map_err(Exit::config)?;
    let credentials = Credentials::load(config.delivery.credentials.as_deref());
    credentials.map_err(Exit::config)?;
    let name = arguments.config.as_ref().map_or("the defaults".to_owned(), |file| file.display().to_string());
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let servers = dns::servers(&config.dns).iter().map(ToString::to_string).collect();
    let routes = config.routes.table.iter().map(|(pattern, to)| format!("{pattern} to {to}")).collect();
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{name}: fine");
    let _ = writeln!(out, "hostname  {}", config.hostname);
    let _ = writeln!(out, "listens   {}", list(config.listen.smtp.iter().map(ToString::to_string).collect()));
    let _ = writeln!(out, "spool     {}", config.spool.path.display());
    let _ = writeln!(out, "asks      {}", list(servers));
    let _ = writeln!(out, "routes    {}", list(routes));
    print(&out)
}
