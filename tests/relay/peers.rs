//! The relay among programs of other people: as far sides, as clients, as nameservers. What they accept is not ours to
//! define. Where one is not installed, its test says so loudly and passes.

use crate::house::House;
use crate::look::{wait_empty, wait_recipient};
use crate::peer::{Peer, Sink};
use crate::street::Street;
use crate::tools::{FarSide, run, tool};
use crate::wait::SOON;
use std::process::Command;

const HELLO: &str = "Subject: to a peer\n\n.a dot\nthe end\n";

#[test]
fn smtp_sink_takes_our_mail() {
    let house = House::started();
    // Without EHLO, without PIPELINING, without 8BITMIME.
    for options in [&[][..], &["-e"], &["-p"], &["-8"], &["-e", "-p", "-8"]] {
        let Some(far) = FarSide::smtp_sink(house.addr(), options) else { return };
        let domain = format!("sink{}.test", options.join(""));
        house.domain_at(&domain, far.addr());
        let to = [format!("b@{domain}"), format!("c@{domain}")];
        house.submit("a@sender.test", &[&to[0], &to[1]], HELLO).unwrap();
        let dump = far.wait_dump("the end");
        assert!(dump.contains(&to[0]) && dump.contains(&to[1]), "{dump}");
        assert!(dump.contains("Received: from client.test"), "{dump}");
    }
    wait_empty(&house);
}

/// smtp-sink's ways to refuse: its option, and in which phase we are refused.
const REFUSALS: &[(&[&str], &str)] = &[
    (&["-r", "RCPT"], "rcpt"),
    (&["-r", "."], "dot"),
    (&["-q", "CONNECT"], "banner"),
    (&["-q", "EHLO"], "ehlo"),
    (&["-Q", "MAIL"], "mail"),
    (&["-q", "."], "dot"),
];

#[test]
fn smtp_sink_that_refuses_is_tried_again() {
    let house = House::new()
        .set("retry.site_first", "200ms")
        .set("retry.site_max", "200ms")
        .set("retry.delays", "[\"200ms\"]")
        .set("delivery.workers", 32)
        .set("timeouts.idle", "100ms")
        .start();
    let mut far = Vec::new();
    for (n, (options, _)) in REFUSALS.iter().enumerate() {
        let Some(sink) = FarSide::smtp_sink(house.addr(), options) else { return };
        house.domain_at(&format!("sink{n}.test"), sink.addr());
        house.submit("a@sender.test", &[&format!("b@sink{n}.test")], HELLO).unwrap();
        far.push(sink);
    }
    for (n, ((options, phase), sink)) in REFUSALS.iter().zip(far).enumerate() {
        let to = format!("b@sink{n}.test");
        let queued = wait_recipient(&house, &to, "a failure", |r| r["last"].is_object());
        assert_eq!(queued["last"]["phase"], *phase, "{options:?}: {queued}");
        let addr = sink.addr();
        drop(sink);
        let Some(good) = FarSide::smtp_sink(addr, &[]) else { return };
        good.wait_dump("the end");
    }
    wait_empty(&house);
}

#[test]
fn aiosmtpd_takes_our_mail() {
    let house = House::started();
    let Some(far) = FarSide::aiosmtpd(house.addr()) else { return };
    house.domain_at("aio.test", far.addr());
    house.submit("a@sender.test", &["b@aio.test", "c@aio.test"], HELLO).unwrap();
    let output = far.wait_output("END MESSAGE");
    for words in ["Subject: to a peer", "the end", "Received: from client.test"] {
        assert!(output.contains(words), "{words:?} is not in {output}");
    }
    wait_empty(&house);
}

#[test]
fn swaks_hands_us_mail() {
    let Some(swaks) = tool("swaks") else { return };
    let house = House::started();
    let sink = house.good("x.test");
    let server = house.smtp_addr().to_string();
    for (n, options) in
        [&["--to", "b@x.test,c@x.test"][..], &["--to", "b@x.test", "--protocol", "SMTP"]].iter().enumerate()
    {
        let mut command = Command::new(&swaks);
        command.args(["--server", &server, "--from", "a@sender.test"]).args(*options);
        let output = run(&mut command);
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("250 2.0.0 queued as "), "{said}");
        sink.wait_for(n + 1, SOON);
    }
    // What is refused is refused to it as well.
    let mut command = Command::new(&swaks);
    command.args(["--server", &server, "--from", "a@sender.test", "--to", "b@@x.test"]);
    assert!(!run(&mut command).status.success());
}

#[test]
fn smtp_source_hands_us_a_flood() {
    let Some(source) = tool("smtp-source") else { return };
    let house = House::started();
    let sink = house.good("x.test");
    let mut command = Command::new(source);
    command.args(["-s", "20", "-m", "200", "-l", "3000", "-f", "a@sender.test", "-t", "b@x.test"]);
    let output = run(command.arg(house.smtp_addr().to_string()));
    assert!(output.status.success(), "{output:?}");
    sink.wait_for(200, SOON * 2);
    wait_empty(&house);
    assert_eq!(sink.count(), 200);
}

/// The domain of a far side and one that there is not, by somebody else's nameserver.
fn delivers_by(house: House, nameserver: &FarSide, sink: &Sink) {
    let house = house.set("dns.servers", format!("[\"{}\"]", nameserver.addr())).start();
    house.submit("a@x.test", &["b@x.test", "b@alias.test", "b@no-such-name.test"], HELLO).unwrap();
    // Two deliveries, and the bounce of the third.
    let messages = sink.wait_for(3, SOON);
    let bounce = messages.iter().find(|message| message.reverse_path.is_empty()).unwrap().text();
    assert!(bounce.contains("Status: 5.1.2\r\n"), "{bounce}");
    wait_empty(&house);
}

#[test]
fn dnsmasq_tells_us_where_mail_goes() {
    let Some(dnsmasq) = tool("dnsmasq") else { return };
    let house = House::new();
    let sink = house.sink();
    let (addr, ip) = (Street::new().addr(), sink.addr().ip());
    let mut command = Command::new(dnsmasq);
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
    ]);
    command.args(["--pid-file=", "--user=", "--group=", "--local=/test/", "--mx-host=x.test,mx.x.test,10"]);
    command.args([format!("--listen-address={}", addr.ip()), format!("--port={}", addr.port())]);
    command.args([format!("--host-record=mx.x.test,{ip}"), "--cname=alias.test,mx.x.test".to_string()]);
    delivers_by(house, &FarSide::start(addr, &mut command), &sink);
}

#[test]
fn unbound_tells_us_where_mail_goes() {
    let Some(unbound) = tool("unbound") else { return };
    let house = House::new();
    let sink = house.sink();
    let (addr, ip) = (Street::new().addr(), sink.addr().ip());
    let file = house.path().join("unbound.conf");
    let config = format!(
        "server:\n interface: {}@{}\n access-control: 127.0.0.0/8 allow\n chroot: \"\"\n username: \"\"\n\
         \x20pidfile: \"\"\n use-syslog: no\n do-daemonize: no\n module-config: \"iterator\"\n num-threads: 1\n\
         \x20local-zone: \"test.\" static\n local-data: \"x.test. MX 10 mx.x.test.\"\n\
         \x20local-data: \"mx.x.test. A {ip}\"\n local-data: \"alias.test. A {ip}\"\n\
         remote-control:\n control-enable: no\n",
        addr.ip(),
        addr.port()
    );
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(unbound);
    command.args(["-d", "-c"]).arg(&file);
    delivers_by(house, &FarSide::start(addr, &mut command), &sink);
}
