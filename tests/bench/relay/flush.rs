//! Each relay's own command to try all its mail now.

use super::{Relay, Running, sendoff};
use crate::cgroup;
use std::process::Command;

/// Gives it; the command in words, and what it complained of.
pub fn flush(relay: &Relay, running: &Running) -> String {
    let home = |name: &str| running.home.join(name).display().to_string();
    let words: Vec<String> = match relay {
        Relay::Sendoff => {
            let binary = sendoff::binary().to_string_lossy().into_owned();
            vec![binary, "retry".into(), "--all".into(), "--spool".into(), home("spool")]
        }
        Relay::Postfix | Relay::PostfixTuned => {
            vec!["/usr/sbin/postqueue".into(), "-c".into(), home("config"), "-f".into()]
        }
        Relay::Exim => vec![super::exim::PROGRAM.into(), "-qqff".into()],
        Relay::OpenSmtpd => ["/usr/sbin/smtpctl", "schedule", "all"].map(str::to_owned).to_vec(),
        Relay::Ceiling | Relay::Extra(..) => Vec::new(),
    };
    let Some((program, arguments)) = words.split_first() else { return "none".to_owned() };
    let name = program.rsplit('/').next().unwrap_or_default();
    let shown: Vec<_> = [name].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let shown = shown.iter().filter(|word| !word.contains('/')).copied().collect::<Vec<_>>().join(" ");
    // Not waited for: Exim's command delivers the queue itself.
    let mut command = cgroup::inside(Command::new(program).args(arguments));
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let child = command.stderr(std::process::Stdio::piped()).spawn();
    match child {
        Err(error) => format!("none: {shown}: {error}"),
        Ok(mut child) if *relay != Relay::Exim => match child.wait() {
            Ok(status) if status.success() => shown,
            _ => format!("none: {shown} failed"),
        },
        Ok(_) => shown,
    }
}
