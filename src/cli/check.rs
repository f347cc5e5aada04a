//! `sendoff check`: the configuration, and with `--world` what it meets.

use std::fmt::Write as _;

use super::Exit;
use super::arguments::{self, settings};
use super::table::{fold, print, print_json};
use super::world::{Found, look};
use crate::dns;

/// Says what is wrong with a configuration; or, when nothing is, what it comes to.
pub(super) fn check(arguments: &arguments::Check) -> Result<(), Exit> {
    let config = settings(arguments.config.as_ref())?;
    let name = arguments.config.as_ref().map_or("the defaults".to_owned(), |file| file.display().to_string());
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let servers = dns::servers(&config.dns).iter().map(ToString::to_string).collect();
    let routes = config.routes.table.iter().map(|(pattern, to)| format!("{pattern} to {to}")).collect();
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
    let _ = writeln!(out, "spool     {}", config.spool.path.display());
    let _ = writeln!(out, "asks      {}", list(servers));
    let _ = writeln!(out, "routes    {}", list(routes));
    for (what, found, words) in &found {
        out.push_str(&fold(&format!("{what:<9} {:<8}  ", found.word()), words));
    }
    print(&out)?;
    if bad > 0 { Err(failed()) } else { Ok(()) }
}
