//! `sendoff serve`: the relay in the foreground, with a few lines for whoever started it by hand.

use super::Exit;
use super::arguments::{self, settings};
use super::logging;
use super::table::print;
use crate::daemon::{Daemon, StartError};

/// Runs the relay until a signal ends it.
pub(super) fn serve(arguments: &arguments::Serve) -> Result<(), Exit> {
    let config = settings(arguments.config.as_ref())?;
    logging::start(config.log.format);
    let daemon = Daemon::start(config, arguments.config.clone()).map_err(|error| match error {
        StartError::Spool(error) => Exit::cannot_create(error),
        StartError::Settings(error) => Exit::config(error),
        StartError::System(error) => Exit::system(error),
    })?;
    let began = daemon.began();
    let relay = match &arguments.config {
        Some(file) => format!(" --config {}", file.display()),
        None => String::new(),
    };
    // As it was called: what is shown can be typed, or copied.
    let sendoff = std::env::args().next().unwrap_or_else(|| "sendoff".to_owned());
    let home = std::path::absolute(&began.spool).unwrap_or_else(|_| began.spool.clone());
    let list = |items: &[std::net::SocketAddr], between: &str| {
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
    };
    let secure = |before: &str, behind: &str, between: &str| match began.listening_tls.as_slice() {
        [] => String::new(),
        addresses => format!("{before}{}{behind}", list(addresses, between)),
    };
    print(&format!(
        "Sendoff {version}\n\
         \x20 listens  {listens} (SMTP){tls}\n{web}\
         \x20 spool    {home}: {messages} messages for {recipients} recipients found\n\
         \x20 asks     {asks} (DNS)\n\
         \x20 try      echo hello | {sendoff} send{relay} --from you@example.org --to someone@example.net\n\
         \x20 look     {sendoff} queue{relay}\n\
         \x20          {sendoff} connections{relay}\n\
         ready smtp={smtp}{smtps} spool={spool}\n",
        version = env!("CARGO_PKG_VERSION"),
        listens = list(&began.listening, ", "),
        tls = secure(", ", " (SMTP within TLS)", ", "),
        smtps = secure(" smtps=", "", ","),
        web = began.web.iter().map(|address| format!("  metrics  http://{address}/\n")).collect::<String>(),
        asks = list(&began.nameservers, ", "),
        smtp = list(&began.listening, ","),
        home = home.display(),
        spool = began.spool.display(),
        messages = began.messages,
        recipients = began.recipients,
    ))?;
    daemon.run().map_err(Exit::software)
}
