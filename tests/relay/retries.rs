//! What could not leave now leaves later: a message's own back-off, a destination's rest, and the end of patience in every
//! state a message can be in.

use crate::house::House;
use crate::look::{recipients, rests, text, wait_empty, wait_last, wait_recipient};
use crate::peer::{Peer, dialog};
use crate::wait::{SOON, wait_until};

const HELLO: &str = "Subject: hello\n\nhello\n";

#[track_caller]
fn submit(house: &House, to: &str) {
    house.submit("a@sender.test", &[to], HELLO).unwrap();
}

#[test]
fn a_message_backs_off_by_its_schedule_and_others_do_not_wait_for_it() {
    let house = House::new().set("retry.delays", "[\"1s\", \"1s\", \"100s\"]").start();
    let sink = house.good("x.test");
    sink.reject_rcpt("later@x.test", "450 4.2.1 later");
    submit(&house, "later@x.test");
    wait_recipient(&house, "later@x.test", "one attempt", |r| rests(r) && r["attempts"] == 1);
    for n in 1..=5 {
        submit(&house, &format!("good{n}@x.test"));
        sink.wait_for(n, SOON);
    }
    let third = wait_recipient(&house, "later@x.test", "three attempts", |r| rests(r) && r["attempts"] == 3);
    assert_eq!(text(&third["state"]), "waiting");
    let next = third["next"].as_u64().unwrap();
    assert!((80..=100).contains(&next), "{third}");
    assert_eq!(text(&third["last"]["status"]), "4.2.1");
    let host = text(&third["last"]["host"]);
    assert!(host.starts_with("mx.x.test[127."), "{third}");
}

#[test]
fn a_deferred_message_is_delivered_in_the_end() {
    let house = House::new()
        .set("retry.delays", "[\"100ms\"]")
        .set("retry.site_first", "200ms")
        .set("retry.site_max", "200ms")
        .start();
    for (n, verb) in ["MAIL", "RCPT", "DATA", "."].iter().enumerate() {
        let sink = house.good(&format!("x{n}.test"));
        sink.reply_next(verb, "451 4.3.0 later");
        sink.reply_next(verb, "452 4.3.1 still later");
        submit(&house, &format!("b@x{n}.test"));
        let message = sink.wait_for(1, SOON).remove(0);
        assert_eq!(message.forward_paths.len(), 1, "{verb}");
        let lines = house.log();
        let about = lines.lines().filter(|line| line.contains(&format!("to=<b@x{n}.test>")));
        let outcomes: Vec<_> =
            about.filter_map(|line| line.split("outcome=").nth(1)?.split(' ').next()).collect();
        assert_eq!(outcomes[..2], ["deferred", "deferred"], "{verb}");
    }
    wait_empty(&house);
}

#[test]
fn a_destination_that_fails_as_a_site_is_not_tried_message_by_message() {
    const MESSAGES: usize = 25;
    let house = House::new().set("retry.site_first", "100s").set("retry.site_max", "100s").start();
    let script = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &script);
    submit(&house, "first@x.test");
    wait_last(&house, "first@x.test", "421 4.3.2 not now");
    for n in 0..MESSAGES {
        submit(&house, &format!("b{n}@x.test"));
    }
    wait_until("all of them rest", SOON, || {
        let all = recipients(&house);
        let rest = all.iter().filter(|r| r["state"] == "resting" && r["next"].as_u64() > Some(50)).count();
        (rest == MESSAGES + 1).then_some(()).ok_or_else(|| format!("{all:#?}"))
    });
    let all = recipients(&house);
    assert_eq!(all.iter().filter(|r| r["attempts"] == 0).count(), MESSAGES, "{all:#?}");
    assert_eq!(script.opened(), 1);
    // The rest outlives a restart: a relay that is restarted does not run at a host that is down.
    house.restart();
    submit(&house, "last@x.test");
    wait_recipient(&house, "last@x.test", "resting", |r| r["state"] == "resting");
    assert_eq!(script.opened(), 1);
    // Others are not concerned.
    let good = house.good("good.test");
    submit(&house, "b@good.test");
    good.wait_for(1, SOON);
}

#[test]
fn one_success_wakes_all_that_rest_with_their_destination() {
    const MESSAGES: usize = 25;
    let house = House::new()
        .set("timeouts.banner", "500ms")
        .set("retry.site_first", "200ms")
        .set("retry.site_max", "200ms")
        .start();
    let script = house.script(&dialog("silent-banner"));
    house.domain("x.test", &script);
    for n in 0..MESSAGES {
        submit(&house, &format!("b{n}@x.test"));
    }
    wait_until("a second try", SOON, || script.opened() >= 3);
    // Two sessions at first, one at a time since: never one for each message.
    assert!(script.opened() <= 5 && script.most_at_once() <= 2, "{:?}", script.counts());
    let host = script.recover();
    let messages = host.wait_for(MESSAGES, SOON);
    wait_empty(&house);
    assert_eq!((messages.len(), host.count()), (MESSAGES, MESSAGES));
}

/// How a message waits when its time is over: name, script of its host, what its bounce says of the last failure.
const WAITING: &[(&str, &str, &str)] = &[
    ("refused-again-and-again", "", "450 4.2.1 later"),
    ("resting", "say 421 4.3.2 not now\nclose", "421 4.3.2 not now"),
    ("in-flight", "say 220 hi\nhear EHLO\nmute", "waiting for the reply to EHLO"),
    ("servfail", "", "could not be looked up"),
];

#[test]
fn a_message_expires_in_whatever_state_it_is() {
    let house = House::new()
        .set("delivery.expire_after", "2s")
        .set("retry.site_max", "1s")
        .set("timeouts.ehlo", "3s")
        .start();
    let sender = house.good("sender.test");
    let scripts: Vec<_> = WAITING.iter().map(|(_, script, _)| house.script(script)).collect();
    for ((name, _, _), script) in WAITING.iter().zip(&scripts) {
        house.domain(&format!("{name}.test"), script);
    }
    let deferring = scripts[0].recover();
    deferring.reply_to("RCPT", "450 4.2.1 later");
    house.ns().servfail("servfail.test");
    for (name, ..) in WAITING {
        submit(&house, &format!("b@{name}.test"));
    }
    let bounces = sender.wait_for(WAITING.len(), SOON);
    for (name, _, words) in WAITING {
        let about = format!("b@{name}.test");
        let bounce = bounces.iter().map(|bounce| bounce.text()).find(|bounce| bounce.contains(&about));
        let bounce = bounce.unwrap_or_else(|| panic!("no bounce about {name}"));
        assert!(bounce.contains("Status: 5.4.7\r\n"), "{bounce}");
        let unfolded = bounce.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unfolded.contains(words), "{bounce}");
    }
    wait_empty(&house);
}

#[test]
fn a_message_expires_that_was_never_attempted() {
    let house = House::new()
        .set("delivery.expire_after", "2s")
        .set("retry.site_first", "100s")
        .set("retry.site_max", "100s")
        .start();
    let sender = house.good("sender.test");
    let script = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &script);
    submit(&house, "first@x.test");
    wait_last(&house, "first@x.test", "421 4.3.2 not now");
    submit(&house, "never@x.test");
    let bounces = sender.wait_for(2, SOON);
    let bounce = bounces.iter().map(|bounce| bounce.text()).find(|bounce| bounce.contains("never@x.test"));
    let bounce = bounce.unwrap();
    assert!(
        bounce.contains("Status: 5.4.7\r\n") && bounce.contains("Diagnostic-Code: x-sendoff;"),
        "{bounce}"
    );
    assert_eq!(script.opened(), 1);
    wait_empty(&house);
}

#[test]
fn a_message_that_expired_while_the_relay_was_down_bounces_at_the_start() {
    let house = House::new()
        .set("timeouts.connect", "300ms")
        .set("delivery.expire_after", "2s")
        .set("retry.site_first", "2s")
        .start();
    let sender = house.good("sender.test");
    let full = house.full();
    house.domain_at("x.test", full.addr());
    submit(&house, "b@x.test");
    wait_last(&house, "b@x.test", "connecting");
    house.terminate();
    crate::wait::pause(std::time::Duration::from_secs(2));
    house.start_again();
    assert!(sender.wait_for(1, SOON)[0].text().contains("Status: 5.4.7"));
    wait_empty(&house);
}
