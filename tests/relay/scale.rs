//! Many messages at once, in small: what `make bench` measures with a million. Counts, pages and memory; no times.

use crate::client::Client;
use crate::house::House;
use crate::look::wait_empty;
use crate::peer::Sink;
use crate::wait::wait_until;
use std::collections::HashSet;
use std::time::Duration;

const MESSAGES: usize = 6000;
const DOMAINS: usize = 1000;
const CLIENTS: usize = 16;
/// What the relay may take for all of this, in octets: four times what it takes.
const MEMORY: u64 = 160 << 20;
const LONG: Duration = Duration::from_secs(60);

/// Octets of resident memory, at the most so far.
fn peak(house: &House) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Sends all messages, some to each domain.
fn send(house: &House) {
    let addr = house.smtp_addr();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut connection = Client::greet(addr).unwrap();
                for n in (client..MESSAGES).step_by(CLIENTS) {
                    let to = format!("m{n}@d{}.x.test", n % DOMAINS);
                    connection.send("", &[&to], "Subject: x\n\nx\n").unwrap();
                }
            });
        }
    });
}

#[test]
fn many_messages_for_many_domains_are_taken_up_paged_and_delivered() {
    let house = House::new()
        .set("delivery.workers", 50)
        .set("retry.site_first", "3s")
        .set("retry.site_max", "3s")
        .set("retry.delays", "[\"3s\"]");
    // Nobody listens there, so every domain rests after its first message.
    let nobody = house.addr();
    (0..DOMAINS).for_each(|n| house.domain_at(&format!("d{n}.x.test"), nobody));
    let house = house.start();
    send(&house);
    assert_eq!(house.queue()["messages"], MESSAGES);
    house.restart();
    let queue = house.queue();
    assert_eq!((&queue["messages"], &queue["recipients"]), (&MESSAGES.into(), &MESSAGES.into()));
    let (mut seen, mut after) = (HashSet::new(), None::<String>);
    loop {
        let mut arguments = vec!["queue", "--limit", "1000"];
        arguments.extend(after.iter().flat_map(|after| ["--after", after]));
        let page = house.json(&arguments);
        let messages = page["queue"].as_array().unwrap();
        assert!(messages.len() <= 1000);
        seen.extend(messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()));
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), MESSAGES, "every message is on one page");
    let sink = Sink::start(nobody);
    house.hup();
    sink.wait_for(MESSAGES, LONG);
    wait_until("an empty queue", LONG, || house.queue()["messages"] == 0);
    wait_empty(&house);
    assert_eq!(sink.count(), MESSAGES, "none twice");
    let peak = peak(&house);
    assert!(peak < MEMORY, "{} MiB", peak >> 20);
}
