//! Waiting for a fact, never for a time.
//!
//! `wait_until` polls until a fact holds or its limit passes, and then says what it saw last: a time-out that does not
//! say what was there instead cannot be debugged from a log. No other file of these tests sleeps, so a slow test run has
//! one place to look at.

use std::time::{Duration, Instant};

/// Long enough for anything that should happen at once, on a machine that is busy with something else.
pub const SOON: Duration = Duration::from_secs(15);

/// How often a fact is looked at. Short, because the sum of these is what a test run waits for nothing.
const STEP: Duration = Duration::from_millis(5);

/// Something that was looked at: there already, or not yet and why.
pub trait Fact {
    type Value;
    /// The value, or what was seen instead.
    fn seen(self) -> Result<Self::Value, String>;
}

impl<T> Fact for Option<T> {
    type Value = T;
    fn seen(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_string())
    }
}

impl<T> Fact for Result<T, String> {
    type Value = T;
    fn seen(self) -> Result<T, String> {
        self
    }
}

impl Fact for bool {
    type Value = ();
    fn seen(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "false".to_string())
    }
}

/// Looks at `fact` until it holds, at most for `limit`, and gives its value; panics with what it last saw.
///
/// It looks once more after the limit, so that a machine which slept through the whole limit is not a failure.
#[track_caller]
pub fn wait_until<F: Fact>(what: &str, limit: Duration, mut fact: impl FnMut() -> F) -> F::Value {
    let start = Instant::now();
    loop {
        let over = start.elapsed() >= limit;
        match fact().seen() {
            Ok(value) => return value,
            Err(last) if over => panic!("waited {limit:?} for {what}; last saw: {last}"),
            Err(_) => pause(STEP),
        }
    }
}

/// Looks at `fact` for the whole of `span` and panics as soon as it does not hold: for "never more than", "stays".
#[track_caller]
pub fn hold_for<F: Fact>(what: &str, span: Duration, mut fact: impl FnMut() -> F) {
    let start = Instant::now();
    while start.elapsed() < span {
        if let Err(seen) = fact().seen() {
            panic!("{what} held for {:?} of {span:?}; then saw: {seen}", start.elapsed());
        }
        pause(STEP);
    }
}

/// Sleeps. For peers that must be slow and for polling; a test that calls this to wait for the relay is wrong.
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}

#[test]
fn a_fact_that_comes_is_given_back() {
    let mut looks = 0;
    let value = wait_until("the third look", SOON, || {
        looks += 1;
        (looks == 3).then_some(looks)
    });
    assert_eq!(value, 3);
}

#[test]
#[should_panic(expected = "last saw: 7 of 8")]
fn a_time_out_says_what_it_last_saw() {
    wait_until("eight", Duration::from_millis(20), || -> Result<(), String> { Err("7 of 8".to_string()) });
}

#[test]
#[should_panic(expected = "two at most held for")]
fn a_broken_hold_is_told() {
    let mut now = 0;
    hold_for("two at most", SOON, || {
        now += 1;
        now <= 2
    });
}
