//! The letters that the relay writes itself: who gets them, what they say, and when there is none.

use crate::house::House;
use crate::look::{text, wait_empty, wait_last};
use crate::peer::{Message, Peer, dialog};
use crate::tools::{run, tool};
use crate::wait::{SOON, wait_until};
use serde_json::{Value, json};
use std::process::Command;

const HELLO: &str =
    "From: Jane <jane@sender.test>\nSubject: hello\nMessage-ID: <m@sender.test>\nX-Long: a\n\tb\n\nbody\n";

/// Python's reading of a letter, as one JSON document.
const READER: &str = r#"
import email, email.policy, json, sys
m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
def part(p):
    if p.get_content_type() == 'message/delivery-status':
        return [{k: ' '.join(str(v).split()) for k, v in group.items()} for group in p.get_payload()]
    return p.get_payload(decode=True).decode('latin-1')
print(json.dumps({
    'headers': {k: str(v) for k, v in m.items()},
    'type': m.get_content_type(), 'report': m.get_param('report-type'),
    'types': [p.get_content_type() for p in m.iter_parts()],
    'parts': [part(p) for p in m.iter_parts()],
    'defects': [repr(d) for p in m.walk() for d in p.defects],
}))
"#;

/// A letter as a MIME reader that is not ours reads it; `None`, and loudly, where there is none.
fn read(house: &House, letter: &Message) -> Option<Value> {
    let file = house.path().join("letter");
    std::fs::write(&file, &*letter.data).unwrap();
    let output = run(Command::new(tool("python3")?).args(["-c", READER]).arg(&file));
    assert!(output.status.success(), "{output:?}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_bounce_is_a_report_that_programs_can_read() {
    let house = House::started();
    let (sender, x) = (house.good("sender.test"), house.good("x.test"));
    x.reject_rcpt("nobody@x.test", "550-5.1.1 there is nobody\n550 5.1.1 of this name: 100%s");
    house.ns().nxdomain("gone.test");
    house.submit("jane@sender.test", &["nobody@x.test", "bob@x.test", "b@gone.test"], HELLO).unwrap();
    let letters = sender.wait_for(2, SOON);
    let about = |to: &str| letters.iter().find(|letter| letter.text().contains(to)).unwrap();
    for (to, status, code, remote) in [
        ("nobody@x.test", "5.1.1", "smtp; 550", Some("dns; mx.x.test")),
        ("b@gone.test", "5.1.2", "x-sendoff; ", None),
    ] {
        let letter = about(to);
        assert_eq!((letter.reverse_path.as_str(), &letter.forward_paths[0][..]), ("", "jane@sender.test"));
        let Some(read) = read(&house, letter) else { return };
        assert_eq!((&read["type"], &read["report"]), (&json!("multipart/report"), &json!("delivery-status")));
        assert_eq!(read["types"], json!(["text/plain", "message/delivery-status", "text/rfc822-headers"]));
        assert_eq!(read["defects"], json!([]));
        let headers = &read["headers"];
        assert_eq!(headers["To"], "jane@sender.test");
        assert_eq!(headers["From"], "Mail Delivery System <MAILER-DAEMON@relay.test>");
        assert_eq!(headers["In-Reply-To"], "<m@sender.test>");
        assert_eq!(headers["Auto-Submitted"], "auto-replied");
        let groups = read["parts"][1].as_array().unwrap();
        assert_eq!(groups.len(), 2, "the message, and the one recipient that failed: {groups:#?}");
        assert_eq!(groups[0]["Reporting-MTA"], "dns; relay.test");
        let group = &groups[1];
        assert_eq!(group["Final-Recipient"], format!("rfc822; {to}"));
        assert_eq!((&group["Action"], &group["Status"]), (&json!("failed"), &json!(status)));
        let said = text(&group["Diagnostic-Code"]);
        assert!(said.starts_with(code), "{said}");
        assert_eq!(group["Remote-MTA"].as_str(), remote);
        assert!(group["Last-Attempt-Date"].is_string(), "{group}");
        let person = text(&read["parts"][0]);
        assert!(person.contains(to) && !person.contains("bob@x.test"), "{person}");
        let original = text(&read["parts"][2]);
        assert!(original.starts_with("Received: from ") && original.contains("Subject: hello"), "{original}");
        assert!(original.contains("X-Long: a") && !original.contains("body"), "{original}");
    }
    let words = about("nobody@x.test").text();
    assert!(words.contains("550 5.1.1 of this name: 100%s"), "{words}");
}

#[test]
fn a_bounce_of_a_bounce_is_dropped_and_said() {
    let house = House::started();
    let (sender, x) = (house.good("sender.test"), house.good("x.test"));
    sender.reject_rcpt("gone@sender.test", "550 5.1.1 who?");
    x.reject_rcpt("nobody@x.test", "550 5.1.1 who?");
    for from in ["gone@sender.test", "", "gone@no-such-domain.test"] {
        let before = house.log().matches("a bounce never bounces").count();
        house.submit(from, &["nobody@x.test"], HELLO).unwrap();
        wait_until("the end of it", SOON, || {
            house.log().matches("a bounce never bounces").count() == before + 1
        });
        wait_empty(&house);
    }
    assert_eq!((sender.count(), x.count()), (0, 0));
}

#[test]
fn a_delay_is_told_once_when_that_is_set_and_never_otherwise() {
    for notice in [true, false] {
        let house = House::new().set("retry.site_first", "400ms").set("retry.site_max", "400ms");
        let house = if notice { house.set("bounce.delay_notice", "1s") } else { house }.start();
        let sender = house.good("sender.test");
        let script = house.script(&dialog("service-unavailable"));
        house.domain("x.test", &script);
        house.submit("jane@sender.test", &["b@x.test"], HELLO).unwrap();
        if notice {
            let letter = sender.wait_for(1, SOON).remove(0);
            assert_eq!(letter.reverse_path, "");
            if let Some(read) = read(&house, &letter) {
                let group = &read["parts"][1][1];
                assert_eq!((text(&group["Action"]), &text(&group["Status"])[..2]), ("delayed", "4."));
                assert!(group["Will-Retry-Until"].is_string(), "{group}");
                assert!(text(&group["Diagnostic-Code"]).starts_with("smtp; 421"), "{group}");
            }
        }
        wait_until("three tries", SOON, || script.opened() >= 3);
        script.recover().wait_for(1, SOON);
        wait_empty(&house);
        assert_eq!(sender.count(), usize::from(notice));
    }
}

/// A message that waits for a time of its own is not tried earlier because its reverse-path was told of the delay.
#[test]
fn a_delay_notice_is_no_attempt() {
    let house = House::new().set("bounce.delay_notice", "1s").set("retry.delays", "[\"100s\"]").start();
    let (sender, x) = (house.good("sender.test"), house.good("x.test"));
    x.reject_rcpt("b@x.test", "450 4.2.1 later");
    house.submit("jane@sender.test", &["b@x.test"], HELLO).unwrap();
    sender.wait_for(1, SOON);
    let queued = wait_last(&house, "b@x.test", "450 4.2.1 later");
    assert_eq!((&queued["attempts"], text(&queued["state"])), (&json!(1), "waiting"), "{queued}");
    assert!(queued["next"].as_u64() > Some(60), "{queued}");
}

#[test]
fn a_bounce_waits_for_the_sender_as_all_mail_does() {
    let house = House::new().set("retry.site_first", "200ms").set("retry.site_max", "200ms").start();
    let x = house.good("x.test");
    x.reject_rcpt("nobody@x.test", "550 5.1.1 who?");
    let sender = house.script(&dialog("service-unavailable"));
    house.domain("sender.test", &sender);
    house.submit("jane@sender.test", &["nobody@x.test"], HELLO).unwrap();
    wait_last(&house, "jane@sender.test", "421");
    house.restart();
    assert_eq!(sender.recover().wait_for(1, SOON)[0].reverse_path, "");
    wait_empty(&house);
}
