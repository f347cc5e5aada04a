//! sendmail(1), for programs that know no other way to send mail: `sendmail`, `mailq` and `newaliases` by the name it is called
//! by, or `sendoff sendmail`.
//!
//! Callers name no relay, so it is found by `--config`, `-C` or `--spool`, then `SENDOFF_CONFIG`, then `/etc/sendoff.toml`, then
//! `./spool`. A message goes through the operator's door; a caller who may not open that hands it over by SMTP at the first
//! address of `listen.smtp`, as any program on the machine may. There is no queue of our own beside the relay's: when
//! it does not run the caller is told 75, and keeps the message.

mod addresses;
mod flags;
mod letter;
mod mailq;
mod smtp;

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Exit;
use super::arguments::settings;
use super::messages::Order;
use super::send::read;
use super::table::print;
use crate::config::Config;
use crate::control::{Action, Answer, CallError, Request, Which, submit};
use crate::smtp::Mailbox;
use crate::time::clock;
use flags::{Flags, Mode};
use letter::{Origin, letter, qualified};

/// How long the relay may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The arguments of sendmail(1), if this is how we are called: by that name, or as `sendoff sendmail`.
pub(super) fn is_meant(args: &[OsString]) -> Option<Vec<String>> {
    let text = |arg: &OsString| arg.to_string_lossy().into_owned();
    let name = args.first().and_then(|name| Path::new(name).file_name()?.to_str());
    let rest = |n: usize| args.iter().skip(n).map(text);
    match name {
        Some("sendmail") => Some(rest(1).collect()),
        Some("mailq") => Some(rest(1).chain(["-bp".to_owned()]).collect()),
        Some("newaliases") => Some(rest(1).chain(["-bi".to_owned()]).collect()),
        _ if args.get(1).is_some_and(|command| command == "sendmail") => {
            // Its help is that of the other commands.
            (args.get(2).is_none_or(|arg| arg != "--help")).then(|| rest(2).collect())
        }
        _ => None,
    }
}

/// Does what the arguments say.
pub(super) fn sendmail(args: &[String]) -> Result<(), Exit> {
    let flags = Flags::parse(args).map_err(Exit::misused)?;
    let config = config(&flags)?;
    match flags.mode {
        Mode::Deliver => deliver(&flags, &config),
        Mode::Smtp => smtp::pass_through(listener(&config)?, config.timeouts.client_session),
        Mode::Queue => mailq::mailq(&config.spool.path).map_err(later),
        Mode::Verify => verify(&flags, &config),
        // There are no aliases, so they are always new.
        Mode::Aliases => Ok(()),
        Mode::Flush => flush(&config.spool.path),
    }
}

/// `-q`: everything that waits is tried now, as by `sendoff queue retry --all`.
fn flush(spool: &Path) -> Result<(), Exit> {
    let mut order = Order::new(Action::Retry, Vec::new(), Which::default(), true);
    while !order.is_done() {
        order.page(spool, LIMIT).map_err(called)?;
    }
    Ok(())
}

fn config(flags: &Flags) -> Result<Config, Exit> {
    let named = flags.config.clone().or_else(|| std::env::var_os("SENDOFF_CONFIG").map(PathBuf::from));
    let usual = || Some(PathBuf::from("/etc/sendoff.toml")).filter(|file| file.exists());
    let file = if flags.spool.is_some() { flags.config.clone() } else { named.or_else(usual) };
    let mut config = settings(file.as_ref())?;
    if let Some(spool) = &flags.spool {
        config.spool.path.clone_from(spool);
    }
    Ok(config)
}

fn deliver(flags: &Flags, config: &Config) -> Result<(), Exit> {
    let hostname = config.hostname.to_string();
    if flags.recipients.is_empty() && !flags.from_header {
        return Err(Exit::misused("no recipients: name them, or give -t if they stand in the header"));
    }
    let text = read(io::stdin()).map_err(|error| Exit::no_input(format!("standard input: {error}")))?;
    let own = format!("{}@{hostname}", caller());
    let from = flags.reverse_path.as_deref().map_or(own.clone(), |path| qualified(path, &hostname));
    let origin = Origin {
        address: if from.is_empty() { own } else { from.clone() },
        full_name: flags.full_name.clone().or_else(|| std::env::var("NAME").ok()),
        unique: format!("{}.{}", clock::unix_micros(), std::process::id()),
        hostname: hostname.clone(),
        now: clock::unix(),
    };
    let letter = letter(&text, flags.dot_is_text, &origin);
    if letter.is_endless {
        return Err(Exit::data("the header is too long"));
    }
    let mut to: Vec<String> = Vec::new();
    let header = letter.recipients.iter().filter(|_| flags.from_header);
    for address in
        flags.recipients.iter().flat_map(|given| addresses::addresses(given)).chain(header.cloned())
    {
        let address = qualified(&address, &hostname);
        // Said here, before anything is handed over: what the relay would refuse, and what would be another command.
        Mailbox::parse(&address).map_err(|error| Exit::data(format!("{address}: {error}")))?;
        if !to.contains(&address) {
            to.push(address);
        }
    }
    if !from.is_empty() {
        Mailbox::parse(&from).map_err(|error| Exit::data(format!("{from}: {error}")))?;
    }
    if to.is_empty() {
        return Err(Exit::data("no recipients in the header"));
    }
    let size = letter.octets.len() as u64;
    let request = Request::Submit { from: from.clone(), to: to.clone(), size };
    match submit(&config.spool.path, &request, &letter.octets, LIMIT) {
        Ok(Answer::Submitted(_)) => Ok(()),
        Ok(_) => Err(Exit::later("the relay answered something else")),
        Err(CallError::Denied(_)) => {
            smtp::submit(listener(config)?, &from, &to, &letter.octets, LIMIT).map(drop)
        }
        Err(error) => Err(called(error)),
    }
}

/// `-bv`: what each address would be, and where its mail would go.
fn verify(flags: &Flags, config: &Config) -> Result<(), Exit> {
    let hostname = config.hostname.to_string();
    for given in &flags.recipients {
        let address = qualified(given, &hostname);
        let mailbox = Mailbox::parse(&address).map_err(|error| Exit::data(format!("{address}: {error}")))?;
        print(&format!("{address}: goes to {}\n", config.routes.destination(mailbox.host())))?;
    }
    Ok(())
}

/// Where the listener is reached from here.
fn listener(config: &Config) -> Result<SocketAddr, Exit> {
    let address = config.listen.smtp.iter().find(|address| address.port() != 0);
    let address = address.ok_or_else(|| Exit::config("listen.smtp names no port"))?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, address.port()))
}

/// To a program that sends mail, a relay that does not run is one that will: 75, not 69.
fn called(error: CallError) -> Exit {
    match error {
        CallError::NobodyThere(words) => Exit::later(words),
        error => error.into(),
    }
}

fn later(exit: Exit) -> Exit {
    if exit.is_unavailable() { Exit::later(exit.words().unwrap_or_default()) } else { exit }
}

/// The name of who calls: by its number in /etc/passwd, which a static program reads itself (no NSS), else the number.
fn caller() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid{uid}"))
}
