//! The options of the commands that operate a running relay, with the help a person reads.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::arguments::Relay;
use crate::control;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Queue {
    #[command(subcommand)]
    pub(super) command: Option<QueueCommand>,
    #[command(flatten)]
    pub(super) relay: Relay,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) which: Which,
    /// The most messages shown
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(super) limit: usize,
    /// Only messages after this queue id: the next page
    #[arg(long, value_name = "ID")]
    pub(super) after: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// Show one message: its envelope, and the history of every attempt
    Show(Show),
    /// Show how many recipients each destination has, and how old they are
    Summary(Summary),
    /// Keep messages back: they are not tried, and do not expire, until they are released
    Hold(Act),
    /// Let held messages go; what has expired meanwhile gets one more try
    Release(Act),
    /// Try messages now; with --destination or --all the rests of destinations end too
    Retry(Act),
    /// Remove messages; nobody is told
    Remove(Act),
    /// Return messages to their reverse-paths, with a reason
    Bounce(Bounce),
    /// Send messages another way than the routes say
    Redirect(Redirect),
}

/// Which messages are meant.
#[derive(Args, Clone, Debug)]
pub(super) struct Which {
    /// Only mail for this destination
    #[arg(long, value_name = "DESTINATION")]
    destination: Option<String>,
    /// Only mail from or to such an address: * and ? are wild cards, @example.org is all of it
    #[arg(long, value_name = "PATTERN")]
    address: Option<String>,
    /// Only mail from such an address
    #[arg(long, value_name = "PATTERN")]
    from: Option<String>,
    /// Only mail to such an address
    #[arg(long, value_name = "PATTERN")]
    to: Option<String>,
    /// Only mail at least so old: 90s, 10m, 2h, 3d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older: Option<Duration>,
    /// Only mail at most so old
    #[arg(long, value_name = "AGE", value_parser = age)]
    younger: Option<Duration>,
    /// Only mail in this state: active, ready, waiting, resting, blocked, held, suspended, quarantined
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
}

impl Which {
    /// As it is asked.
    pub(super) fn asked(&self) -> control::Which {
        control::Which {
            destination: self.destination.clone(),
            address: self.address.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            older: self.older.map(|age| age.as_secs()),
            younger: self.younger.map(|age| age.as_secs()),
            state: self.state.clone(),
        }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    crate::config::duration(text)
}

#[derive(Args, Debug)]
pub(super) struct Show {
    #[command(flatten)]
    pub(super) relay: Relay,
    /// The queue id
    #[arg(value_name = "ID")]
    pub(super) id: String,
    /// Its header section too
    #[arg(long)]
    pub(super) headers: bool,
    /// All of it too, up to 1 MiB
    #[arg(long)]
    pub(super) body: bool,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Summary {
    #[command(flatten)]
    pub(super) relay: Relay,
    /// The most destinations shown
    #[arg(long, value_name = "NUMBER", default_value_t = 30)]
    pub(super) limit: usize,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

/// Something done to messages.
#[derive(Args, Debug)]
pub(super) struct Act {
    #[command(flatten)]
    pub(super) relay: Relay,
    /// Queue ids; without any, a filter or --all says which
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) which: Which,
    /// All of the queue
    #[arg(long)]
    pub(super) all: bool,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Bounce {
    #[command(flatten)]
    pub(super) act: Act,
    /// Why, for whoever sent it
    #[arg(long, value_name = "WORDS", default_value = "returned by the operator")]
    pub(super) reason: String,
}

#[derive(Args, Debug)]
pub(super) struct Redirect {
    /// smtp://host:port, or `routes`: where the routes lead
    #[arg(value_name = "TARGET")]
    pub(super) target: String,
    #[command(flatten)]
    pub(super) act: Act,
}

#[derive(Args, Debug)]
pub(super) struct Explain {
    #[command(flatten)]
    pub(super) relay: Relay,
    /// A queue id, a domain or a destination
    #[arg(value_name = "ID|DOMAIN")]
    pub(super) what: String,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Connections {
    #[command(subcommand)]
    pub(super) command: Option<ConnectionsCommand>,
    #[command(flatten)]
    pub(super) relay: Relay,
    /// Show it again every second, until it is interrupted
    #[arg(long)]
    pub(super) watch: bool,
    /// One JSON document on standard output; with --watch one a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConnectionsCommand {
    /// End a session; its message is tried again later
    Kill(Kill),
}

#[derive(Args, Debug)]
pub(super) struct Kill {
    #[command(flatten)]
    pub(super) relay: Relay,
    /// The number of the session
    #[arg(value_name = "SESSION")]
    pub(super) session: u64,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Destinations {
    #[command(subcommand)]
    pub(super) command: Option<DestinationsCommand>,
    #[command(flatten)]
    pub(super) relay: Relay,
    /// The most destinations shown: those with the most messages
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(super) limit: usize,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum DestinationsCommand {
    /// Show one destination, with all that is known of it
    Show(One),
    /// Send nothing to a destination until it is resumed; also after a restart
    Suspend(Suspend),
    /// Let a suspended destination go on
    Resume(One),
}

#[derive(Args, Debug)]
pub(super) struct One {
    #[command(flatten)]
    pub(super) relay: Relay,
    /// A domain, [address], or smtp://host:port
    #[arg(value_name = "DESTINATION")]
    pub(super) destination: String,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Suspend {
    #[command(flatten)]
    pub(super) one: One,
    /// Why, for other operators
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(super) reason: String,
}

#[derive(Args, Debug)]
#[command(
    after_help = "It needs no running relay: it goes by the configuration alone. It sends no message: with --rcpt it says \
    MAIL and RCPT, then RSET and QUIT.\n\nExit codes: 0 a delivery would get so far, 75 it would be deferred, 68 it would \
    be refused for good."
)]
pub(super) struct Probe {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A domain, [address], or smtp://host:port
    #[arg(value_name = "DESTINATION")]
    pub(super) destination: String,
    /// Ask whether this recipient would be taken
    #[arg(long, value_name = "ADDRESS")]
    pub(super) rcpt: Option<String>,
    /// The reverse-path to ask with; without it the null path
    #[arg(long, value_name = "ADDRESS", default_value = "", requires = "rcpt")]
    pub(super) from: String,
    /// The longest any step may take, if the configuration allows more
    #[arg(long, value_name = "TIME", value_parser = age, default_value = "30s")]
    pub(super) limit: Duration,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Passwords and the octets of messages are never shown. End it with Ctrl-C.")]
pub(super) struct Trace {
    #[command(flatten)]
    pub(super) relay: Relay,
    /// A domain, a destination, or * for all
    #[arg(value_name = "DOMAIN")]
    pub(super) what: String,
    /// One JSON document a line
    #[arg(long)]
    pub(super) json: bool,
}
