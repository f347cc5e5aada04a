//! AUTH through the real listener, among clients of other people: who knows a password may relay.

use crate::client::Client;
use crate::guarded::{SecureClient, guarded, passwd, pem, smtps_addr};
use crate::house::House;
use crate::tools::{run, run_fed, skipped, tool};
use crate::wait::{SOON, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// "ann", and a wrong password.
const WRONG: &str = "AUTH PLAIN AGFubgBTZXNhbWU=";
/// "ann", "sesame".
const RIGHT: &str = "AUTH PLAIN AGFubgBzZXNhbWU=";

#[test]
fn swaks_authenticates_and_relays() {
    let Some(swaks) = tool("swaks") else { return };
    let (house, _) = guarded();
    let house = house.start();
    let sink = house.good("x.test");
    let server = house.smtp_addr().to_string();
    let swaks = |options: &[&str]| {
        let mut command = Command::new(&swaks);
        command.args([
            "--server",
            &server,
            "--from",
            "a@sender.test",
            "--to",
            "b@x.test",
            "--auth-user",
            "ann",
        ]);
        run(command.args(options))
    };
    for (n, mechanism) in ["PLAIN", "LOGIN"].iter().enumerate() {
        let output = swaks(&["--tls", "--auth", mechanism, "--auth-password", "sesame"]);
        assert!(output.status.success(), "{output:?}");
        let text = sink.wait_for(n + 1, SOON)[n].text().replace("\r\n ", " ");
        assert!(text.contains(" with ESMTPSA (TLSv1.3 TLS_"), "{text}");
    }
    // 28 is swaks's word for a refused authentication; without TLS it is not even offered.
    let wrong = swaks(&["--tls", "--auth", "PLAIN", "--auth-password", "Sesame"]);
    assert!(
        wrong.status.code() == Some(28) && String::from_utf8_lossy(&wrong.stdout).contains("535 5.7.8"),
        "{wrong:?}"
    );
    assert!(!swaks(&["--auth", "PLAIN", "--auth-password", "sesame"]).status.success());
    assert!(!swaks(&["--tls", "--auth", "CRAM-MD5", "--auth-password", "sesame"]).status.success());
    assert_eq!(sink.count(), 2);
}

#[test]
fn gsasl_knows_our_scram() {
    let Some(gsasl) = tool("gsasl") else { return };
    let (house, _) = guarded();
    let house = house.set("auth.plaintext_on_loopback", true).start();
    let server = house.smtp_addr().to_string();
    for (mechanism, password, code) in [
        ("SCRAM-SHA-256", "sesame", 0),
        ("SCRAM-SHA-256", "Sesame", 1),
        ("PLAIN", "sesame", 0),
        ("LOGIN", "sesame", 0),
    ] {
        let mut command = Command::new(&gsasl);
        command.args(["--smtp", "--no-starttls", "--connect", &server, "--mechanism", mechanism]);
        command.args(["--authentication-id", "ann", "--password", password]);
        let output = run_fed(&mut command, "QUIT\n");
        assert_eq!(output.status.code(), Some(code), "{mechanism} {password}: {output:?}");
    }
    assert_eq!(house.log().matches("event=authenticated").count(), 3, "{}", house.log());
}

/// Logs in by STARTTLS and sends a message; `prints` what the library says of a wrong password.
const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, port, port_tls, ca = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
context = ssl.create_default_context(cafile=ca)
context.check_hostname = False
with smtplib.SMTP(host, port) as client:
    client.starttls(context=context)
    client.login('ann', 'sesame')
    client.sendmail('a@sender.test', ['b@x.test'], 'Subject: one\r\n\r\nx\r\n')
with smtplib.SMTP_SSL(host, port_tls, context=context) as client:
    try:
        client.login('ann', 'Sesame')
    except smtplib.SMTPAuthenticationError as error:
        print(error.smtp_code, error.smtp_error)
"#;

/// The same for aiosmtplib.
const AIOSMTPLIB: &str = r#"
import aiosmtplib, asyncio, ssl, sys
host, port, ca = sys.argv[1], int(sys.argv[3]), sys.argv[4]
context = ssl.create_default_context(cafile=ca)
context.check_hostname = False
async def send():
    async with aiosmtplib.SMTP(hostname=host, port=port, use_tls=True, tls_context=context) as client:
        await client.login('ann', 'sesame')
        await client.sendmail('a@sender.test', ['b@x.test'], 'Subject: two\r\n\r\nx\r\n')
asyncio.run(send())
"#;

#[test]
fn python_authenticates_and_relays() {
    let Some(python) = tool("python3") else { return };
    let (house, _) = guarded();
    let house = house.start();
    let sink = house.good("x.test");
    let (addr, tls) = (house.smtp_addr(), smtps_addr(&house));
    let python = |script: &str| {
        let mut command = Command::new(&python);
        command.args([
            "-c",
            script,
            &addr.ip().to_string(),
            &addr.port().to_string(),
            &tls.port().to_string(),
        ]);
        run(command.arg(pem(&house).0))
    };
    let output = python(SMTPLIB);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("535 b'5.7.8"), "{output:?}");
    sink.wait_for(1, SOON);
    if !python("import aiosmtplib").status.success() {
        return skipped("aiosmtplib");
    }
    let output = python(AIOSMTPLIB);
    assert!(output.status.success(), "{output:?}");
    sink.wait_for(2, SOON);
}

#[test]
fn failed_tries_are_slow_counted_and_told_without_the_password() {
    let (house, root) = guarded();
    let house = house.env("RUST_LOG", "debug").start();
    let mut client = SecureClient::connect(&house, &root);
    client.dialogue(&[("EHLO client.test", 250)]);
    for (least, code) in [(500, 535), (1000, 535), (2000, 421)] {
        let began = Instant::now();
        let line = if code == 421 { "AUTH PLAIN AG5vYm9keQBTZXNhbWU=" } else { WRONG };
        let reply = client.ask(line);
        assert_eq!(reply.code, code, "{reply}");
        assert!(began.elapsed() >= Duration::from_millis(least), "{:?}", began.elapsed());
    }
    assert!(client.hear().is_err());
    // The next session of this address goes on where this one ended; who knows the password is not made to wait for it.
    let mut client = SecureClient::connect(&house, &root);
    client.dialogue(&[("EHLO client.test", 250)]);
    let mut other = SecureClient::connect(&house, &root);
    other.dialogue(&[("EHLO client.test", 250), (RIGHT, 235), (RIGHT, 503), ("QUIT", 221)]);
    let began = Instant::now();
    assert_eq!(client.ask("AUTH PLAIN AGEKYgBTZXNhbWU=").code, 535);
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    let log = house.log();
    for words in [
        "user=\"ann\" event=auth-failed",
        "user=\"nobody\"",
        "user=\"a\\nb\"",
        "user=\"ann\" event=authenticated",
    ] {
        assert!(log.contains(words), "{words} is not in {log}");
    }
    for secret in ["sesame", "Sesame", "AGFubgB", "U2VzYW1l"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

#[test]
fn a_client_that_does_not_wait_for_the_answer_holds_no_seat() {
    let (house, root) = guarded();
    let house = house.set("listen.clients", 1).start();
    for _ in 0..4 {
        let mut client = wait_until("the only seat", SOON, || {
            let stream = std::net::TcpStream::connect(smtps_addr(&house)).unwrap();
            let mut client = SecureClient::over(stream, &root).ok()?;
            client.hear().ok().map(|_| client)
        });
        client.dialogue(&[("EHLO client.test", 250)]);
        client.say(&format!("{WRONG}\r\n")).unwrap();
    }
    // They were answered to nobody, and counted all the same.
    wait_until("four failures", SOON, || house.log().matches("event=auth-failed").count() == 4);
}

#[test]
fn auth_in_the_clear_needs_a_setting_and_the_loopback() {
    let (house, _) = guarded();
    let house = house.start();
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    let reply = client.ask(RIGHT).unwrap();
    assert!(reply.code == 538 && reply.text().starts_with("5.7.11"), "{reply}");
    house.terminate();
    house.rewrite("auth.plaintext_on_loopback", true);
    house.start_again();
    let sink = house.good("x.test");
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    assert_eq!(client.ask(RIGHT).unwrap().code, 235);
    client.send("a@sender.test", &["b@x.test"], "Subject: x\n\nx\n").unwrap();
    let text = sink.wait_for(1, SOON)[0].text().replace("\r\n ", " ");
    assert!(text.contains(" with ESMTPA id "), "{text}");
}

#[test]
fn users_come_and_go_while_the_relay_runs() {
    let (house, root) = guarded();
    let house = house.start();
    let file = house.path().join("users");
    let answer = |line: &str| {
        let mut client = SecureClient::connect(&house, &root);
        client.dialogue(&[("EHLO client.test", 250)]);
        client.ask(line).code
    };
    // "bob@x", "pencil".
    let bob = "AUTH PLAIN AGJvYkB4AHBlbmNpbA==";
    assert_eq!(answer(bob), 535);
    assert!(passwd(&file, "bob@x", "pencil").status.success());
    wait_until("bob to be known", SOON, || answer(bob) == 235);
    // A file that is wrong changes nothing.
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "ann:sesame\n").unwrap();
    let line = house.wait_log("the old ones stay in force");
    assert!(line.contains("users:1: a hash begins with") && !line.contains("sesame"), "{line}");
    assert_eq!((answer(bob), answer(RIGHT)), (235, 235));
    // What openssl has made serves as well, and then SCRAM is not offered any more.
    let Some(openssl) = tool("openssl") else { return };
    let hash = run_fed(Command::new(openssl).args(["passwd", "-6", "-stdin"]), "tanstaaf\n");
    let hash = String::from_utf8(hash.stdout).unwrap();
    std::fs::write(&file, format!("{good}tim:{hash}")).unwrap();
    wait_until("tim to be known", SOON, || answer("AUTH PLAIN AHRpbQB0YW5zdGFhZg==") == 235);
    assert_eq!((answer(RIGHT), answer("AUTH SCRAM-SHA-256")), (235, 504));
}

#[test]
fn passwd_keeps_the_file_whole_and_to_itself() {
    let house = House::new();
    let file = house.path().join("users");
    let said = passwd(&file, "ann", "one");
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("ann added"), "{said:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&file).unwrap();
    assert!(first.starts_with("ann:SCRAM-SHA-256$100000:") && first.lines().count() == 1, "{first}");
    assert!(passwd(&file, "bob", "two").status.success());
    assert!(passwd(&file, "ann", "three").status.success());
    let second = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = second.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert!(lines == ["ann", "bob"] && !second.contains(first.trim_end()), "{second}");
    // What cannot be is refused, and the file stays as it was.
    for (name, password) in [("a:b", "x"), ("", "x"), ("#ann", "x"), ("ann", ""), ("ann", "a\tb")] {
        let said = passwd(&file, name, password);
        assert_eq!(said.status.code(), Some(65), "{name}: {said:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second);
    let delete = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendoff"));
        run(command.args(["passwd", "--delete", "--file"]).arg(&file).arg(name)).status.code()
    };
    assert_eq!((delete("ann"), delete("ann")), (Some(0), Some(65)));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("bob:"));
    let left: Vec<_> =
        std::fs::read_dir(house.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
}
