//! TLS and AUTH with programs of other people as the far side: OpenSSL, aiosmtpd, Postfix. Where one is not installed, its
//! test says so loudly and passes.

use crate::house::House;
use crate::look::{wait_empty, wait_last};
use crate::peer::Authority;
use crate::process::Process;
use crate::street::Street;
use crate::tools::{FarSide, python_with, tool};
use crate::wait::{SOON, wait_until};
use std::fs::{File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const USER: &str = "relay@smart.test";
const PASSWORD: &str = "open-sesame";

/// A far side on OpenSSL, from `least` to `most`, with these mechanisms; its certificate is for its address.
fn far(house: &House, authority: &Authority, versions: (&str, &str), mechanisms: &[&str]) -> Option<FarSide> {
    let addr = house.addr();
    let (certificate, key) = authority.files(house.path(), &addr.ip().to_string());
    let mut command = Command::new(python_with("aiosmtpd")?);
    command.arg("-u").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/relay/far/secure.py"));
    command.args([addr.ip().to_string(), addr.port().to_string()]).args([&certificate, &key]);
    command.args([versions.0, versions.1, USER, PASSWORD]).args(mechanisms);
    Some(FarSide::start(addr, &mut command))
}

/// A file that only its owner can read.
fn secret(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

#[track_caller]
fn submit(house: &House, to: &str) {
    house.submit("a@sender.test", &[to], "Subject: to a peer\n\nhello\n").unwrap();
}

#[test]
fn openssl_agrees_on_either_version_and_resumes() {
    let house = House::new().set("delivery.messages_per_connection", 1).start();
    let authority = Authority::new();
    for version in ["1.2", "1.3"] {
        let Some(far) = far(&house, &authority, (version, version), &[]) else { return };
        let domain = format!("tls{version}.test");
        house.domain_at(&domain, far.addr());
        for n in 1..=2 {
            submit(&house, &format!("b{n}@{domain}"));
            let reused = if n == 1 { "False" } else { "True" };
            far.wait_output(&format!("MESSAGE b{n}@{domain} TLSv{version} reused={reused}"));
            wait_empty(&house);
        }
        house.wait_log(&format!("tls=TLSv{version} cipher=TLS"));
    }
}

/// What is older than TLS 1.2 is not spoken; where nobody insists, its mail goes in the clear, and the log says why. This
/// far side closes without a word; `openssl s_server`, below, says which version it is about.
#[test]
fn openssl_with_tls_1_1_is_refused() {
    let house = House::new().set("tls.policy.\"strict.test\"", "require").start();
    let Some(far) = far(&house, &Authority::new(), ("1.0", "1.1"), &[]) else { return };
    house.domain_at("lax.test", far.addr());
    house.domain_at("strict.test", far.addr());
    submit(&house, "b@strict.test");
    wait_last(&house, "b@strict.test", "connection ");
    submit(&house, "b@lax.test");
    far.wait_output("MESSAGE b@lax.test clear");
    house.wait_log("tls=no reason=\"the last handshake failed: connection ");
    assert!(!far.output().contains("MESSAGE b@strict.test"));
}

/// `openssl s_server` itself, with TLS from the first byte.
#[test]
fn openssl_s_server_is_met_by_its_version() {
    let Some(openssl) = tool("openssl") else { return };
    let house = House::new();
    let authority = Authority::new();
    let mut servers = Vec::new();
    for (version, words) in [
        ("-tls1_1", "it speaks neither TLS 1.2 nor TLS 1.3"),
        // It has no banner to say.
        ("-tls1_2", "waiting for the banner"),
        ("-tls1_3", "waiting for the banner"),
    ] {
        let addr = Street::new().addr();
        let (certificate, key) = authority.files(house.path(), &addr.ip().to_string());
        let mut command = Command::new(&openssl);
        command.args([
            "s_server",
            "-quiet",
            version,
            "-cipher",
            "ALL:@SECLEVEL=0",
            "-accept",
            &addr.to_string(),
        ]);
        command.arg("-cert").arg(certificate).arg("-key").arg(key);
        servers.push((FarSide::start(addr, &mut command), words));
    }
    let names: Vec<_> = (0..servers.len()).map(|n| format!("s{n}.test")).collect();
    let route = |house: House, (name, (far, _)): (&String, &(FarSide, &str))| {
        house.route(name, format!("smtps://{}", far.addr()))
    };
    let house = names.iter().zip(&servers).fold(house, route).start();
    for (name, (_, words)) in names.iter().zip(&servers) {
        submit(&house, &format!("b@{name}"));
        let text = wait_last(&house, &format!("b@{name}"), "")["why"].to_string();
        assert!(text.contains(words), "{name}: {text}");
    }
}

#[test]
fn aiosmtpd_learns_who_we_are_by_every_mechanism() {
    for (mechanisms, what, used) in [
        (&["LOGIN", "PLAIN", "SCRAM-SHA-256"][..], "password", "SCRAM-SHA-256"),
        (&["LOGIN", "PLAIN"], "password", "PLAIN"),
        (&["LOGIN"], "password", "LOGIN"),
        (&["PLAIN", "XOAUTH2", "OAUTHBEARER"], "token", "OAUTHBEARER"),
        (&["PLAIN", "XOAUTH2"], "token", "XOAUTH2"),
    ] {
        let (house, authority) = (House::new(), Authority::new());
        let Some(far) = far(&house, &authority, ("1.2", "1.3"), mechanisms) else { return };
        let house = known_as(house, &authority, far.addr(), what, PASSWORD).env("RUST_LOG", "debug").start();
        submit(&house, "b@x.test");
        let output = far.wait_output("MESSAGE b@x.test");
        assert!(
            output.contains(&format!("AUTH {used}")) && output.contains(&format!("as {used}")),
            "{output}"
        );
        house.wait_log("trusted=yes reason=\"certificate of [127.");
        keeps_quiet(&house);
    }
}

/// A house that routes x.test to a smart host, and has a secret for it.
fn known_as(house: House, authority: &Authority, addr: SocketAddr, what: &str, proof: &str) -> House {
    let proof = match what {
        "token" => secret(house.path(), "token", &format!("{proof}\n")).display().to_string(),
        _ => proof.to_owned(),
    };
    let line = format!("[{}]:{} {USER} {what} {proof}\n", addr.ip(), addr.port());
    let file = secret(house.path(), "credentials", &line);
    let roots = authority.roots(house.path());
    house
        .route("x.test", format!("smtp://{addr}"))
        .set("delivery.credentials", file.display())
        .set("tls.roots", roots.display())
}

/// No form of the secret is in the log, even when it tells everything else.
#[track_caller]
fn keeps_quiet(house: &House) {
    let log = house.log();
    assert!(log.contains("(secret)") || !log.contains("> AUTH"), "{log}");
    // The ends of a base 64 text depend on its neighbours; the middle does not.
    for form in ["sesame", "b3Blbi1zZXNhbW", "9wZW4tc2VzYW1l", "vcGVuLXNlc2FtZ"] {
        assert!(!log.contains(form), "{form}: {log}");
    }
}

/// Whoever follows a conversation, or holds one to try it out, sees that there was a secret, and not which.
#[test]
fn neither_a_trace_nor_a_probe_tells_a_secret() {
    let (house, authority) = (House::new(), Authority::new());
    let Some(far) = far(&house, &authority, ("1.2", "1.3"), &["PLAIN"]) else { return };
    let house = known_as(house, &authority, far.addr(), "password", PASSWORD).start();
    let file = house.path().join("trace");
    let mut command = house.command(&["trace", "*"]);
    command.stdin(Stdio::null()).stdout(File::create(&file).unwrap());
    let follower = Process::start(&mut command);
    let lines = || std::fs::read_to_string(&file).unwrap();
    wait_until("the trace", SOON, || {
        lines().contains("following everything").then_some(()).ok_or_else(lines)
    });
    submit(&house, "b@x.test");
    far.wait_output("MESSAGE b@x.test");
    wait_until("the end of the session", SOON, || lines().contains("> QUIT").then_some(()).ok_or_else(lines));
    drop(follower);
    let probed = house.run(&["probe", "x.test"]);
    assert!(probed.status.success(), "{probed:?}");
    let probed = String::from_utf8(probed.stdout).unwrap();
    assert!(probed.contains("proof      a certificate for "), "{probed}");
    for shown in [lines(), probed] {
        assert!(shown.contains("> AUTH PLAIN (secret)") && shown.contains("< 235"), "{shown}");
        assert!(shown.contains("tls=TLSv1.3") && !shown.contains("2.7.0"), "{shown}");
        for form in ["sesame", "b3Blbi1zZXNhbW", "9wZW4tc2VzYW1l", "vcGVuLXNlc2FtZ"] {
            assert!(!shown.contains(form), "{form}: {shown}");
        }
    }
}

/// A refusal is the house's to mend: the mail waits with the host's words, and does not bounce.
#[test]
fn aiosmtpd_that_refuses_us_gets_its_mail_when_the_credentials_are_right() {
    let (house, authority) = (House::new(), Authority::new());
    let Some(far) = far(&house, &authority, ("1.2", "1.3"), &["PLAIN"]) else { return };
    let house = known_as(house, &authority, far.addr(), "password", "wrong-sesame");
    let house = house.env("RUST_LOG", "debug").start();
    submit(&house, "b@x.test");
    let last = wait_last(&house, "b@x.test", "535");
    assert_eq!((&last["last"]["phase"], &last["last"]["status"]), (&"auth".into(), &"4.7.8".into()));
    keeps_quiet(&house);
    let line = format!("[{}]:{} {USER} password {PASSWORD}\n", far.addr().ip(), far.addr().port());
    secret(house.path(), "credentials", &line);
    house.hup();
    far.wait_output("MESSAGE b@x.test");
    keeps_quiet(&house);
}

/// Nobody is told who we are in the clear, nor when the host is not proven to be the one that is meant.
#[test]
fn a_secret_is_only_for_a_host_that_is_proven() {
    let (house, authority) = (House::new(), Authority::new());
    let Some(far) = far(&house, &Authority::new(), ("1.2", "1.3"), &["PLAIN"]) else { return };
    let house = known_as(house, &authority, far.addr(), "password", PASSWORD).start();
    submit(&house, "b@x.test");
    wait_last(&house, "b@x.test", "signed by nobody we trust");
    assert!(!far.output().contains("AUTH"), "{}", far.output());

    let house = House::new();
    let plain = house.sink();
    plain.offer("AUTH PLAIN LOGIN");
    let house = known_as(house, &authority, crate::peer::Peer::addr(&plain), "password", PASSWORD);
    let house = house.set("tls.outbound", "off").start();
    submit(&house, "b@x.test");
    wait_last(&house, "b@x.test", "does not offer TLS, which is required");
}

#[test]
fn credentials_that_others_can_read_are_refused_at_the_start() {
    let house = House::new();
    let path = secret(house.path(), "credentials", "smart.test:587 ann password open-sesame\n");
    let house = house.set("delivery.credentials", path.display());
    assert!(house.run(&["check"]).status.success());
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    for command in ["check", "serve"] {
        let output = house.run(&[command]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("chmod 600") && !said.contains("sesame"), "{command}: {said}");
        assert_eq!(output.status.code(), Some(78), "{command}");
    }
}

/// Postfix as a smart host, with its own TLS.
fn postfix(addr: SocketAddr, authority: &Authority, dir: &Path) -> Option<Postfix> {
    let program = tool("postfix")?;
    if !rustix::process::geteuid().is_root() {
        crate::tools::skipped("postfix as root");
        return None;
    }
    let (certificate, key) = authority.files(dir, &addr.ip().to_string());
    for directory in ["config", "queue", "data"] {
        std::fs::create_dir(dir.join(directory)).unwrap();
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let user = passwd.lines().find_map(|line| line.strip_prefix("postfix:x:")).unwrap();
    let uid = user.split(':').next().unwrap().parse().unwrap();
    // Its programs run as their own user, and must find their way.
    std::fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(dir.join("data"), Some(uid), None).unwrap();
    let place = dir.display();
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {place}/queue\ndata_directory = {place}/data\n\
         maillog_file = {place}/log\nmaillog_file_prefixes = {place}\nmyhostname = smart.test\nmydestination =\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nalias_maps =\nalias_database =\n\
         default_transport = discard\nmynetworks = 127.0.0.0/8\nsmtpd_tls_security_level = encrypt\n\
         smtpd_tls_loglevel = 1\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n",
        certificate.display(),
        key.display(),
    );
    let inet = format!("{addr} inet n - n - - smtpd\n");
    let services = [
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "discard unix - - n - - discard",
        "retry unix - - n - - error",
        "anvil unix - - n - 1 anvil",
        "proxymap unix - - n - - proxymap",
        "postlog unix-dgram n - n - 1 postlogd",
    ];
    std::fs::write(dir.join("config/main.cf"), main).unwrap();
    std::fs::write(dir.join("config/master.cf"), inet + &services.join("\n") + "\n").unwrap();
    let config = dir.join("config");
    let mut command = Command::new(&program);
    command.arg("-c").arg(&config).arg("start-fg");
    // What is started is only its script; the rest goes on without it, until it is stopped.
    let running = Postfix { program, config };
    FarSide::start(addr, &mut command);
    Some(running)
}

/// A running Postfix, which is stopped as its operator would.
struct Postfix {
    program: PathBuf,
    config: PathBuf,
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // A test that has failed says why by itself.
        let _ = Command::new(&self.program).arg("-c").arg(&self.config).arg("stop").output();
    }
}

#[test]
fn postfix_takes_our_mail_under_tls() {
    let (house, authority) = (House::new().set("delivery.messages_per_connection", 1), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let addr = house.addr();
    let Some(_postfix) = postfix(addr, &authority, dir.path()) else { return };
    let roots = authority.roots(house.path());
    let house = house.route("x.test", format!("smtp://{addr}")).set("tls.outbound", "verify");
    let house = house.set("tls.roots", roots.display()).start();
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    for n in 1..=2 {
        submit(&house, "b@x.test");
        wait_until("the mail in Postfix's log", SOON, || {
            let sent = log().matches("status=sent").count() == n;
            sent.then_some(()).ok_or_else(|| format!("{}\n{}", log(), house.log()))
        });
        wait_empty(&house);
    }
    let line = house.wait_log("outcome=delivered");
    assert!(line.contains("trusted=yes") && line.contains("tls=TLSv1.3"), "{line}");
    assert!(log().contains("TLS connection established from"), "{}", log());
}
