//! Each relay's own command to try all its mail now.

use super::{Relay, Running, exim, sendoff};
use crate::cgroup;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// Gives it; the command in words, or why there was none.
pub fn flush(relay: &Relay, running: &Running) -> String {
    let home = |name: &str| running.home.join(name).into_os_string();
    let (program, arguments): (OsString, Vec<OsString>) = match relay {
        Relay::Sendoff => {
            (sendoff::binary(), vec!["retry".into(), "--all".into(), "--spool".into(), home("spool")])
        }
        Relay::Postfix | Relay::PostfixTuned => {
            ("/usr/sbin/postqueue".into(), vec!["-f".into(), "-c".into(), home("config")])
        }
        Relay::Exim => (exim::PROGRAM.into(), vec!["-qqff".into()]),
        Relay::OpenSmtpd | Relay::OpenSmtpdUnsynced => {
            ("/usr/sbin/smtpctl".into(), vec!["schedule".into(), "all".into()])
        }
        Relay::Ceiling | Relay::Extra(..) => return "no command".to_owned(),
    };
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let few = arguments.iter().take(2).map(|argument| argument.to_string_lossy()).collect::<Vec<_>>();
    let shown = format!("{name} {}", few.join(" ").replace(" -c", ""));
    let mut command = cgroup::inside(Command::new(program).args(arguments));
    if *relay == Relay::Exim {
        // This one delivers the queue itself, and is swept away with the rest.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        return match command.spawn() {
            Ok(_) => shown,
            Err(error) => format!("no command: {shown}: {error}"),
        };
    }
    match command.output() {
        Err(error) => format!("no command: {shown}: {error}"),
        Ok(output) if output.status.success() => shown,
        Ok(output) => {
            eprintln!("bench: {shown}: {}", String::from_utf8_lossy(&output.stderr).trim());
            format!("no command: {shown} failed")
        }
    }
}
