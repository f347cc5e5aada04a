//! TLS towards other hosts: with whoever it is by default, falling back where it fails, and not one octet of mail in the
//! clear where it is required.

use crate::house::House;
use crate::look::{wait_empty, wait_last};
use crate::peer::{Authority, Begins, Peer, SecureHost, Trick, demanding, self_signed};
use crate::wait::{SOON, hold_for, wait_until};
use rustls::{HandshakeKind, ServerConfig};
use std::sync::Arc;
use std::time::Duration;

const HELLO: &str = "Subject: hello\n\nhello\n";

/// A host of `domain`, whose MX is `mx.DOMAIN`.
fn host(house: &House, domain: &str, tls: Arc<ServerConfig>, trick: Trick) -> SecureHost {
    let host = SecureHost::start(house.addr(), tls, Begins::Starttls, trick);
    house.domain(domain, &host);
    host
}

fn host_at(house: &House, domain: &str, tls: Arc<ServerConfig>) -> SecureHost {
    host(house, domain, tls, Trick::None)
}

#[track_caller]
fn submit(house: &House, to: &str) {
    house.submit("a@sender.test", &[to], HELLO).unwrap();
}

/// A house that asks for this, with an authority it believes.
fn house(outbound: &str) -> (House, Authority) {
    let authority = Authority::new();
    let house = House::new();
    let roots = authority.roots(house.path());
    (house.set("tls.outbound", outbound).set("tls.roots", roots.display()).start(), authority)
}

/// Nobody holds a slot, and nothing of ours went wrong.
#[track_caller]
fn quiet(house: &House) {
    wait_until("no slot in use", SOON, || {
        let table = house.connections();
        (table["slots"] == 0).then_some(()).ok_or_else(|| table.to_string())
    });
    assert!(!house.log().contains(" ERROR "), "{}", house.log());
}

#[test]
fn tls_is_used_where_it_is_offered_with_whoever_it_is() {
    let house = House::started();
    let host = host(&house, "x.test", self_signed("someone.else"), Trick::None);
    submit(&house, "b@x.test");
    let letter = host.wait_for(1).remove(0);
    assert_eq!((letter.tls, letter.sni.as_deref()), (Some(HandshakeKind::Full), Some("mx.x.test")));
    let line = house.wait_log("outcome=delivered");
    let keys = "tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 trusted=no reason=\"not asked\"";
    assert!(line.contains(keys), "{line}");
    assert_eq!(host.clear(), ["EHLO relay.test", "STARTTLS"]);
    quiet(&house);
}

#[test]
fn sessions_are_resumed() {
    let house = House::new().set("delivery.messages_per_connection", 1).start();
    let host = host(&house, "x.test", self_signed("x"), Trick::None);
    for n in 1..=3 {
        submit(&house, "b@x.test");
        host.wait_for(n);
        quiet(&house);
    }
    let kinds: Vec<_> = host.wait_for(3).into_iter().map(|letter| letter.tls.unwrap()).collect();
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
}

/// Where TLS fails and nobody insists on it, mail goes in the clear: over a new connection, and the next one at once so.
#[test]
fn a_handshake_that_fails_falls_back_to_a_new_connection() {
    let house = House::new().set("delivery.messages_per_connection", 1).start();
    for (domain, trick, why) in [
        ("says.test", Trick::Says("454 4.7.0 no TLS after all\r\n"), "what it said is no TLS"),
        ("closes.test", Trick::Closes, "connection "),
    ] {
        let host = host(&house, domain, self_signed("x"), trick);
        let to = format!("b@{domain}");
        submit(&house, &to);
        assert_eq!(host.wait_for(1)[0].tls, None, "{domain}");
        assert_eq!(host.opened(), 2, "{domain}");
        house.wait_log("trying it again in the clear");
        let line = house.wait_log(&format!("to=<{to}>"));
        assert!(line.contains("tls=no reason=\"the last handshake failed: "), "{line}");
        assert!(line.contains(why), "{line}");
        submit(&house, &to);
        host.wait_for(2);
        assert_eq!(host.opened(), 3, "{domain}: the failure was not remembered");
        assert_eq!(host.most_at_once(), 1, "{domain}");
    }
    assert!(!house.log().contains("outcome=deferred"), "{}", house.log());
    quiet(&house);
}

/// With TLS 1.3 a host judges our side of the handshake when we are done with it, and breaks off behind our EHLO: one that
/// wants a certificate of us never got its mail. Where TLS is required it does not get it in the clear.
#[test]
fn a_host_that_breaks_off_behind_the_handshake_gets_its_mail_in_the_clear() {
    let house = House::started();
    let host = host_at(&house, "x.test", demanding("x"));
    submit(&house, "b@x.test");
    assert_eq!((host.wait_for(1)[0].tls, host.opened()), (None, 2));
    let line = house.wait_log("outcome=delivered");
    assert!(line.contains("tls=no reason=\"the last handshake failed: "), "{line}");
    submit(&house, "c@x.test");
    host.wait_for(2);
    assert!(!host.clear().join(" ").contains("STARTTLS EHLO relay.test STARTTLS"), "{:?}", host.clear());
    quiet(&house);

    let house = House::new().set("tls.outbound", "require").start();
    let host = host_at(&house, "x.test", demanding("x"));
    submit(&house, "b@x.test");
    let last = wait_last(&house, "b@x.test", "CertificateRequired");
    assert_eq!((&last["last"]["phase"], &last["last"]["status"]), (&"starttls".into(), &"4.7.5".into()));
    assert_eq!((host.count(), host.opened()), (0, 1));
}

#[test]
fn a_refusal_of_starttls_costs_no_connection() {
    let house = House::started();
    let host = host(&house, "x.test", self_signed("x"), Trick::Refuses("454 4.7.0 not now"));
    submit(&house, "b@x.test");
    assert_eq!((host.wait_for(1)[0].tls, host.opened()), (None, 1));
    let line = house.wait_log("outcome=delivered");
    assert!(line.contains("tls=no reason=\"refused: 454 4.7.0 not now\""), "{line}");
    let plain = house.good("y.test");
    submit(&house, "b@y.test");
    plain.wait_for(1, SOON);
    house.wait_log("tls=no reason=\"not offered\"");
}

/// A handshake that is never answered, or answered a byte at a time: the session ends at the deadline, the host has failed,
/// and the next try is in the clear. Mail always leaves.
#[test]
fn a_handshake_that_stalls_ends_at_its_deadline_and_the_next_try_is_in_the_clear() {
    let house = House::new().set("timeouts.starttls", "300ms").set("timeouts.session", "60s");
    let house = house.set("retry.site_first", "500ms").start();
    let tricks = [("silent.test", Trick::Silent), ("drips.test", Trick::Drips(Duration::from_millis(20)))];
    let hosts = tricks.map(|(domain, trick)| host(&house, domain, self_signed("x"), trick));
    for ((domain, _), host) in tricks.iter().zip(&hosts) {
        submit(&house, &format!("b@{domain}"));
        let line = house.wait_log(&format!("to=<b@{domain}>"));
        assert!(line.contains("phase=starttls status=4.4.2"), "{line}");
        assert!(line.contains("timed out (time limit of the phase)"), "{line}");
        assert_eq!(host.wait_for(1)[0].tls, None, "{domain}");
        host.wait_alone(SOON);
    }
    wait_empty(&house);
    quiet(&house);
}

/// A host, or something on the way to it, that does not get over the word STARTTLS.
#[test]
fn a_host_that_fails_at_starttls_gets_its_mail_in_the_clear() {
    let house = House::new().set("timeouts.starttls", "300ms").set("retry.site_first", "500ms").start();
    let lead = "say 220 hi\nhear EHLO\nsay-raw \"250-hi\\r\\n250 STARTTLS\\r\\n\"\nhear STARTTLS\n";
    let ways = ["silence", "drip-forever 20ms 220-go", "close", "reset", "endless 220-go", "say hello?"];
    for (n, way) in ways.iter().enumerate() {
        let script = house.script(&format!("{lead}{way}"));
        let domain = format!("way{n}.test");
        house.domain(&domain, &script);
        let good = script.recover_after(1);
        good.offer("STARTTLS");
        submit(&house, &format!("b@{domain}"));
        good.wait_for(1, SOON);
        assert_eq!(script.opened(), 2, "{way}");
        let deferred =
            house.log().matches(&format!("to=<b@{domain}> destination={domain} mx=mx.{domain}")).count();
        // What is silent has failed as a host first; what breaks off is tried again at once.
        assert_eq!(deferred > 1, n < 2, "{way}: {}", house.log());
    }
    wait_empty(&house);
    quiet(&house);
}

/// What somebody puts behind the 220 in the clear is not read as if it had come under TLS; and there is no going on with such
/// a host, in the clear or otherwise.
#[test]
fn plain_text_behind_the_220_is_refused() {
    let house = House::started();
    let host = host(&house, "x.test", self_signed("x"), Trick::Behind("250 forged\r\n"));
    submit(&house, "b@x.test");
    let last = wait_last(&house, "b@x.test", "plain text behind its 220 to STARTTLS");
    assert_eq!(
        (last["last"]["phase"].as_str(), last["last"]["status"].as_str()),
        (Some("starttls"), Some("4.7.5"))
    );
    assert_eq!(host.count(), 0);
    assert_eq!(host.clear().iter().filter(|line| line.starts_with("MAIL")).count(), 0);
    host.trick(Trick::None);
    assert_eq!(host.wait_for(1)[0].tls, Some(HandshakeKind::Full));
}

#[test]
fn no_mail_goes_in_the_clear_where_tls_is_required() {
    let (house, _) = house("require");
    let plain = house.good("plain.test");
    submit(&house, "b@plain.test");
    let last = wait_last(&house, "b@plain.test", "does not offer TLS, which is required");
    assert_eq!(last["last"]["status"], "4.7.4");
    for (domain, trick, status, words) in [
        ("refuses.test", Trick::Refuses("502 5.5.1 what?"), "4.7.4", "502 5.5.1 what?"),
        ("says.test", Trick::Says("what?\r\n"), "4.7.5", "is no TLS"),
        ("closes.test", Trick::Closes, "4.7.5", "connection "),
        ("silent.test", Trick::Silent, "4.4.2", "timed out"),
    ] {
        let host = host(&house, domain, self_signed("x"), trick);
        let to = format!("b@{domain}");
        submit(&house, &to);
        let last = wait_last(&house, &to, words);
        assert_eq!(last["last"]["status"], status, "{domain}: {last}");
        hold_for("no mail in the clear", Duration::from_millis(300), || host.count() == 0);
        // Whoever it is will do, once there is TLS.
        host.trick(Trick::None);
        assert_eq!(host.wait_for(1)[0].tls, Some(HandshakeKind::Full), "{domain}");
        assert!(host.clear().iter().all(|line| !line.starts_with("MAIL")), "{domain}: {:?}", host.clear());
    }
    assert_eq!(plain.count(), 0);
}

#[test]
fn a_certificate_must_be_good_and_for_the_name_where_it_is_verified() {
    let (house, authority) = house("verify");
    for (domain, tls, why) in [
        ("expired.test", authority.expired("mx.expired.test"), "its certificate has expired"),
        ("other.test", authority.host("mx.example.test"), "its certificate is for another name"),
        ("self.test", self_signed("mx.self.test"), "its certificate is signed by nobody we trust"),
        ("stranger.test", Authority::new().host("mx.stranger.test"), "signed by nobody we trust"),
    ] {
        let host = host(&house, domain, tls, Trick::None);
        let to = format!("b@{domain}");
        submit(&house, &to);
        let last = wait_last(&house, &to, why);
        assert_eq!((&last["last"]["phase"], &last["last"]["status"]), (&"starttls".into(), &"4.7.5".into()));
        assert_eq!(host.count(), 0, "{domain}");
    }
    let host = host(&house, "good.test", authority.host("mx.good.test"), Trick::None);
    for n in 1..=2 {
        submit(&house, "b@good.test");
        host.wait_for(n);
        quiet(&house);
    }
    // A worker's stack is small; the path to an authority may be long.
    let deep = host_at(&house, "deep.test", authority.deep("mx.deep.test"));
    submit(&house, "b@deep.test");
    deep.wait_for(1);
    let line = house.wait_log("outcome=delivered");
    assert!(line.contains("trusted=yes reason=\"certificate of mx.good.test\""), "{line}");
}

/// A policy of its own for a next hop, and none in force where a file says so.
#[test]
fn a_policy_is_for_its_next_hop_alone() {
    let authority = Authority::new();
    let house = House::new();
    let roots = authority.roots(house.path());
    let house = house
        .set("tls.roots", roots.display())
        .set("tls.policy.\"strict.test\"", "verify")
        .set("tls.policy.\"*.off.test\"", "off")
        .start();
    let strict = host(&house, "strict.test", self_signed("mx.strict.test"), Trick::None);
    let off = host(&house, "a.off.test", self_signed("x"), Trick::None);
    let lax = host(&house, "lax.test", self_signed("x"), Trick::None);
    ["strict.test", "a.off.test", "lax.test"]
        .iter()
        .for_each(|domain| submit(&house, &format!("b@{domain}")));
    wait_last(&house, "b@strict.test", "signed by nobody we trust");
    assert_eq!(off.wait_for(1)[0].tls, None);
    assert_eq!(lax.wait_for(1)[0].tls, Some(HandshakeKind::Full));
    assert_eq!(strict.count(), 0);
    house.wait_log("tls=no reason=\"off\"");
}

/// A session that was begun with whoever it is, is not resumed where the certificate counts.
#[test]
fn what_was_not_verified_is_not_resumed_as_if_it_were() {
    let authority = Authority::new();
    let house = House::new();
    let roots = authority.roots(house.path());
    let house = house
        .set("tls.roots", roots.display())
        .set("tls.policy.\"strict.test\"", "verify")
        .set("delivery.messages_per_connection", 1)
        .start();
    let host = SecureHost::start(house.addr(), self_signed("mx.x.test"), Begins::Starttls, Trick::None);
    house.domain("x.test", &host);
    house.ns().mx("strict.test", 10, "mx.x.test");
    submit(&house, "b@x.test");
    host.wait_for(1);
    quiet(&house);
    submit(&house, "b@strict.test");
    wait_last(&house, "b@strict.test", "signed by nobody we trust");
    assert_eq!(host.count(), 1);
}

#[test]
fn a_smart_host_may_begin_with_tls() {
    let house = House::new();
    let tls = SecureHost::start(house.addr(), self_signed("x"), Begins::AtOnce, Trick::None);
    let deaf = SecureHost::start(
        house.addr(),
        self_signed("x"),
        Begins::AtOnce,
        Trick::Says("220 in the clear\r\n"),
    );
    let house = house
        .route("x.test", format!("smtps://{}", tls.addr()))
        .route("y.test", format!("smtps://{}", deaf.addr()))
        .start();
    submit(&house, "b@x.test");
    assert_eq!(tls.wait_for(1)[0].tls, Some(HandshakeKind::Full));
    house.wait_log(&format!("destination=smtps://[{}]", tls.addr().ip()));
    submit(&house, "b@y.test");
    let last = wait_last(&house, "b@y.test", "what it said is no TLS");
    assert_eq!(last["last"]["phase"], "starttls");
    assert_eq!((tls.clear(), deaf.count()), (Vec::new(), 0));
}

#[test]
fn the_operator_sees_what_protects_a_session_and_what_protected_an_attempt() {
    let house = House::new().set("timeouts.idle", "8s").start();
    let host = host(&house, "x.test", self_signed("x"), Trick::None);
    submit(&house, "b@x.test");
    host.wait_for(1);
    wait_until("an idle session", SOON, || {
        let table = house.connections();
        let row = &table["connections"][0];
        let tls = row["tls"].as_str().unwrap_or("").starts_with("tls=TLSv1.3 cipher=");
        (tls && row["phase"] == "idle").then_some(()).ok_or_else(|| table.to_string())
    });
    let shown = String::from_utf8(house.run(&["connections"]).stdout).unwrap();
    assert!(shown.contains("TLSv1.3"), "{shown}");
}
