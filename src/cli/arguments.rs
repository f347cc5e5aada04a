//! The commands and their options, with the help a person reads.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::Exit;
pub(super) use super::operating::{
    Act, Connections, ConnectionsCommand, Destinations, DestinationsCommand, Explain, Probe, Queue,
    QueueCommand, Trace,
};
use crate::config::Config;

/// An outbound SMTP relay: mail goes in, is safe on disk, and always leaves.
#[derive(Debug, Parser)]
#[command(name = "sendoff", version, arg_required_else_help = true, propagate_version = true)]
#[command(
    after_help = "Exit codes are those of sysexits(3): 64 usage, 65 bad data, 66 no such file or message, 68 no such host, \
                  69 no relay running, 75 try again later, or not done for all, 78 bad configuration."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the relay in the foreground; it logs to standard error
    Serve(Serve),
    /// Say what is wrong with a configuration, and where
    Check(Check),
    /// Show what is queued, why it has not left and what the last host said; hold, release, retry, remove, ...
    Queue(Box<Queue>),
    /// Say why a message or a destination's mail does not leave now, and what can be done
    Explain(Explain),
    /// Show the open sessions: where each stands, and how long it may stay there; end one
    Connections(Connections),
    /// Show destinations: standing, caps, rests, rates; suspend and resume them
    Destinations(Destinations),
    /// Do what a delivery would do, step by step with times, and send nothing
    Probe(Probe),
    /// Follow conversations as they are held
    Trace(Trace),
    /// Watch the relay: pace, queue, destinations, sessions, failures
    Top(Top),
    /// Hand one message to the running relay
    Send(Send),
    /// Be sendmail(1) for programs that send mail that way
    Sendmail(Sendmail),
    /// Set the password of somebody who may relay
    Passwd(Passwd),
}

/// Where the running relay is found.
#[derive(Args, Debug)]
pub(super) struct Relay {
    /// The configuration the relay runs with
    #[arg(long, value_name = "FILE", conflicts_with = "spool")]
    config: Option<PathBuf>,
    /// The spool the relay runs on; without this and --config: ./spool
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
}

impl Relay {
    /// The spool directory.
    pub(super) fn spool(&self) -> Result<PathBuf, Exit> {
        match (&self.spool, &self.config) {
            (Some(spool), _) => Ok(spool.clone()),
            (None, config) => settings(config.as_ref()).map(|config| config.spool.path),
        }
    }
}

/// The settings of a file, or the defaults.
pub(super) fn settings(file: Option<&PathBuf>) -> Result<Config, Exit> {
    match file {
        None => Ok(Config::default()),
        Some(file) if !file.exists() => {
            Err(Exit::no_input(format!("{}: there is no such file", file.display())))
        }
        Some(file) => Config::load(file).map_err(Exit::config),
    }
}

#[derive(Args, Debug)]
#[command(after_help = "Without --config it listens on 127.0.0.1:2525 and keeps its mail in ./spool.\n\
    SIGTERM and SIGINT end it, mail in flight first; SIGHUP reads the configuration again.\n\
    RUST_LOG=sendoff::client=debug shows the conversations with other hosts, line by line.")]
pub(super) struct Serve {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "With --world it also makes a file in the spool and removes it, asks the DNS servers, and connects to \
    the hosts of a domain; it sends nothing."
)]
pub(super) struct Check {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Look at the world too: addresses, spool, DNS, our name, the way out
    #[arg(long)]
    pub(super) world: bool,
    /// Whose hosts the way out is tried with
    #[arg(long, value_name = "DOMAIN", default_value = "gmail.com", requires = "world")]
    pub(super) towards: String,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Line ends become CRLF. A text that does not begin with a header field gets From, To, Date and \
    Message-ID; nothing else is changed.\n\nExample: echo hello | sendoff send --from me@example.org --to you@example.net"
)]
pub(super) struct Send {
    #[command(flatten)]
    pub(super) relay: Relay,
    /// The reverse-path: who is told if it cannot be delivered; "" for nobody
    #[arg(long, value_name = "ADDRESS")]
    pub(super) from: String,
    /// A forward-path; may be given several times
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(super) to: Vec<String>,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
    /// The message; standard input without it
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(after_help = "The password is asked for without being shown, or is one line of standard input.\n\
    The file is that of auth.users; it is made when it is not there. Lines of other programs may stand in it as well: \
    NAME:HASH, with what `openssl passwd -6` says; such users cannot use SCRAM.")]
pub(super) struct Passwd {
    /// The file of users
    #[arg(long, value_name = "USERS")]
    pub(super) file: PathBuf,
    /// Take the user out instead
    #[arg(long)]
    pub(super) delete: bool,
    /// Whose password
    #[arg(value_name = "NAME")]
    pub(super) name: String,
}

#[derive(Args, Debug)]
#[command(after_help = "Also by its name, as sendmail, mailq and newaliases: links to this program.\n\n\
    -t recipients from the header   -i a dot alone is text   -f ADDRESS reverse-path   -F NAME\n\
    -bs SMTP on standard input and output   -bp the queue   -bv where addresses go   -q try again now\n\n\
    The relay is found by --config FILE (-C FILE) or --spool DIR, then SENDOFF_CONFIG, then /etc/sendoff.toml,\n\
    then ./spool. Exit codes: 64 usage, 65 bad data, 75 no relay, or try again later, 77 not permitted.")]
pub(super) struct Sendmail {
    /// Options and recipients of sendmail(1); --config <FILE> names the relay
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) args: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Top {
    #[command(flatten)]
    pub(super) relay: Relay,
    /// A new answer every so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    pub(super) every: u64,
}
