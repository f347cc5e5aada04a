//! TLS on our side, among clients of other people and with certificates that change while the relay runs.

use crate::client::Client;
use crate::guarded::{SecureClient, certify, guarded, pem, smtps_addr, write_secret};
use crate::house::House;
use crate::tools::{run, run_fed, tool};
use crate::wait::{SOON, wait_until};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

/// `openssl s_client`, a greeting and a farewell; what it printed.
fn s_client(openssl: &Path, house: &House, addr: SocketAddr, options: &[&str]) -> Output {
    let mut command = Command::new(openssl);
    command.args(["s_client", "-ign_eof", "-crlf", "-verify_return_error", "-verify_hostname", "relay.test"]);
    command.arg("-CAfile").arg(pem(house).0).args(["-connect", &addr.to_string()]).args(options);
    run_fed(&mut command, "EHLO client.test\nNOOP\nQUIT\n")
}

#[test]
fn openssl_speaks_tls_to_us_at_both_doors() {
    let Some(openssl) = tool("openssl") else { return };
    let (house, _) = guarded();
    let house = house.start();
    for (addr, start) in [(smtps_addr(&house), &[][..]), (house.smtp_addr(), &["-starttls", "smtp"])] {
        for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let output = s_client(&openssl, &house, addr, &[start, &[version]].concat());
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{output:?}");
            for words in [name, "Verification: OK", "250-AUTH SCRAM-SHA-256 PLAIN LOGIN", "221 2.0.0"] {
                assert!(said.contains(words), "{words:?} is not in {said}");
            }
            assert!(!said.contains("250-STARTTLS"), "{said}");
        }
        // What is older is refused, by us: it has been allowed there.
        let old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
        let output = s_client(&openssl, &house, addr, &[start, &old].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("alert"), "{output:?}");
    }
}

#[test]
fn swaks_hands_us_mail_within_tls() {
    let Some(swaks) = tool("swaks") else { return };
    let (house, _) = guarded();
    let house = house.set("listen.relay_from", "[\"127.0.0.0/8\"]").start();
    let sink = house.good("x.test");
    for (n, (addr, option)) in
        [(house.smtp_addr(), "--tls"), (smtps_addr(&house), "--tls-on-connect")].iter().enumerate()
    {
        let mut command = Command::new(&swaks);
        command.args(["--server", &addr.ip().to_string(), "--port", &addr.port().to_string(), option]);
        command.args([
            "--helo",
            "client.test",
            "--from",
            "a@sender.test",
            "--to",
            "b@x.test",
            "--tls-ca-path",
        ]);
        let output = run(command.arg(pem(&house).0));
        assert!(output.status.success(), "{output:?}");
        let messages = sink.wait_for(n + 1, SOON);
        let text = messages[n].text().replace("\r\n ", " ");
        assert!(text.contains("Received: from client.test ([127.0.0.1]) by relay.test"), "{text}");
        assert!(text.contains(" with ESMTPS (TLSv1.3 TLS_"), "{text}");
    }
}

/// CVE-2011-0411, CVE-2021-38371: words in the clear, to be heard as if they had come within TLS.
#[test]
fn nothing_said_in_the_clear_is_heard_within_tls() {
    let (house, root) = guarded();
    let house = house.start();
    for injected in ["RSET\r\n", "EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\n", "R", "\r\n"] {
        // Behind STARTTLS: the session ends, nothing is secured.
        let mut client = Client::greet(house.smtp_addr()).unwrap();
        client.say_raw(format!("STARTTLS\r\n{injected}").as_bytes()).unwrap();
        let reply = client.hear().unwrap();
        assert!(reply.code == 554 && reply.text().starts_with("5.5.0"), "{injected:?}: {reply}");
        assert!(client.is_closed());
        // Behind its reply: it is no handshake.
        let mut client = Client::greet(house.smtp_addr()).unwrap();
        assert_eq!(client.ask("STARTTLS").unwrap().code, 220);
        client.say_raw(injected.as_bytes()).unwrap();
        let stream = client.stream().try_clone().unwrap();
        assert!(SecureClient::over(stream, &root).is_err(), "{injected:?}");
    }
    // What was said before it is forgotten.
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    assert_eq!(client.ask("MAIL FROM:<a@b.test>").unwrap().code, 250);
    assert_eq!(client.ask("STARTTLS").unwrap().code, 220);
    let mut client = SecureClient::over(client.stream().try_clone().unwrap(), &root).unwrap();
    client.dialogue(&[
        ("RCPT TO:<c@d.test>", 503),
        ("AUTH PLAIN AGFubgBzZXNhbWU=", 503),
        ("MAIL FROM:<a@b.test>", 503),
        ("STARTTLS", 503),
        ("EHLO client.test", 250),
        ("MAIL FROM:<a@b.test>", 250),
    ]);
}

#[test]
fn a_new_certificate_is_shown_without_a_restart() {
    let (house, first) = guarded();
    let house = house.start();
    let mut kept = SecureClient::connect(&house, &first);
    assert_eq!(kept.shown(), first);
    let shown = |root| {
        let stream = std::net::TcpStream::connect(smtps_addr(&house)).unwrap();
        SecureClient::over(stream, root).is_ok()
    };
    // Renewed as certbot does it: no signal.
    let second = certify(&house);
    wait_until("the second certificate", SOON, || shown(&second));
    // A key that does not fit, then no certificate at all: said loudly, and the second one stays.
    let (chain, _) = pem(&house);
    let good = std::fs::read_to_string(&chain).unwrap();
    let other = rcgen::generate_simple_self_signed(["relay.test".to_string()]).unwrap();
    for (text, words) in
        [(other.cert.pem(), "this is not the key of"), ("junk".into(), "no certificate in PEM")]
    {
        write_secret(&chain, &text);
        let line = house.wait_log(words);
        assert!(line.contains("ERROR") && line.contains("the old ones stay in force"), "{line}");
        assert!(shown(&second));
    }
    house.hup();
    house.wait_log("the settings have been read again");
    assert!(shown(&second));
    write_secret(&chain, &good);
    let third = certify(&house);
    wait_until("the third certificate", SOON, || shown(&third));
    // Who was there all the time was not disturbed.
    kept.dialogue(&[("EHLO client.test", 250), ("QUIT", 221)]);
}

#[test]
fn a_name_gets_its_own_certificate() {
    let (house, first) = guarded();
    let other = rcgen::generate_simple_self_signed(["other.test".to_string()]).unwrap();
    let (chain, key) = (house.path().join("other.pem"), house.path().join("other.key"));
    write_secret(&chain, &other.cert.pem());
    write_secret(&key, &other.signing_key.serialize_pem());
    let (own_chain, own_key) = pem(&house);
    // The one of another name stands first, so that it is what an unknown name gets.
    let pairs = [(&chain, &key), (&own_chain, &own_key)];
    let pairs =
        pairs.map(|(c, k)| format!("{{ certificate = \"{}\", key = \"{}\" }}", c.display(), k.display()));
    let house = house.set("listen.certificates", format!("[{}]", pairs.join(", "))).start();
    assert_eq!(SecureClient::connect(&house, &first).shown(), first);
    let Some(openssl) = tool("openssl") else { return };
    for (name, subject) in [("other.test", true), ("unknown.test", true), ("relay.test", false)] {
        let addr = smtps_addr(&house).to_string();
        let mut command = Command::new(&openssl);
        command.args(["s_client", "-ign_eof", "-connect", &addr, "-servername", name, "-showcerts"]);
        let output = run_fed(&mut command, "QUIT\n");
        let said = String::from_utf8_lossy(&output.stdout).replace('\n', "");
        let body = other.cert.pem().replace(['\r', '\n'], "");
        assert_eq!(said.contains(&body), subject, "{name}: {said}");
    }
}

#[test]
fn a_key_that_others_can_read_is_none() {
    let (house, _) = guarded();
    let check = house.run(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        check.status.success() && said.contains("chain.pem (to ") && said.contains("users     1"),
        "{check:?}"
    );
    let (_, key) = pem(&house);
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for command in ["check", "serve"] {
        let output = house.run(&[command]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(78) && said.contains("key.pem: others may use it (mode 644)"),
            "{said}"
        );
    }
}
