//! Postfix, from its package: the package's own main.cf and master.cf in a private directory, with a private queue.
//!
//! Beside places, two things differ from the package: its programs do not run in a chroot (which would need a copy of the
//! resolver's files), and its log is a file, since there is no syslog here.
//!
//! The tuned one has what its own documents (TUNING_README, QSHAPE_README) advise for a machine that only relays, and is as durable.

use super::{DOOR, words, write};
use crate::cgroup;
use crate::namespace::run;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command};

const PROGRAM: &str = "/usr/sbin/postfix";

/// What the tuned one has beside the defaults, which are in brackets.
pub(super) const TUNED: [(&str, &str); 9] = [
    // More processes of each kind [100].
    ("default_process_limit", "300"),
    // The door is not slowed down when mail comes faster than it goes [1s].
    ("in_flow_delay", "0"),
    // More sessions for one destination, and from its beginning [20 and 5].
    ("smtp_destination_concurrency_limit", "50"),
    ("initial_destination_concurrency", "20"),
    // A larger working set of the queue manager [20000 both].
    ("qmgr_message_active_limit", "50000"),
    ("qmgr_message_recipient_limit", "50000"),
    // Sessions are kept for every destination, not only for those with a backlog [none].
    ("smtp_connection_cache_destinations", "static:all"),
    // A process serves more before it is replaced [100].
    ("max_use", "1000"),
    // Nothing is looked up about a client of our own [yes].
    ("smtpd_peername_lookup", "no"),
];

/// Whether it is here.
pub(super) fn check() -> Result<(), String> {
    let missing = ["/usr/sbin/postfix", "/etc/postfix/main.cf", "/etc/postfix/master.cf"]
        .into_iter()
        .find(|path| !Path::new(path).exists());
    missing.map_or(Ok(()), |path| Err(format!("there is no {path}: its package is not installed")))
}

pub(super) fn version() -> String {
    words("/usr/sbin/postconf", &["-h", "mail_version"]).map_or_else(String::new, |v| format!("Postfix {v}"))
}

pub(super) fn start(home: &Path, tuned: &[(&str, &str)]) -> Result<Option<Child>, String> {
    let (config, queue, data) = (home.join("config"), home.join("queue"), home.join("data"));
    for directory in [&config, &queue, &data] {
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let user = passwd.lines().find_map(|line| line.strip_prefix("postfix:x:")).ok_or("it has no user")?;
    let uid = user.split(':').next().and_then(|uid| uid.parse().ok());
    chown(&data, uid, None).map_err(|error| error.to_string())?;
    // Its users must be able to walk to their queue.
    for entry in fs::read_dir("/etc/postfix").map_err(|error| error.to_string())?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::copy(entry.path(), config.join(entry.file_name())).map_err(|error| error.to_string())?;
        }
    }
    let maps = Path::new("/etc/postfix/dynamicmaps.cf.d");
    if maps.exists() {
        run("cp", &["-r", &maps.display().to_string(), &config.display().to_string()])?;
    }
    let read = |name: &str| fs::read_to_string(config.join(name)).map_err(|error| error.to_string());
    let place = home.display();
    let mut settings = vec![
        ("queue_directory", format!("{place}/queue")),
        ("data_directory", format!("{place}/data")),
        ("maillog_file", format!("{place}/log")),
        ("maillog_file_prefixes", place.to_string()),
        ("myhostname", "relay.bench.test".to_owned()),
        ("mydestination", String::new()),
        ("alias_maps", String::new()),
        ("alias_database", String::new()),
        ("inet_protocols", "ipv4".to_owned()),
    ];
    settings.extend(tuned.iter().map(|(name, value)| (*name, (*value).to_owned())));
    // Taken out where the package sets them: a value that is given twice is a warning, and when postlogd has a warning of its
    // own before anybody reads its socket, it waits for itself.
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let others = |line: &&str| !settings.iter().any(|(name, _)| *name == key(line));
    let theirs: Vec<_> = read("main.cf")?.lines().filter(others).map(str::to_owned).collect();
    let ours = settings.iter().map(|(name, value)| format!("{name} = {value}"));
    write(&config.join("main.cf"), &(theirs.into_iter().chain(ours).collect::<Vec<_>>().join("\n") + "\n"))?;
    let master: Vec<_> = read("master.cf")?.lines().filter_map(service).collect();
    write(&config.join("master.cf"), &(master.join("\n") + "\n"))?;
    let mut start = cgroup::inside(Command::new(PROGRAM).arg("-c").arg(&config).arg("start"));
    let output = start.output().map_err(|error| format!("{PROGRAM}: {error}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(None) } else { Err(format!("{PROGRAM}: {}", words.trim())) }
}

/// A line of master.cf: out of the chroot, and the SMTP door at our place.
fn service(line: &str) -> Option<String> {
    if line.starts_with('#') || line.starts_with(char::is_whitespace) || line.is_empty() {
        return Some(line.to_owned());
    }
    let mut fields: Vec<_> = line.split_ascii_whitespace().map(str::to_owned).collect();
    let chroot = fields.get_mut(4)?;
    *chroot = "n".to_owned();
    if fields[0] == "smtp" && fields[1] == "inet" {
        fields[0] = format!("{}:{}", DOOR.0, DOOR.1);
    }
    Some(fields.join(" "))
}
