//! One test per bug, for ever: those of the product that this one was born from (1999), and those that were found here.

use crate::house::House;
use crate::look::{recipients, text, wait_empty, wait_last};
use crate::peer::{Peer, Sink, dialog};
use crate::strace::Strace;
use crate::tools::{run, tool};
use crate::wait::{SOON, wait_until};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

const HELLO: &str = "Subject: hello\n\nhello\n";

fn mx(house: &House, domain: &str, preference: u16, ip: IpAddr) {
    let IpAddr::V4(ip) = ip else { panic!("{ip}") };
    let name = format!("mx{preference}.{domain}");
    house.ns().mx(domain, preference, &name);
    house.ns().a(&name, ip);
}

/// 1999: once the TCP handshake had succeeded, the next MX was never tried.
#[test]
fn a_host_that_only_shakes_hands_does_not_keep_its_domain_from_its_other_hosts() {
    let house = House::new().set("timeouts.idle", "100ms").set("timeouts.banner", "500ms").start();
    let (hole, good) = (house.blackhole(), house.sink());
    mx(&house, "x.test", 10, hole.addr().ip());
    mx(&house, "x.test", 20, good.addr().ip());
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    good.wait_for(1, SOON);
    hole.wait_alone(SOON);
    wait_until("no slot in use", SOON, || house.connections()["slots"] == 0);
}

/// 1999: with the first MX down, a relay that was the second delivered to itself.
#[test]
fn a_relay_that_is_the_second_mx_does_not_deliver_to_itself() {
    let house = House::new();
    let us = house.addr();
    let house = house
        .set("listen.smtp", format!("[\"{us}\"]"))
        .set("retry.site_first", "200ms")
        .set("retry.site_max", "200ms")
        .start();
    let (first, behind) = (house.script(&dialog("service-unavailable")), house.sink());
    mx(&house, "x.test", 10, first.addr().ip());
    // Under another name than our own: it is the address that tells.
    mx(&house, "x.test", 20, us.ip());
    mx(&house, "x.test", 30, behind.addr().ip());
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    let queued = wait_last(&house, "b@x.test", "421 4.3.2 not now");
    assert_eq!(queued["last"]["phase"], "banner");
    wait_until("a second try", SOON, || first.opened() >= 2);
    assert_eq!(recipients(&house).len(), 1);
    assert_eq!(house.log().matches("event=accepted").count(), 1, "{}", house.log());
    let first = first.recover();
    first.wait_for(1, SOON);
    assert_eq!(behind.opened(), 0, "not to be preferred to ourselves");
    wait_empty(&house);
}

/// 1999: of more than a hundred recipients, those beyond the hundredth were lost.
#[test]
fn every_recipient_beyond_the_hundredth_gets_the_message() {
    let house = House::started();
    let (x, y) = (house.good("x.test"), house.good("y.test"));
    let domain = |n: usize| if n.is_multiple_of(2) { "x" } else { "y" };
    let to: Vec<String> = (0..302).map(|n| format!("u{n:03}@{}.test", domain(n))).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    house.submit("a@sender.test", &to, HELLO).unwrap();
    wait_empty(&house);
    let got = |sink: &Sink| sink.messages().iter().flat_map(|m| m.forward_paths.clone()).collect::<Vec<_>>();
    let mut all = [got(&x), got(&y)].concat();
    all.sort();
    assert_eq!(all, to);
}

/// 1999: a peer that closed right after EHLO left its connection counted, and in the end its domain stood still.
#[test]
fn a_peer_that_closes_right_after_ehlo_leaves_nothing_counted() {
    let house = House::new()
        .set("timeouts.idle", "100ms")
        .set("retry.site_first", "100ms")
        .set("retry.site_max", "100ms")
        .start();
    let peer = house.script("say 220 hi\nhear EHLO\nclose");
    house.domain("x.test", &peer);
    for n in 0..5 {
        house.submit("a@sender.test", &[&format!("b{n}@x.test")], HELLO).unwrap();
    }
    // More often than it may have connections at once.
    wait_until("many tries", SOON, || peer.opened() > 5);
    let last = wait_last(&house, "b0@x.test", "waiting for the reply to EHLO");
    assert_eq!(last["last"]["phase"], "ehlo");
    peer.recover().wait_for(5, SOON);
    wait_empty(&house);
    wait_until("no slot in use", SOON, || house.connections()["slots"] == 0);
}

/// 1999: when every address had failed, the list ran out and the message was never tried again.
#[test]
fn running_out_of_addresses_is_no_end() {
    let house = House::new().set("retry.site_first", "200ms").set("retry.site_max", "200ms").start();
    let peers: Vec<_> = (0..7).map(|_| house.script(&dialog("service-unavailable"))).collect();
    for (n, peer) in peers.iter().enumerate() {
        mx(&house, "x.test", u16::try_from(10 + n).unwrap(), peer.addr().ip());
    }
    mx(&house, "x.test", 5, IpAddr::V4(Ipv4Addr::new(0, 0, 0, 0)));
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    wait_until("a second round", SOON, || peers[0].opened() >= 2);
    assert_eq!(recipients(&house).len(), 1);
    peers[1].recover().wait_for(1, SOON);
    wait_empty(&house);
}

/// 1999: a `%s` in a Subject went through a format function, and ended the service.
#[test]
fn a_percent_sign_is_only_a_percent_sign() {
    const ODD: &str = "%s%s%n%d {} {0} $(reboot) `id` \\ \" ' ;";
    let house = House::started();
    let (sender, x) = (house.good("sender.test"), house.good("x.test"));
    x.reject_rcpt("%s%n@x.test", &format!("550 5.1.1 {ODD}"));
    let message = format!("Subject: {ODD}\n\n{ODD}\n");
    house.submit("%d@sender.test", &["{}@x.test", "%s%n@x.test"], &message).unwrap();
    let came = x.wait_for(1, SOON).remove(0);
    assert_eq!(came.header("Subject").unwrap(), ODD);
    assert_eq!(
        (came.reverse_path.as_str(), &came.forward_paths[..]),
        ("%d@sender.test", &["{}@x.test".to_string()][..])
    );
    let bounce = sender.wait_for(1, SOON).remove(0);
    assert_eq!(bounce.forward_paths, ["%d@sender.test"]);
    assert!(bounce.text().contains(&format!("Subject: {ODD}")), "{}", bounce.text());
    house.wait_log("to=<%s%n@x.test>");
    wait_empty(&house);
}

/// 1999: messages stood in the queue without any status, and nobody could say why they did not leave.
#[test]
fn every_queued_message_can_say_why_not_now() {
    let house = House::new().set("delivery.connections_per_destination", 1).set("timeouts.session", "60s");
    let house = house.set("timeouts.banner", "30s").set("timeouts.patience", "30s");
    let house = house.set("retry.site_first", "100s").set("retry.site_max", "100s").start();
    let (later, hole) = (house.good("later.test"), house.blackhole());
    later.reject_rcpt("b@later.test", "450 4.2.1 later");
    let down = house.script(&dialog("service-unavailable"));
    house.domain("down.test", &down);
    for n in 0..4 {
        house.domain(&format!("hole{n}.test"), &hole);
    }
    house.ns().servfail("servfail.test");
    let domains = ["later", "down", "servfail", "hole0", "hole1", "hole2", "hole3"];
    for domain in domains.iter().chain(&domains) {
        house.submit("a@sender.test", &[&format!("b@{domain}.test")], HELLO).unwrap();
    }
    wait_until("every state", SOON, || {
        let all = recipients(&house);
        for one in &all {
            assert!(!text(&one["state"]).is_empty() && !text(&one["why"]).is_empty(), "{one:#}");
            assert!(one["last"].is_object() || one["attempts"] == 0, "{one:#}");
        }
        let has = |state: &str| all.iter().any(|one| one["state"] == state);
        let seen = ["waiting", "resting", "active", "blocked"].map(has);
        if seen == [true; 4] { Ok(()) } else { Err(format!("{seen:?} in {all:#?}")) }
    });
}

/// Found here: sessions that rested, in case more mail came, kept an address full while other domains of the same host waited
/// for it: a hosting provider got as many domains in two seconds as an address may have connections.
#[test]
fn idle_sessions_make_room_for_other_domains_of_their_host() {
    const DOMAINS: usize = 30;
    let house = House::new().set("timeouts.idle", "9s").start();
    let host = house.sink();
    for n in 0..DOMAINS {
        house.domain(&format!("d{n}.test"), &host);
        house.submit("a@sender.test", &[&format!("b@d{n}.test")], HELLO).unwrap();
    }
    host.wait_for(DOMAINS, SOON);
    assert!(host.most_at_once() <= 2, "{:?}", host.counts());
}

/// Found here: the limit of a session as a whole fell into the middle of a message, after many others over the same session:
/// the host had taken it, we had cut our own line before its reply, and it was sent again.
#[test]
fn the_limit_of_a_session_does_not_fall_into_a_message_that_could_have_had_one_of_its_own() {
    const MESSAGES: usize = 12;
    let house = House::new().set("delivery.connections_per_destination", 1).set("timeouts.session", "3s");
    let house = house.set("timeouts.dot", "3s").start();
    let host = house.good("x.test");
    host.delay(".", std::time::Duration::from_millis(300));
    for n in 0..MESSAGES {
        house.submit("a@sender.test", &[&format!("b{n}@x.test")], HELLO).unwrap();
    }
    host.wait_for(MESSAGES, SOON);
    wait_empty(&house);
    assert!(!house.log().contains("possible duplicate"), "{}", house.log());
    assert_eq!(host.count(), MESSAGES);
}

/// Found here: the operator's door closed while a refused message was still on its way into it, and the command saw a reset in
/// place of the reason.
#[test]
fn a_message_that_is_refused_at_the_door_is_told_why() {
    let house = House::new().set("listen.max_message_size", 1000).start();
    let large = "a line of a message\n".repeat(200_000);
    let output = house.run_with(&["send", "--from", "a@b.test", "--to", "b@x.test"], large.as_bytes());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("1000 are allowed"), "{said}");
}

/// Found here: every connection to the database began with an open and a close of its file, and the close gave back the
/// locks of the others. An operator's `sqlite3` took itself for the last user and removed the log under the running relay;
/// what was accepted from then on was in a file without a name, and a kill lost it.
#[test]
fn an_operator_who_looks_into_the_spool_does_not_take_the_log_away() {
    let Some(sqlite3) = tool("sqlite3") else { return };
    let house = House::new().set("retry.delays", "[\"100s\"]").start();
    let sink = house.good("x.test");
    sink.reply_to("RCPT", "450 4.2.1 later");
    for n in 0..3 {
        let mut command = Command::new(&sqlite3);
        command.arg(house.spool().join("spool.db")).arg("SELECT count(*) FROM messages");
        let looked = run(&mut command);
        assert_eq!(String::from_utf8_lossy(&looked.stdout).trim(), n.to_string(), "{looked:?}");
        let submitted = house.submit("a@sender.test", &[&format!("b{n}@x.test")], HELLO);
        assert_eq!(submitted.unwrap().code, 250);
        wait_last(&house, &format!("b{n}@x.test"), "450 4.2.1 later");
    }
    assert!(house.spool().join("spool.db-wal").exists());
    house.kill9();
    sink.heal();
    house.start_again();
    assert_eq!(recipients(&house).len(), 3);
}

/// Found here: a commit whose sync had failed was rolled back and its client told 451, but it stood whole in the log. After a
/// crash it was taken for committed: refused mail was delivered, or, when it was large, queued without its body file.
#[test]
fn a_message_that_was_refused_for_a_failed_sync_is_not_there_after_a_crash() {
    if tool("strace").is_none() {
        return;
    }
    let large = format!("Subject: large\n\n{}", "0123456789abcdef\n".repeat(10_000));
    for body in [HELLO, &large] {
        let house = House::started();
        let sink = house.good("x.test");
        let log = house.spool().join("spool.db-wal").display().to_string();
        let calls = ["-P", &log, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"];
        let strace = Strace::attach(house.pid(), &calls.map(str::to_string), &house.path().join("strace"));
        let _strace = match strace {
            Ok(strace) => strace,
            Err(reason) => return eprintln!("SKIPPED: {reason}"),
        };
        let refused = house.submit("a@sender.test", &["b@x.test"], body).unwrap_err();
        assert_eq!(refused.code(), 451, "{refused:?}");
        house.wait_log("the spool cannot be written");
        house.kill9();
        house.start_again();
        assert_eq!(recipients(&house).len(), 0);
        assert_eq!(std::fs::read_dir(house.spool().join("body")).unwrap().count(), 0);
        house.submit("a@sender.test", &["c@x.test"], body).unwrap();
        sink.wait_for(1, SOON);
        wait_empty(&house);
        assert_eq!((sink.count(), sink.messages()[0].forward_paths[0].as_str()), (1, "c@x.test"));
    }
}
