//! `sendoff top`, in a real terminal: tmux is its screen and its keyboard.

use crate::house::House;
use crate::look::wait_last;
use crate::peer::dialog;
use crate::tools::{run, tool};
use crate::wait::{SOON, wait_until};
use std::path::PathBuf;
use std::process::Command;

/// A terminal of 80 by 24 with a shell command in it; ended when dropped.
struct Screen {
    tmux: PathBuf,
    socket: PathBuf,
}

impl Screen {
    fn of(tmux: PathBuf, house: &House, command: &str) -> Screen {
        let screen = Screen { tmux, socket: house.path().join("tmux") };
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", command]);
        screen
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output =
            run(Command::new(&self.tmux).arg("-S").arg(&self.socket).args(args).env("TERM", "xterm"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn wait(&self, words: &str) {
        wait_until(&format!("{words:?} on the screen"), SOON, || {
            let shown = self.tmux(&["capture-pane", "-p"]);
            if shown.contains(words) { Ok(()) } else { Err(shown) }
        });
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn top_shows_the_relay_takes_keys_and_gives_the_terminal_back() {
    let Some(tmux) = tool("tmux") else { return };
    let house = House::new().set("retry.site_first", "100s").set("retry.site_max", "100s").start();
    let script = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &script);
    house.submit("a@sender.test", &["b@x.test"], "Subject: x\n\n").unwrap();
    wait_last(&house, "b@x.test", "421 4.3.2 not now");
    let program = env!("CARGO_BIN_EXE_sendoff");
    let top = format!("{program} top --config {}", house.config_file().display());
    let screen = Screen::of(tmux, &house, &format!("{top}; echo ended $?; cat"));
    for words in ["relay.test  1 taken, 0 delivered", "0 of 16", "x.test", "suspect", "q leave"] {
        screen.wait(words);
    }
    screen.press(&["r"]);
    screen.wait("1 message tried now, and what rested");
    // What the row is about: here all mail of x.test.
    screen.press(&["H"]);
    screen.wait("1 message held");
    screen.wait("Kept      1 held");
    screen.press(&["U"]);
    screen.wait("1 message released");
    screen.press(&["Tab", "Tab", "Tab", "Tab"]);
    screen.wait("OUTCOME");
    screen.press(&["Enter"]);
    screen.wait("TEXT          mx.x.test[");
    screen.press(&["q"]);
    // The line after it stands on a screen that is as it was.
    screen.wait("ended 0");
}

#[test]
fn top_without_a_terminal_or_a_relay_says_so() {
    let house = House::started();
    assert_eq!(house.run(&["top"]).status.code(), Some(64));
}

/// Without its terminal it read the end of it for ever, with a whole processor, long after the window was closed.
#[test]
fn top_ends_with_its_terminal() {
    let Some(tmux) = tool("tmux") else { return };
    let house = House::new().start();
    let top = format!("{} top --config {}", env!("CARGO_BIN_EXE_sendoff"), house.config_file().display());
    let of_ours = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines.filter(|line| line.trim_end().ends_with(top.as_str()) && !line.contains("tmux")).count()
    };
    let screen = Screen::of(tmux, &house, &format!("exec {top}"));
    screen.wait("q leave");
    assert_eq!(of_ours(), 1);
    drop(screen);
    wait_until("the end of top", SOON, || match of_ours() {
        0 => Ok(()),
        there => Err(format!("{there} are there")),
    });
}
