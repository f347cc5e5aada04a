//! sendmail(1), called as the programs call it that know no other way: cron, mail(1), PHP; and those programs themselves.

use crate::house::House;
use crate::look::{text, wait_last};
use crate::peer::{Message, Sink, dialog};
use crate::process::Process;
use crate::tools::tool;
use crate::wait::{SOON, wait_until};
use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// This program, by another name.
fn named(house: &House, name: &str) -> PathBuf {
    let link = house.path().join(name);
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_sendoff"), &link).unwrap();
    }
    link
}

/// Runs a command with this on standard input; the relay is found by the environment.
#[track_caller]
fn call(house: &House, command: &mut Command, input: &[u8]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("in"), input).unwrap();
    command.env("SENDOFF_CONFIG", house.config_file()).env_remove("NAME");
    command.stdin(File::open(file("in")).unwrap());
    command.stdout(File::create(file("out")).unwrap()).stderr(File::create(file("err")).unwrap());
    let status = Process::start(command).wait_end(&format!("{command:?}"));
    let read = |name| std::fs::read(file(name)).unwrap();
    Output { status, stdout: read("out"), stderr: read("err") }
}

#[track_caller]
fn sendmail(house: &House, args: &[&str], input: &str) -> Output {
    call(house, Command::new(named(house, "sendmail")).args(args), input.as_bytes())
}

#[track_caller]
fn fine(output: &Output) {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

fn last(sink: &Sink, number: usize) -> Message {
    sink.wait_for(number, SOON).remove(number - 1)
}

#[test]
fn a_message_is_taken_as_cron_and_php_write_it() {
    let house = House::started();
    let sink = house.good("x.test");
    fine(&sendmail(
        &house,
        &["-i", "-FCron Daemon", "-oem", "-B8BITMIME", "b@x.test"],
        "Subject: cron\n\n.\n\u{fc}\n",
    ));
    let first = last(&sink, 1);
    assert!(first.text().ends_with("Subject: cron\r\n\r\n.\r\n\u{fc}\r\n"), "{}", first.text());
    assert!(first.header("From").unwrap().starts_with("\"Cron Daemon\" <"), "{}", first.text());
    assert!(first.header("Date").is_some() && first.header("Message-ID").unwrap().ends_with("@relay.test>"));
    let php =
        "To: B <b@x.test>\nCc: c@x.test\nBcc: d@x.test\nSubject: php\nFrom: a@y.test\n\nhi\n.\nnot this\n";
    fine(&sendmail(&house, &["-t", "-f", "bounces@y.test"], php));
    let second = last(&sink, 2);
    assert_eq!(second.reverse_path, "bounces@y.test");
    assert_eq!(second.forward_paths, ["b@x.test", "c@x.test", "d@x.test"]);
    assert!(
        !second.text().contains("d@x.test") && second.text().ends_with("\r\n\r\nhi\r\n"),
        "{}",
        second.text()
    );
    // By its other name, and with the null path.
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendoff"));
    fine(&call(&house, command.args(["sendmail", "-f", "", "-oi", "b@x.test"]), b"Subject: null\n\n"));
    assert_eq!(last(&sink, 3).reverse_path, "");
}

#[test]
fn what_goes_wrong_has_its_code_and_words() {
    let house = House::started();
    for (args, input, code, words) in [
        (&["-Z", "b@x.test"][..], "", 64, "no such option"),
        (&["-bd"], "", 64, "sendoff serve"),
        (&[], "Subject: x\n\n", 64, "no recipients"),
        (&["-t"], "Subject: x\n\n", 65, "no recipients"),
        (&["b@@x.test"], "Subject: x\n\n", 65, "b@@x.test"),
        (&["-f", "a b", "b@x.test"], "Subject: x\n\n", 65, "a b"),
        (&["--config", "/no/such/file", "b@x.test"], "", 66, "no such file"),
    ] {
        let output = sendmail(&house, args, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && said.contains(words), "{args:?}: {output:?}");
    }
    house.kill9();
    for args in [&["b@x.test"][..], &["-bp"], &["-q"]] {
        let output = sendmail(&house, args, "Subject: x\n\n");
        assert_eq!(output.status.code(), Some(75), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Is it running"), "{output:?}");
    }
}

#[test]
fn the_queue_is_shown_and_tried_again() {
    let house = House::new().set("retry.site_first", "100s").set("retry.site_max", "100s").start();
    let mailq = |house: &House| {
        let output = call(house, &mut Command::new(named(house, "mailq")), b"");
        fine(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(mailq(&house), "Mail queue is empty\n");
    let script = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &script);
    house.submit("a@sender.test", &["b@x.test"], "Subject: x\n\n").unwrap();
    wait_last(&house, "b@x.test", "421 4.3.2 not now");
    let (shown, queue) = (mailq(&house), house.queue());
    for words in
        ["-Queue ID-", text(&queue["queue"][0]["id"]), "a@sender.test", "b@x.test", "421 4.3.2 not now"]
    {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    assert!(shown.ends_with(" Kbytes in 1 Request.\n"), "{shown}");
    fine(&sendmail(&house, &["-q"], ""));
    wait_until("a second attempt", SOON, || {
        let queue = house.queue();
        (queue["queue"][0]["recipients"][0]["attempts"] == 2).then_some(()).ok_or(queue.to_string())
    });
    fine(&call(&house, &mut Command::new(named(&house, "newaliases")), b""));
    let verified = sendmail(&house, &["-bv", "b@x.test", "root"], "");
    assert_eq!(
        String::from_utf8_lossy(&verified.stdout),
        "b@x.test: goes to x.test\nroot@relay.test: goes to relay.test\n"
    );
}

/// A house whose listening address its callers know.
fn known() -> House {
    let house = House::new();
    let address = house.addr();
    house.set("listen.smtp", format!("[\"{address}\"]")).start()
}

#[test]
fn smtp_is_spoken_on_standard_input() {
    let house = known();
    let sink = house.good("x.test");
    let said = "EHLO client.test\r\nMAIL FROM:<a@y.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n";
    // All at once would be refused: what follows DATA waits for its 354. So a shell reads as it goes.
    let script = format!(
        "{{ printf '{said}'; until grep -q ^354 out; do sleep 0.05; done; printf 'Subject: bs\\r\\n\\r\\nhi\\r\\n.\\r\\nQUIT\\r\\n'; }} \
         | ./sendmail -bs >out; cat out"
    );
    named(&house, "sendmail");
    std::fs::write(house.path().join("out"), "").unwrap();
    let output = call(&house, Command::new("sh").args(["-c", &script]).current_dir(house.path()), b"");
    let heard = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(heard.starts_with("220 ") && heard.contains("\n221 "), "{output:?}");
    assert!(last(&sink, 1).text().ends_with("\r\n\r\nhi\r\n"));
}

/// Who may not open the operator's door hands mail over as any program on the machine may: by SMTP.
#[test]
fn another_user_sends_mail_too() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can be somebody else");
        return;
    }
    let house = known();
    let sink = house.good("x.test");
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (program, config) = (dir.path().join("sendmail"), dir.path().join("sendoff.toml"));
    std::fs::copy(env!("CARGO_BIN_EXE_sendoff"), &program).unwrap();
    std::fs::copy(house.config_file(), &config).unwrap();
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.args(args).arg("--config").arg(&config).uid(65534).gid(65534).current_dir("/");
        call(&house, &mut command, "Subject: other\n\n.\n\u{fc}\n".as_bytes())
    };
    fine(&run(&["-i", "b@x.test"]));
    let message = last(&sink, 1);
    assert!(message.text().ends_with("\r\n\r\n.\r\n\u{fc}\r\n"), "{}", message.text());
    assert!(message.reverse_path.ends_with("@relay.test"), "{}", message.reverse_path);
    // The queue is nobody's business but the operator's.
    assert_eq!(run(&["-bp"]).status.code(), Some(77));
}

#[test]
fn bsd_mailx_sends_with_it() {
    let Some(mail) = tool("bsd-mailx") else { return };
    let house = House::started();
    let sink = house.good("x.test");
    let rc = house.path().join("mailrc");
    std::fs::write(&rc, format!("set sendmail={}\n", named(&house, "sendmail").display())).unwrap();
    let mut command = Command::new(mail);
    command
        .args(["-s", "from mail", "-c", "c@x.test", "b@x.test"])
        .env("MAILRC", &rc)
        .env("HOME", house.path());
    fine(&call(&house, &mut command, b"hello\n.\nafter\n"));
    let message = last(&sink, 1);
    assert_eq!((message.header("Subject").unwrap().as_str(), message.forward_paths.len()), ("from mail", 2));
}

#[test]
fn s_nail_sends_with_it() {
    let Some(nail) = tool("s-nail") else { return };
    let house = House::started();
    let sink = house.good("x.test");
    let mta = format!("mta={}", named(&house, "sendmail").display());
    let mut command = Command::new(nail);
    command.args(["-:/", "-S", &mta, "-S", "sendwait", "-S", "v15-compat=yes", "-r", "a@y.test"]);
    command.args(["-s", "from s-nail", "b@x.test"]).env("HOME", house.path());
    let output = call(&house, &mut command, b"hello\n");
    assert!(output.status.success(), "{output:?}");
    let message = last(&sink, 1);
    assert_eq!(message.reverse_path, "a@y.test");
    assert_eq!(message.header("Subject").unwrap(), "from s-nail");
}

#[test]
fn php_sends_with_it() {
    let Some(php) = tool("php") else { return };
    let house = House::started();
    let sink = house.good("x.test");
    let path = format!("sendmail_path={} -t -i", named(&house, "sendmail").display());
    let script = "exit(mail('b@x.test', 'from php', \"hello\\n.\\nafter\", \
                  ['From' => 'a@y.test', 'Bcc' => 'c@x.test'], '-fbounce@y.test') ? 0 : 1);";
    let output = call(&house, Command::new(php).args(["-n", "-d", &path, "-r", script]), b"");
    assert!(output.status.success(), "{output:?}");
    let message = last(&sink, 1);
    assert_eq!((message.reverse_path.as_str(), message.forward_paths.len()), ("bounce@y.test", 2));
    assert!(
        message.text().contains("\r\n.\r\nafter") && !message.text().contains("Bcc"),
        "{}",
        message.text()
    );
    // What cannot be handed over is told to the script.
    house.kill9();
    let output = call(&house, Command::new(Path::new("php")).args(["-n", "-d", &path, "-r", script]), b"");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
