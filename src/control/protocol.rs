//! What is said through the door: requests and answers, a line of JSON each. The documents of the answers are those of
//! `--json`: an interface, so keys are added, never changed. Durations are seconds, times are Unix seconds.

use serde::{Deserialize, Serialize};

use super::documents::{
    Acted, Connections, Destinations, Explanation, Queue, Shape, Shown, Submitted, TraceLine,
};
use super::overview::Overview;

/// What the operator asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A page of the queue.
    Queue {
        /// Only messages after this queue id.
        after: Option<String>,
        /// The most messages on the page; the door has its own limit.
        limit: usize,
        /// Which messages.
        which: Which,
    },
    /// One message, with its history.
    Show {
        /// Its queue id.
        id: String,
        /// How much of the message itself.
        part: Part,
    },
    /// The queue by destination and age.
    Summary {
        /// The most destinations.
        limit: usize,
    },
    /// Something is done to messages; to a page of them, and the answer says where the next one begins.
    Act {
        /// What.
        action: Action,
        /// These; without any, those that `which` means.
        ids: Vec<String>,
        /// Which of them.
        which: Which,
        /// All of the queue is meant: a filter that means everything must be meant.
        all: bool,
        /// Only messages after this queue id.
        after: Option<String>,
        /// Only messages up to this queue id: what has come since the first page is not meant.
        up_to: Option<String>,
    },
    /// Why a message, or what goes to a domain, has not left.
    Explain {
        /// A queue id, a domain or a destination.
        what: String,
    },
    /// The session table.
    Connections,
    /// The relay at a glance.
    Overview,
    /// A session is ended.
    Kill {
        /// Its number.
        session: u64,
    },
    /// What is known of destinations: the most of those with the most messages.
    Destinations {
        /// The most of them.
        limit: usize,
        /// Only this one.
        destination: Option<String>,
    },
    /// A destination is suspended.
    Suspend {
        /// Which.
        destination: String,
        /// Why, for other operators.
        reason: String,
    },
    /// A destination goes on.
    Resume {
        /// Which.
        destination: String,
    },
    /// The conversations with a domain's hosts, as they are held: a line each until either side ends it.
    Trace {
        /// A domain, a destination, or `*`.
        what: String,
    },
    /// A message to be submitted; its octets follow.
    Submit {
        /// The reverse-path, without angle brackets; empty is the null path.
        from: String,
        /// The forward-paths.
        to: Vec<String>,
        /// How many octets follow.
        size: u64,
    },
}

/// Which messages are meant: all that is set must be true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Recipients of this destination.
    pub destination: Option<String>,
    /// The reverse-path or a recipient is like this; `*` and `?` are wild cards, `@example.org` is every address there.
    pub address: Option<String>,
    /// The reverse-path is like this.
    pub from: Option<String>,
    /// The recipient is like this.
    pub to: Option<String>,
    /// At least so old.
    pub older: Option<u64>,
    /// At most so old.
    pub younger: Option<u64>,
    /// Recipients in this state.
    pub state: Option<String>,
}

/// How much of a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Only what is known about it.
    Nothing,
    /// Its header section.
    Headers,
    /// All of it, as far as it is shown.
    Body,
}

/// What is done to messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do", deny_unknown_fields)]
pub enum Action {
    /// They are not tried, and do not expire, until they are released.
    Hold,
    /// They go on.
    Release,
    /// They are tried at once.
    Retry,
    /// They are gone, and nobody is told.
    Remove,
    /// They are returned to their reverse-path.
    Bounce {
        /// Why.
        reason: String,
    },
    /// They go elsewhere; without a target, where the routes lead.
    Redirect {
        /// A smart host.
        target: Option<String>,
    },
}

impl Action {
    /// What has been done, as a word.
    pub fn done(&self) -> &'static str {
        match self {
            Action::Hold => "held",
            Action::Release => "released",
            Action::Retry => "hurried",
            Action::Remove => "removed",
            Action::Bounce { .. } => "bounced",
            Action::Redirect { .. } => "redirected",
        }
    }
}

/// What the relay answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A page of the queue.
    Queue(Queue),
    /// A message.
    Shown(Box<Shown>),
    /// The queue by destination and age.
    Summary(Vec<Shape>),
    /// What was done to a page of messages.
    Acted(Acted),
    /// Why not now.
    Explained(Explanation),
    /// The session table.
    Connections(Connections),
    /// What is known of destinations.
    Destinations(Destinations),
    /// It was done; in words.
    Done(String),
    /// A line of a conversation.
    Trace(TraceLine),
    /// The relay at a glance.
    Overview(Box<Overview>),
    /// The message is durable.
    Submitted(Submitted),
    /// It was not done, and why.
    Error {
        /// A code of sysexits(3).
        exit: u8,
        /// Why.
        reason: String,
    },
}
