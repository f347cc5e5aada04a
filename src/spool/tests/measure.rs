//! How fast it is. Not a test: `cargo test --release spool::tests::measure -- --ignored --nocapture`.

use super::*;

#[test]
#[ignore = "a measurement"]
fn durable_accepts_and_settlements_a_second() {
    const EACH: usize = 2000;
    let dir = tempfile::tempdir_in(std::env::var_os("SPOOL_DIR").unwrap_or(".".into())).unwrap();
    for threads in [1, 16, 64, 200] {
        let spool = Spool::open(&dir.path().join(threads.to_string()), 256 << 20).unwrap();
        let octets = vec![b'x'; 4096];
        let waits = |work: &(dyn Fn(usize) + Sync)| {
            let start = clock::now();
            let mut waits: Vec<Duration> = std::thread::scope(|scope| {
                let one = |thread: usize| {
                    move || {
                        let timed = |n: usize| {
                            let start = clock::now();
                            work(thread * EACH + n);
                            clock::now() - start
                        };
                        (0..EACH).map(timed).collect::<Vec<_>>()
                    }
                };
                let running: Vec<_> = (0..threads).map(|thread| scope.spawn(one(thread))).collect();
                running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            let took = clock::now() - start;
            waits.sort();
            (
                waits.len() as f64 / took.as_secs_f64(),
                waits[waits.len() / 2],
                waits[waits.len() * 99 / 100],
                waits[waits.len() - 1],
            )
        };
        let accepted = parking_lot::Mutex::new(Vec::new());
        let (rate, p50, p99, most) = waits(&|n| {
            let done = try_accept(&spool, &[&format!("a@d{n}.example")], &octets).unwrap();
            accepted.lock().push(done);
        });
        println!("{threads} threads: {rate:.0} accepts/s, p50 {p50:?}, p99 {p99:?}, most {most:?}");
        let wal = std::fs::metadata(dir.path().join(format!("{threads}/spool.db-wal"))).unwrap().len();
        println!("  log {} MiB, {:?}", wal >> 20, spool.totals().unwrap());
        let (rate, p50, p99, most) = waits(&|_| {
            let accepted = accepted.lock().pop().unwrap();
            let id = accepted.id();
            let (destination, fresh) = accepted.entries().remove(0);
            let lease = spool.claim(id, &destination, fresh).unwrap().unwrap();
            lease.settle(vec![(0, Verdict::Delivered(None))], None, None, LIMIT).unwrap();
        });
        println!("  {rate:.0} settlements/s, p50 {p50:?}, p99 {p99:?}, most {most:?}");
        let wal = std::fs::metadata(dir.path().join(format!("{threads}/spool.db-wal"))).unwrap().len();
        println!("  log {} MiB, {:?}", wal >> 20, spool.totals().unwrap());
    }
}
