//! Looking into a house's queue through its own command: what waits there, recipient by recipient, and waiting until it is
//! as it should be.

use crate::house::House;
use crate::wait::{SOON, wait_until};
use serde_json::Value;

/// Every queued recipient, as `sendoff queue --json` shows it.
#[track_caller]
pub fn recipients(house: &House) -> Vec<Value> {
    let queue = house.json(&["queue", "--limit", "1000"]);
    let messages = queue["queue"].as_array().unwrap().clone();
    messages.iter().flat_map(|message| message["recipients"].as_array().unwrap().clone()).collect()
}

/// Waits until this recipient is queued and as `fact` wants it.
#[track_caller]
pub fn wait_recipient(house: &House, to: &str, what: &str, fact: impl Fn(&Value) -> bool) -> Value {
    wait_until(&format!("{to}: {what}"), SOON, || {
        let all = recipients(house);
        let found = all.iter().find(|recipient| recipient["to"] == to && fact(recipient)).cloned();
        found.ok_or_else(|| format!("{all:#?}\n{}", house.log()))
    })
}

/// Waits until this recipient's last failure has these words in it, and it waits for its next attempt.
#[track_caller]
pub fn wait_last(house: &House, to: &str, words: &str) -> Value {
    wait_recipient(house, to, words, |recipient| {
        rests(recipient) && text(&recipient["last"]["text"]).contains(words)
    })
}

/// True between attempts: what is on its way to the scheduler, or in a session, does not rest yet.
pub fn rests(recipient: &Value) -> bool {
    ["waiting", "resting"].contains(&text(&recipient["state"]))
}

/// Waits until nothing is queued.
#[track_caller]
pub fn wait_empty(house: &House) {
    wait_until("an empty queue", SOON, || {
        let queue = house.queue();
        (queue["messages"] == 0).then_some(()).ok_or_else(|| format!("{queue:#}\n{}", house.log()))
    });
}

/// A text of a document; empty for null.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
