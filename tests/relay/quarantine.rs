//! A spool that has been damaged while the relay was away: what is well leaves, what is not is kept, shown, and can be
//! mended; and a database that is damaged as a whole is said, not replaced.

use crate::house::House;
use crate::look::wait_empty;
use crate::peer::dialog;
use crate::wait::{SOON, wait_until};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const HELLO: &str = "Subject: hello\n\nhello\n";

fn sql(house: &House, text: &str) {
    rusqlite::Connection::open(house.spool().join("spool.db")).unwrap().execute_batch(text).unwrap();
}

fn quarantined(house: &House) -> u64 {
    house.queue()["quarantined"].as_u64().unwrap()
}

/// A house whose relay has ended with three messages for x.test, the first with a large body; and the file of that.
fn stopped() -> (House, PathBuf) {
    let house = House::new().set("retry.site_first", "200ms").set("retry.site_max", "200ms").start();
    let script = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &script);
    let large = format!("Subject: large\n\n{}", "0123456789abcdef\n".repeat(10_000));
    for (to, body) in [("large@x.test", large.as_str()), ("path@x.test", HELLO), ("well@x.test", HELLO)] {
        house.submit("a@sender.test", &[to], body).unwrap();
    }
    assert!(house.terminate().success());
    let bodies: Vec<_> = fs::read_dir(house.spool().join("body")).unwrap().collect();
    assert_eq!(bodies.len(), 1);
    let file = bodies[0].as_ref().unwrap().path();
    drop(script);
    (house, file)
}

#[test]
fn damaged_messages_are_put_aside_and_hold_up_nothing() {
    let (house, file) = stopped();
    let host = house.good("x.test");
    let body = fs::read(&file).unwrap();
    fs::write(&file, &body[..body.len() / 2]).unwrap();
    let which = "id = (SELECT message FROM recipients WHERE address = 'path@x.test')";
    sql(&house, &format!("UPDATE messages SET reverse_path = 'no path' WHERE {which}"));
    house.start_again();
    assert_eq!(host.wait_for(1, SOON)[0].forward_paths, ["well@x.test"]);
    wait_empty(&house);
    wait_until("both in quarantine", SOON, || quarantined(&house) == 2);
    let queue = house.queue();
    let reasons: Vec<_> =
        queue["quarantine"].as_array().unwrap().iter().map(|q| q["reason"].clone()).collect();
    let said = |words: &str| reasons.iter().any(|reason| reason.as_str().is_some_and(|r| r.contains(words)));
    assert!(said("octets instead of") && said("no path"), "{queue:#}");
    let only = house.json(&["queue", "--state", "quarantined"]);
    assert_eq!((&only["queue"], &only["quarantine"]), (&Value::Array(Vec::new()), &queue["quarantine"]));
    assert_eq!(only["quarantine"][0]["state"], "quarantined");
    let id = only["quarantine"][0]["id"].as_str().unwrap();
    let why = house.json(&["explain", id]);
    let why = &why["destinations"][0];
    assert!(
        why["state"] == "quarantined" && why["why"].as_str().unwrap().contains("cannot be read"),
        "{why}"
    );
    let told = house.run(&["explain", id]);
    assert!(
        String::from_utf8_lossy(&told.stdout).starts_with(&format!("{id}\n  state     quarantined\n")),
        "{told:?}"
    );
    for (args, words) in [(["show", id], "is in quarantine"), (["hold", id], "is in quarantine")] {
        let output = house.run(&[&["queue"][..], &args].concat());
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && said.contains(words), "{output:?}");
    }
    let text = String::from_utf8(house.run(&["queue"]).stdout).unwrap();
    assert!(text.contains("The queue is empty.\nIn quarantine, not delivered until it is mended:"), "{text}");
    assert_eq!(house.log().matches("is put into quarantine").count(), 2, "{}", house.log());
    house.restart();
    assert_eq!((quarantined(&house), &house.queue()["messages"]), (2, &Value::from(0)));
    house.wait_log("2 messages with 2 recipients are in quarantine");
    // As the README says.
    assert!(house.terminate().success());
    fs::write(&file, body).unwrap();
    sql(&house, &format!("UPDATE messages SET reverse_path = '' WHERE {which}; DELETE FROM quarantine;"));
    house.start_again();
    host.wait_for(3, SOON);
    wait_empty(&house);
    assert_eq!(quarantined(&house), 0);
}

#[test]
fn a_damaged_database_is_said_and_left_as_it_is() {
    let (house, file) = stopped();
    let database = house.spool().join("spool.db");
    let whole = fs::read(&database).unwrap();
    let mut header = whole.clone();
    header[..16].fill(b'#');
    // Every page but the first, which holds the schema.
    let mut pages = whole.clone();
    pages[4096..].fill(0x5a);
    for (what, octets) in
        [("header", header), ("pages", pages), ("cut", whole[..5000].to_vec()), ("empty", vec![])]
    {
        fs::write(&database, &octets).unwrap();
        let output = house.run(&["serve"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(73), "{what}: {said}");
        assert!(said.contains("the spool is damaged, and has been left as it is"), "{what}: {said}");
        assert!(fs::read(&database).unwrap() == octets && file.exists(), "{what}: it was changed");
    }
    fs::write(&database, whole).unwrap();
    let host = house.good("x.test");
    house.start_again();
    host.wait_for(3, SOON);
}
