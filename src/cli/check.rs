//! `sendoff check`: the configuration, and with `--world` what it meets.

use std::fmt::Write as _;
use std::time::Duration;

use super::Exit;
use super::arguments::{self, settings};
use super::table::{fold, print, print_json};
use super::world::{Found, look};
use crate::config::Config;
use crate::credentials::{Certificates, Source, UsersFile, expiries};
use crate::dns;
use crate::mail::rfc5322;
use crate::sasl::Credentials;
use crate::time::clock;
use crate::tls::Outbound;

/// A certificate that ends sooner should have been renewed by now: certbot does it 30 days before.
const SOON: Duration = Duration::from_secs(14 * 86_400);

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
    let certificates = certificates(&config).map_err(Exit::config)?;
    let users = UsersFile(config.auth.users.clone()).make().map_err(Exit::config)?;
    let users = users.map(|users| users.count());
    let found = if arguments.world { look(&config, &arguments.towards)? } else { Vec::new() };
    let bad = found.iter().filter(|(_, found, _)| *found == Found::Bad).count();
    let failed = || Exit::later(format!("the world is not ready for {name}: {bad} of {} BAD", found.len()));
    if arguments.json {
        let world = found.iter().map(|(what, found, words)| {
            serde_json::json!({ "what": what, "found": found.word().to_lowercase(), "words": words })
        });
        print_json(&serde_json::json!({
            "config": name,
            "hostname": config.hostname.as_str(),
            "listens": config.listen.smtp,
            "listens_tls": config.listen.smtps,
            "certificates": certificates,
            "users": users,
            "spool": config.spool.path,
            "asks": dns::servers(&config.dns),
            "world": world.collect::<Vec<_>>(),
        }))?;
        return if bad > 0 { Err(failed()) } else { Ok(()) };
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{name}: fine");
    let _ = writeln!(out, "hostname  {}", config.hostname);
    let _ = writeln!(out, "listens   {}", list(config.listen.smtp.iter().map(ToString::to_string).collect()));
    if !config.listen.smtps.is_empty() {
        let _ = writeln!(
            out,
            "with TLS  {}",
            list(config.listen.smtps.iter().map(ToString::to_string).collect())
        );
    }
    let _ = writeln!(out, "shows     {}", list(certificates));
    let _ = writeln!(out, "users     {}", users.map_or("none".to_owned(), |users| users.to_string()));
    let _ = writeln!(out, "spool     {}", config.spool.path.display());
    let _ = writeln!(out, "asks      {}", list(servers));
    let _ = writeln!(out, "routes    {}", list(routes));
    for (what, found, words) in &found {
        out.push_str(&fold(&format!("{what:<9} {:<8}  ", found.word()), words));
    }
    print(&out)?;
    if bad > 0 { Err(failed()) } else { Ok(()) }
}

/// Each certificate, and when it ends.
fn certificates(config: &Config) -> Result<Vec<String>, String> {
    let now = clock::unix();
    let ends = expiries(&Certificates(config.listen.certificates.clone()))?;
    let words = ends.into_iter().map(|(name, end)| match end {
        Some(end) if end <= now => format!("{name} (WARNING: it ended on {})", rfc5322(end)),
        Some(end) if end <= now.after(SOON) => format!("{name} (WARNING: it ends on {})", rfc5322(end)),
        Some(end) => format!("{name} (to {})", rfc5322(end)),
        None => name,
    });
    Ok(words.collect())
}
