//! From settings to a running relay, and back.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use parking_lot::RwLock;

use super::signals::{Wish, wishes};
use crate::config::Config;
use crate::control::{Answers, Door, WebDoor};
use crate::delivery::{Arrival, Pool, Workshop, late};
use crate::dns::{self, Own, Resolver};
use crate::listener::{self, Listener, Reception, Rules};
use crate::net::{Addresses, Caps, Ledger, Pressure, Sessions, Watchdog};
use crate::sasl::{Credentials, CredentialsError};
use crate::scheduler::{Beginning, Known, Orders, Scheduler, Terms, Widths, Wires};
use crate::spool::{DestinationRecord, Marks, Spool, SpoolError};
use crate::time::{Deadline, Limit, clock};
use crate::tls::{Outbound, RootsError};

/// Why the relay does not start.
#[derive(Debug)]
pub enum StartError {
    /// The spool cannot be used.
    Spool(SpoolError),
    /// A file that the settings name cannot be used.
    Settings(String),
    /// The system said no: an address is taken, there are no threads.
    System(String),
}

impl From<SpoolError> for StartError {
    fn from(error: SpoolError) -> StartError {
        StartError::Spool(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> StartError {
        StartError::System(error.to_string())
    }
}

impl From<RootsError> for StartError {
    fn from(error: RootsError) -> StartError {
        StartError::Settings(error.to_string())
    }
}

impl From<CredentialsError> for StartError {
    fn from(error: CredentialsError) -> StartError {
        StartError::Settings(error.to_string())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Spool(error) => error.fmt(f),
            StartError::Settings(error) | StartError::System(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for StartError {}

/// What the relay began with.
#[derive(Clone, Debug)]
pub struct Began {
    /// Where it listens.
    pub listening: Vec<SocketAddr>,
    /// Where it listens for TLS.
    pub listening_tls: Vec<SocketAddr>,
    /// Where it speaks HTTP to who watches.
    pub web: Vec<SocketAddr>,
    /// Where its spool is.
    pub spool: PathBuf,
    /// Messages found there.
    pub messages: u64,
    /// Their recipients.
    pub recipients: u64,
    /// Whom it asks.
    pub nameservers: Vec<SocketAddr>,
}

/// A running relay.
pub struct Daemon {
    pub(super) file: Option<PathBuf>,
    pub(super) config: Arc<RwLock<Arc<Config>>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) scheduler: Scheduler,
    pub(super) shop: Arc<Workshop>,
    pub(super) began: Began,
    scheduling: JoinHandle<()>,
    pool: Pool,
    pub(super) rules: Rules,
    listener: Listener,
    door: Door,
    web: WebDoor,
    watchdog: Watchdog,
    wishes: Receiver<Wish>,
}

/// The caps that settings come to.
pub(super) fn caps(config: &Config) -> Caps {
    let delivery = &config.delivery;
    let share = |percent: u8| (delivery.workers * usize::from(percent) / 100).max(1);
    Caps {
        pool: delivery.workers,
        new: share(delivery.new_share),
        suspect: share(delivery.suspect_share),
        destination: delivery.connections_per_destination,
        address: delivery.connections_per_address,
    }
}

/// The settings that the scheduler goes by.
pub(super) fn terms(config: &Config) -> Terms {
    let delivery = &config.delivery;
    let widths = Widths { new: delivery.new_connections, suspect: delivery.suspect_connections };
    let delays = config.retry.message.delays.iter().copied().max().unwrap_or_default();
    Terms {
        expire_after: delivery.expire_after,
        delay_notice: config.bounce.delay_notice,
        // Jitter lengthens by less than that; an hour is what is waited after defects of our own.
        longest_wait: 2 * delays.max(config.retry.site.most).max(Duration::from_secs(3600)),
        widths,
    }
}

/// Who we are: what an MX must not be.
pub(super) fn own(config: &Config, listening: &[SocketAddr], listening_tls: &[SocketAddr]) -> Own {
    Own {
        hostname: config.hostname.clone(),
        addresses: [listening, listening_tls].concat(),
        extra: config.delivery.own_addresses.clone(),
    }
}

impl Daemon {
    /// Starts the relay. `file` is read again on SIGHUP.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(config: Config, file: Option<PathBuf>) -> Result<Daemon, StartError> {
        let wishes = wishes()?;
        raise_descriptors();
        let tls = Outbound::new(&config.tls)?;
        let credentials = Credentials::load(config.delivery.credentials.as_deref())?;
        let doors = listener::Door::open_all(&config.listen);
        let doors = doors.map_err(|error| StartError::System(error.to_string()))?;
        let of = |tls_first: bool| {
            let doors = doors.iter().filter(|door| door.is_tls_first() == tls_first);
            doors.map(listener::Door::address).collect::<Vec<_>>()
        };
        let (listening, listening_tls) = (of(false), of(true));
        let shared = Arc::new(RwLock::new(Arc::new(config.clone())));
        let rules = Rules::of(Arc::clone(&shared)).map_err(StartError::Settings)?;
        let spool = Spool::open(&config.spool.path, config.spool.memory)?;
        let workers = config.delivery.workers;
        let (freed_in, freed) = bounded(4 * workers + 64);
        let (jobs_in, jobs) = bounded(workers + 256);
        let (reports_in, reports) = bounded(4096);
        let (arrivals_in, arrivals) = bounded(4096);
        let ledger = Ledger::new(caps(&config), freed_in);
        let sessions = Sessions::new();
        let pressure = Arc::new(Pressure::default());
        let wires = Wires {
            arrivals: (arrivals_in.clone(), arrivals),
            jobs: jobs_in,
            reports: (reports_in.clone(), reports),
            freed,
            pressure: Arc::clone(&pressure),
        };
        let known = known(&spool)?;
        let mut beginning =
            Scheduler::begin(Arc::clone(&ledger), terms(&config), wires, known, orders(&spool)?);
        take_up(&spool, &config, &mut beginning)?;
        let totals = spool.totals()?;
        let servers = dns::servers(&config.dns);
        let shop = Arc::new(Workshop {
            spool: Arc::clone(&spool),
            resolver: RwLock::new(Arc::new(Resolver::new(servers.clone(), &config.dns))),
            sessions: Arc::clone(&sessions),
            config: Arc::clone(&shared),
            own: RwLock::new(Arc::new(own(&config, &listening, &listening_tls))),
            tls: RwLock::new(Arc::new(tls)),
            credentials: RwLock::new(Arc::new(credentials)),
            reports: reports_in,
            arrivals: arrivals_in.clone(),
            pressure: Arc::clone(&pressure),
            addresses: Addresses::new(),
            stopping: AtomicBool::new(false),
            panics: AtomicU64::new(0),
        });
        let watchdog = Watchdog::start(Arc::clone(&sessions), Arc::clone(&pressure), Arc::clone(&shared))?;
        let pool = Pool::start(workers, &shop, &jobs)?;
        let (scheduler, scheduling) = beginning.start()?;
        let reception = Reception {
            spool: Arc::clone(&spool),
            config: Arc::clone(&shared),
            arrivals: arrivals_in.clone(),
        };
        let answers =
            Answers { shop: Arc::clone(&shop), scheduler: scheduler.clone(), ledger: Arc::clone(&ledger) };
        let answers = Arc::new(answers);
        let door = Door::open(&config.spool.path, &answers)?;
        let web = WebDoor::open(&config.metrics.listen, &answers, &listening)?;
        let listener = Listener::start(doors, rules.clone(), Arc::new(reception))?;
        let began = Began {
            listening,
            listening_tls,
            web: web.addresses(),
            spool: config.spool.path,
            messages: totals.messages,
            recipients: totals.recipients,
            nameservers: servers,
        };
        let config = shared;
        Ok(Daemon {
            file,
            config,
            ledger,
            scheduler,
            shop,
            began,
            scheduling,
            pool,
            rules,
            listener,
            door,
            web,
            watchdog,
            wishes,
        })
    }

    /// What it began with.
    pub fn began(&self) -> &Began {
        &self.began
    }

    /// Keeps the house until a signal ends it; or until a thread has ended that mail cannot leave without. What is in the
    /// spool is safe; whoever watches over us starts us again.
    ///
    /// # Errors
    /// What has ended.
    pub fn run(self) -> Result<(), &'static str> {
        const ROUND: Duration = Duration::from_secs(1);
        loop {
            match self.wishes.recv_timeout(ROUND) {
                Ok(Wish::Reload) => self.reload(),
                Ok(Wish::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.look_after(),
            }
            if self.scheduling.is_finished() {
                return Err("the scheduler has ended; the log says why");
            }
            if !self.shop.spool.is_writing() {
                return Err("the writer of the spool has ended; the log says why");
            }
        }
        self.stop();
        Ok(())
    }

    /// What is looked after once a second.
    fn look_after(&self) {
        late(&self.shop);
        self.rules.refresh();
        // Whoever wants to send hears it at the door; here it is only noticed, and said once.
        let _ = self.shop.spool.room(&Marks::of(&self.config.read()), 0, 0);
    }

    /// Takes the house down: first nothing comes in, then nothing new goes out, then what is in flight gets its grace,
    /// then it is cut. What was accepted is in the spool all the while.
    fn stop(mut self) {
        /// What threads get to leave once their sockets are cut.
        const AFTER_CUT: Duration = Duration::from_secs(5);
        let grace = self.config.read().timeouts.shutdown;
        log::info!("stopping: sessions in flight have {grace:?}");
        let end = Deadline::within(clock::now(), grace);
        self.shop.stop();
        self.scheduler.stop();
        self.listener.stop(grace);
        if self.pool.join(&end) > 0 {
            let cut = self.shop.sessions.cut_all(Limit::Shutdown);
            log::info!("{cut} sessions were cut after {grace:?} of grace");
            let left = self.pool.join(&Deadline::within(clock::now(), AFTER_CUT));
            if left > 0 {
                log::error!("{left} workers did not end; their mail is in the spool");
            }
        }
        if self.scheduling.is_finished() && self.scheduling.join().is_err() {
            log::error!("the scheduler ended in a panic");
        }
        drop((self.door, self.web, self.watchdog));
        late(&self.shop);
        self.shop.spool.close(AFTER_CUT);
        log::info!("stopped; {} panics were caught", self.shop.panics.load(Ordering::Relaxed));
    }
}

/// What the spool knows of destinations.
fn known(spool: &Spool) -> Result<Vec<Known>, SpoolError> {
    const LONG_OVER: Duration = Duration::from_secs(86_400);
    let now = clock::unix();
    // A rest that was over a day ago says nothing any more; the row would stay for ever.
    let (over, known): (Vec<_>, Vec<_>) =
        spool.destinations()?.into_iter().partition(|record| record.until.after(LONG_OVER) < now);
    spool.remember(over.into_iter().map(|record| DestinationRecord { failures: 0, ..record }).collect());
    let known = known.into_iter().map(|record| Known {
        destination: record.destination,
        failures: record.failures,
        until: record.until,
    });
    Ok(known.collect())
}

/// What operators have ordered.
fn orders(spool: &Spool) -> Result<Orders, SpoolError> {
    let suspended = spool.suspended()?.into_iter().map(|suspended| suspended.destination).collect();
    Ok(Orders { held: spool.held()?, suspended })
}

/// Every message of the spool, for every destination of its.
fn take_up(spool: &Spool, config: &Config, beginning: &mut Beginning) -> Result<(), SpoolError> {
    let route = |host: &_| config.routes.destination(host);
    let taken = spool.take_up(&route, &mut |entry| {
        let (id, next, accepted) = (entry.id, entry.next, entry.accepted);
        beginning.arrive(Arrival { id, destination: entry.destination, fresh: None, next, accepted });
    });
    taken.map(drop)
}

/// As many file descriptors as the system allows: each session, client and nameserver needs one.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        log::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}
