//! What Prometheus, a load balancer and a browser are told.

use crate::house::House;
use crate::http::{address, get, samples, say};
use crate::look::{wait_empty, wait_last};
use crate::peer::dialog;
use crate::tools::{FarSide, run, tool};
use crate::wait::{SOON, wait_until};
use std::process::Command;

const HELLO: &str = "Subject: hello\n\nhello\n";

fn house() -> House {
    House::new().set("metrics.listen", "[\"127.0.0.1:0\"]")
}

#[test]
fn what_happens_is_counted_by_outcome_phase_class_and_time() {
    let house = house().set("retry.site_first", "100s").set("retry.site_max", "100s").start();
    let web = address(&house);
    let before = samples(&get(web, "/metrics").body);
    assert_eq!(before["sendoff_messages_accepted_total{source=\"smtp\"}"], 0.0);
    let good = house.good("good.test");
    house.submit("a@sender.test", &["b@good.test"], HELLO).unwrap();
    good.wait_for(1, SOON);
    let hole = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &hole);
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    wait_last(&house, "b@x.test", "421 4.3.2 not now");
    assert_eq!(house.submit("no address", &["b@x.test"], HELLO).unwrap_err().code(), 501);
    let answer = get(web, "/metrics");
    assert!(answer.head.contains("Content-Type: application/openmetrics-text; version=1.0.0"), "{answer:?}");
    let now = wait_until("the counts", SOON, || {
        let now = samples(&get(web, "/metrics").body);
        let settled = now.get("sendoff_sessions{phase=\"idle\"}") == Some(&0.0);
        if settled { Ok(now) } else { Err(format!("{now:#?}")) }
    });
    for (series, value) in [
        ("sendoff_messages_accepted_total{source=\"smtp\"}", 2.0),
        ("sendoff_recipients_total{outcome=\"delivered\",class=\"new\"}", 1.0),
        ("sendoff_recipients_total{outcome=\"deferred\",class=\"new\"}", 1.0),
        ("sendoff_recipients_total{outcome=\"failed\",class=\"suspect\"}", 0.0),
        ("sendoff_failures_total{phase=\"banner\",blame=\"site\"}", 1.0),
        ("sendoff_refusals_total{code=\"501\"}", 1.0),
        ("sendoff_delay_seconds_count", 1.0),
        ("sendoff_delay_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("sendoff_queue_messages", 1.0),
        ("sendoff_queue_entries{state=\"resting\"}", 1.0),
        ("sendoff_queue_entries{state=\"held\"}", 0.0),
        ("sendoff_queue_entries{state=\"suspended\"}", 0.0),
        ("sendoff_quarantined", 0.0),
        ("sendoff_destinations_resting", 1.0),
        ("sendoff_destinations_suspended", 0.0),
        ("sendoff_slots{class=\"new\"}", 0.0),
        ("sendoff_pool_seats", 16.0),
        ("sendoff_sessions{phase=\"banner\"}", 0.0),
        ("sendoff_sessions{phase=\"starttls\"}", 0.0),
        ("sendoff_sessions{phase=\"auth\"}", 0.0),
        ("sendoff_panics_total", 0.0),
        ("sendoff_sessions_cut_total{why=\"overdue\"}", 0.0),
    ] {
        assert_eq!(now.get(series), Some(&value), "{series} in {now:#?}");
    }
    for series in [
        "sendoff_commit_seconds_count",
        "sendoff_commit_seconds_sum",
        "sendoff_spool_operations_total",
        "sendoff_dns_lookups_total{found=\"records\"}",
        "sendoff_process_open_fds",
        "sendoff_process_threads",
        "sendoff_process_resident_memory_bytes",
    ] {
        assert!(now[series] > 0.0, "{series} in {now:#?}");
    }
    assert!(!answer.body.contains(".test"), "a destination's name is no label: {}", answer.body);
}

#[test]
fn slots_in_use_are_gauges() {
    let house = house().set("timeouts.banner", "30s").set("timeouts.session", "60s").start();
    let hole = house.blackhole();
    house.domain("hole.test", &hole);
    house.submit("a@sender.test", &["b@hole.test"], HELLO).unwrap();
    wait_until("a slot", SOON, || {
        let now = samples(&get(address(&house), "/metrics").body);
        let gauge = |series: &str| now[series] == 1.0;
        gauge("sendoff_slots{class=\"new\"}") && gauge("sendoff_sessions{phase=\"banner\"}")
    });
}

/// The spool's writer is kept from its work by somebody who holds the database: it is alive, and answers nobody.
#[test]
fn health_is_said_by_every_part_itself() {
    let house = house().start();
    let web = address(&house);
    let well = get(web, "/healthz");
    let smtp = house.smtp_addr();
    let expected = format!("scheduler: answers\nspool: answers\nlistener {smtp}: answers\n");
    assert_eq!((well.status, well.body), (200, expected));
    let database = rusqlite::Connection::open(house.spool().join("spool.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ill = get(web, "/healthz");
    assert_eq!(ill.status, 503, "{ill:?}");
    assert!(ill.body.contains("scheduler: answers\nspool: the spool: "), "{ill:?}");
    database.execute_batch("ROLLBACK").unwrap();
    wait_until("health", SOON, || get(web, "/healthz").status == 200);
}

#[test]
fn only_what_is_served_is_served() {
    let house = house().start();
    let web = address(&house);
    for (octets, status) in [
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", web.port()), 200),
        ("HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".into(), 200),
        ("GET /spool.db HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".into(), 404),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".into(), 404),
        // A page elsewhere whose name was made to point here.
        ("GET /overview.json HTTP/1.1\r\nHost: rebound.example\r\n\r\n".into(), 421),
        ("POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n\r\nabcd".into(), 405),
        ("EHLO client.test\r\n".into(), 400),
        (format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: {}\r\n", "a".repeat(20_000)), 431),
    ] {
        let answer = say(web, octets.as_bytes());
        assert_eq!(answer.status, status, "{octets:?}: {answer:?}");
        assert!(answer.head.contains("Content-Security-Policy: default-src 'none'"), "{answer:?}");
    }
    assert_eq!(say(web, b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").body, "");
    // By default nothing is served, and never beyond loopback.
    let quiet = House::started();
    let out = std::fs::read_to_string(quiet.path().join("relay.out")).unwrap();
    assert!(!out.contains("http://"), "{out}");
    let open = House::new().set("metrics.listen", "[\"0.0.0.0:0\"]");
    assert_eq!(open.run(&["check"]).status.code(), Some(78));
}

/// Callers that say nothing hold the threads of this door until their deadline, and nothing else.
#[test]
fn silent_callers_stop_neither_mail_nor_the_end() {
    let house = house().start();
    let web = address(&house);
    let silent: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(web).unwrap()).collect();
    let good = house.good("good.test");
    house.submit("a@sender.test", &["b@good.test"], HELLO).unwrap();
    good.wait_for(1, SOON);
    wait_empty(&house);
    assert!(house.terminate().success());
    drop(silent);
}

/// Prometheus itself scrapes us, and is asked what it understood.
#[test]
fn prometheus_takes_what_it_is_given() {
    let Some(prometheus) = tool("prometheus") else { return };
    let house = house().start();
    let good = house.good("good.test");
    house.submit("a@sender.test", &["b@good.test"], HELLO).unwrap();
    good.wait_for(1, SOON);
    wait_empty(&house);
    let (own, file) = (house.addr(), house.path().join("prometheus.yml"));
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: sendoff, static_configs: [{{targets: ['{}']}}]}}]\n",
        address(&house)
    );
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(prometheus);
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--web.listen-address={own}")).arg("--storage.tsdb.path=data");
    let _far = FarSide::start(own, &mut command);
    let ask = |query: &str| -> Result<String, String> {
        let answer = get(own, &format!("/api/v1/query?query={query}")).body;
        // Chunked or not: the JSON is one line of it.
        let json = answer.lines().find(|line| line.starts_with('{')).ok_or("no answer")?;
        let value: serde_json::Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let found = value["data"]["result"][0]["value"][1].as_str();
        found.map(str::to_string).ok_or_else(|| answer.clone())
    };
    for (query, expected) in [
        ("up", "1"),
        ("sum(sendoff_recipients_total)", "1"),
        ("sendoff_pool_seats", "16"),
        ("sendoff_delay_seconds_count", "1"),
    ] {
        let query = query.replace('(', "%28").replace(')', "%29");
        wait_until(&query, SOON, || match ask(&query) {
            Ok(value) if value == expected => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

/// What a hostile host says is shown in a browser as text, and nothing of it is run.
#[test]
fn a_browser_shows_the_page_and_runs_nothing_of_a_hosts() {
    let Some(chromium) = tool("chromium") else { return };
    let house = house().set("retry.site_first", "100s").set("retry.site_max", "100s").start();
    let hostile =
        house.script("say 421 4.3.2 <script>document.title='owned'</script><b id=owned>not now</b>\nclose\n");
    house.domain("x.test", &hostile);
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    wait_last(&house, "b@x.test", "421 4.3.2 <script>");
    let profile = tempfile::tempdir().unwrap();
    let page = format!("http://{}/", address(&house));
    let browse = |what: &str| {
        let mut command = Command::new(&chromium);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]);
        command.args(["--disable-background-networking", "--disable-component-update", "--no-proxy-server"]);
        command.args(["--virtual-time-budget=3000", "--window-size=1280,1000", what]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg(&page);
        run(&mut command)
    };
    let output = browse("--dump-dom");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in
        ["relay.test", "x.test", "&lt;script&gt;document.title='owned'&lt;/script&gt;", "resting", "as of "]
    {
        assert!(shown.contains(words), "{words:?} is not in {shown}\n{output:?}");
    }
    assert!(shown.contains("<title>Sendoff</title>") && !shown.contains("<b id="), "{shown}");
    // To be looked at, by whoever wants to.
    if let Some(file) = std::env::var_os("SENDOFF_SCREENSHOT") {
        browse(&format!("--screenshot={}", std::path::Path::new(&file).display()));
    }
}
