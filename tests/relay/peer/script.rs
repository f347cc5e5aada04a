//! A peer that is data: every connection plays the script from its start.
//!
//! The language is in `steps`. A line that is not what the script says it hears ends the connection and is recorded;
//! a `Script` that is dropped with such a mismatch panics, unless the test took it. `recover` makes the same address a
//! good host, so that a test can end with "and is delivered when the host recovers".

use super::conversation;
use super::door::{Counts, Door, End, Guest, Peer};
use super::host::Host;
use super::steps::{Step, parse};
use parking_lot::Mutex;
use socket2::SockRef;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// The script `tests/relay/dialogs/NAME.txt`.
pub fn dialog(name: &str) -> String {
    let dialogs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/relay/dialogs");
    let path = format!("{dialogs}/{name}.txt");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[derive(Debug, Default)]
struct Stage {
    steps: Arc<Vec<Step>>,
    /// Connections of a higher number are served as by a good host.
    hostile: Option<usize>,
    heard: Vec<(usize, String)>,
    data: Vec<Vec<u8>>,
    mismatches: Vec<String>,
}

/// A peer that plays a script.
#[derive(Debug)]
pub struct Script {
    door: Door,
    stage: Arc<Mutex<Stage>>,
    good: Arc<Host>,
}

impl Script {
    /// Listens at `addr`; panics when the text is no script.
    pub fn start(addr: SocketAddr, text: &str) -> Script {
        let stage = Arc::new(Mutex::new(Stage::default()));
        stage.lock().steps = Arc::new(parse(text));
        let good = Arc::new(Host::default());
        let door = {
            let (stage, good) = (stage.clone(), good.clone());
            Door::open(addr, move |guest| visit(&stage, &good, guest))
        };
        Script { door, stage, good }
    }

    /// Later connections play this instead, also after a recovery.
    pub fn swap(&self, text: &str) {
        let mut stage = self.stage.lock();
        stage.steps = Arc::new(parse(text));
        stage.hostile = None;
    }

    /// Later connections are served as by a good host, which is given back for its messages.
    pub fn recover(&self) -> &Host {
        self.recover_after(0)
    }

    /// The connections of a number above `count` are served as by a good host, which is given back for its messages.
    pub fn recover_after(&self, count: usize) -> &Host {
        self.stage.lock().hostile = Some(count);
        &self.good
    }

    /// The good host this peer recovers to.
    pub fn good(&self) -> &Host {
        &self.good
    }

    /// The lines heard by `hear`, each with the number of its connection.
    pub fn heard(&self) -> Vec<(usize, String)> {
        self.stage.lock().heard.clone()
    }

    /// What each `hear-data` has read, without the final dot and otherwise as on the wire.
    pub fn data(&self) -> Vec<Vec<u8>> {
        self.stage.lock().data.clone()
    }

    /// What was not as the script says, so far; and forgets it.
    pub fn take_mismatches(&self) -> Vec<String> {
        std::mem::take(&mut self.stage.lock().mismatches)
    }
}

impl Peer for Script {
    fn addr(&self) -> SocketAddr {
        self.door.addr()
    }
    fn counts(&self) -> Counts {
        self.door.counts()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let mismatches = self.take_mismatches();
        if !mismatches.is_empty() && !std::thread::panicking() {
            panic!("the relay did not follow the script: {mismatches:#?}");
        }
        self.good.verdict();
    }
}

fn visit(stage: &Mutex<Stage>, good: &Host, guest: &Guest) -> End {
    let (steps, hostile) = {
        let stage = stage.lock();
        (stage.steps.clone(), stage.hostile)
    };
    if hostile.is_some_and(|count| guest.number > count) {
        return conversation::serve(good, guest);
    }
    let mut play = Play { stage, guest, reader: BufReader::new(guest.stream()) };
    match play.run(&steps) {
        Ok(end) | Err(end) => end,
    }
}

struct Play<'a> {
    stage: &'a Mutex<Stage>,
    guest: &'a Guest,
    reader: BufReader<&'a TcpStream>,
}

impl Play<'_> {
    fn run(&mut self, steps: &[Step]) -> Result<End, End> {
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            at += 1;
            match step {
                Step::Say(bytes) => self.say(bytes)?,
                Step::Hear(start) => self.hear(start)?,
                Step::HearData => self.hear_data()?,
                Step::HearBytes(count) => self.reader.read_exact(&mut vec![0; *count])?,
                Step::Pause(span) => self.pause(*span)?,
                Step::Drip(gap, line) => self.drip(*gap, line)?,
                Step::DripForever(gap, line) => loop {
                    self.drip(*gap, line)?;
                },
                Step::Endless(line) => self.flood(usize::MAX, line)?,
                Step::Flood(count, line) => self.flood(*count, line)?,
                Step::Silence => {
                    self.guest.wait_hang_up(None);
                    return Ok(End::Theirs);
                }
                Step::Mute => {
                    std::io::copy(&mut self.reader, &mut std::io::sink())?;
                    return Ok(End::Theirs);
                }
                Step::Close => return Ok(End::Ours),
                Step::Reset => {
                    // Closing with a linger of zero sends RST in place of FIN.
                    SockRef::from(self.guest.stream()).set_linger(Some(Duration::ZERO))?;
                    return Ok(End::Ours);
                }
                Step::RepeatFrom(place) => at = *place,
            }
        }
        Ok(End::Ours)
    }

    fn say(&self, bytes: &[u8]) -> Result<(), End> {
        Ok(self.guest.stream().write_all(bytes)?)
    }

    fn hear(&mut self, start: &str) -> Result<(), End> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Err(End::Theirs);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_string();
        let mut stage = self.stage.lock();
        stage.heard.push((self.guest.number, line.clone()));
        if line.to_uppercase().starts_with(start) {
            return Ok(());
        }
        let number = self.guest.number;
        let what = format!("connection {number}: heard {line:?}, not {start}");
        stage.mismatches.push(what);
        Err(End::Ours)
    }

    fn hear_data(&mut self) -> Result<(), End> {
        let mut data = Vec::new();
        loop {
            if self.reader.read_until(b'\n', &mut data)? == 0 {
                return Err(End::Theirs);
            }
            if data == b".\r\n" || data.ends_with(b"\r\n.\r\n") {
                data.truncate(data.len() - 3);
                self.stage.lock().data.push(data);
                return Ok(());
            }
        }
    }

    /// Also notices a close of the other side, which a sleep would not.
    fn pause(&self, span: Duration) -> Result<(), End> {
        if self.guest.wait_hang_up(Some(span)) {
            return Err(End::Theirs);
        }
        Ok(())
    }

    fn drip(&self, gap: Duration, line: &[u8]) -> Result<(), End> {
        for byte in line {
            self.pause(gap)?;
            self.say(&[*byte])?;
        }
        Ok(())
    }

    /// In large writes: a peer that floods does not do it a line at a time.
    fn flood(&self, count: usize, line: &[u8]) -> Result<(), End> {
        let at_once = (65536 / line.len()).clamp(1, count.max(1));
        let many = line.repeat(at_once);
        let mut left = count;
        while left > 0 {
            let lines = left.min(at_once);
            self.say(&many[..lines * line.len()])?;
            left -= lines;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::street::Street;
    use crate::wait::SOON;
    use std::time::Instant;

    fn script(text: &str) -> Script {
        Script::start(Street::new().addr(), text)
    }

    #[test]
    fn a_script_says_and_hears() {
        let script = script(
            "say 220 hi\nhear EHLO\nsay-raw \"250-a\\r\\n250 b\\r\\n\"\nhear DATA\nsay 354 go\nhear-data\n\
             flood 3 250-x\ndrip 1ms 250 ok\nhear\nreset",
        );
        let mut client = Client::greet(script.addr()).unwrap();
        assert_eq!(client.ask("DATA").unwrap().code, 354);
        assert_eq!(client.ask("..a\r\n.").unwrap().lines, ["x", "x", "x", "ok"]);
        client.say("QUIT").unwrap();
        assert!(client.is_closed());
        assert_eq!(script.data(), [b"..a\r\n"]);
        assert_eq!(script.heard()[2], (1, "QUIT".to_string()));
        assert_eq!(script.closed_by_peer(), 0);
    }

    #[test]
    fn a_mismatch_is_recorded_and_ends_the_connection() {
        let script = script("say 220 hi\nhear EHLO\nsay 250 ok");
        let mut client = Client::connect(script.addr()).unwrap();
        client.hear().unwrap();
        client.say("HELO x").unwrap();
        assert!(client.is_closed());
        let mismatches = script.take_mismatches();
        assert!(mismatches[0].contains("heard \"HELO x\""), "{mismatches:?}");
    }

    #[test]
    fn what_never_ends_ends_when_the_other_side_closes() {
        for text in [
            "silence",
            "mute",
            "endless 250-x",
            "drip-forever 1ms 250-x",
            "label a\nsay 250-x\nrepeat-from a",
        ] {
            let script = script(text);
            let mut client = Client::connect(script.addr()).unwrap();
            client.set_limit(Duration::from_millis(100));
            let start = Instant::now();
            assert!(client.hear().is_err());
            assert!(start.elapsed() < SOON, "{text}");
            assert_eq!(script.open_now(), 1, "{text}");
            drop(client);
            script.wait_alone(SOON);
            assert_eq!(script.closed_by_peer(), 1, "{text}");
        }
    }

    #[test]
    fn a_script_recovers_to_a_good_host() {
        let script = script(&dialog("service-unavailable"));
        script.recover_after(1);
        assert!(Client::greet(script.addr()).is_err());
        let mut client = Client::greet(script.addr()).unwrap();
        client.send("", &["b@good.test"], "x").unwrap();
        assert_eq!(script.good().wait_for(1, SOON)[0].connection, 2);
        script.swap("say 220 hi\nsilence");
        assert_eq!(Client::connect(script.addr()).unwrap().hear().unwrap().code, 220);
        assert_eq!(script.recover().count(), 1);
        assert!(Client::greet(script.addr()).is_ok());
    }

    #[test]
    fn every_dialog_is_a_script() {
        let dialogs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/relay/dialogs");
        for file in std::fs::read_dir(dialogs).unwrap() {
            parse(&std::fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
}
