//! A value that is made from files, and made anew when they change: by a signal, or because somebody looks.
//!
//! What cannot be made keeps the old value in force and is said loudly, once for each state of the files.

use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::files::Stamp;

/// Files, and how to make a value from them.
pub trait Source {
    /// What they make.
    type Value;
    /// What that is called in the log.
    const WHAT: &'static str;

    /// The files it is made from.
    fn files(&self) -> Vec<&Path>;

    /// Makes it.
    ///
    /// # Errors
    /// Words that name the file and what is wrong with it.
    fn make(&self) -> Result<Self::Value, String>;
}

/// The value in force, and where it came from.
#[derive(Debug)]
pub struct Kept<S: Source> {
    value: RwLock<Arc<S::Value>>,
    /// Held while files are read, by one thread at a time; never while `value` is asked for.
    source: Mutex<(S, Vec<Stamp>)>,
}

impl<S: Source> Kept<S> {
    /// Makes the first value.
    ///
    /// # Errors
    /// As [`Source::make`].
    pub fn open(source: S) -> Result<Kept<S>, String> {
        let stamps = stamps(&source);
        let value = RwLock::new(Arc::new(source.make()?));
        Ok(Kept { value, source: Mutex::new((source, stamps)) })
    }

    /// The value in force.
    pub fn get(&self) -> Arc<S::Value> {
        Arc::clone(&self.value.read())
    }

    /// The settings were read again: makes the value from `source`, and from now on from there.
    pub fn change(&self, source: S) {
        let mut kept = self.source.lock();
        // Also when it fails: the files may be mended without another signal.
        *kept = (source, Vec::new());
        self.renew(&mut kept);
    }

    /// Makes the value anew if a file has changed since the last time.
    pub fn refresh(&self) {
        let mut kept = self.source.lock();
        if stamps(&kept.0) != kept.1 {
            self.renew(&mut kept);
        }
    }

    fn renew(&self, kept: &mut (S, Vec<Stamp>)) {
        // Taken before the files are read: what changes meanwhile is seen the next time.
        kept.1 = stamps(&kept.0);
        match kept.0.make() {
            Ok(value) => {
                *self.value.write() = Arc::new(value);
                log::info!("{}: read again", S::WHAT);
            }
            Err(error) => {
                log::error!("{}: the old ones stay in force, since the new ones are wrong: {error}", S::WHAT)
            }
        }
    }
}

fn stamps<S: Source>(source: &S) -> Vec<Stamp> {
    source.files().into_iter().map(Stamp::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    struct Number(PathBuf);

    impl Source for Number {
        type Value = u32;
        const WHAT: &'static str = "numbers";

        fn files(&self) -> Vec<&Path> {
            vec![&self.0]
        }

        fn make(&self) -> Result<u32, String> {
            let text = fs::read_to_string(&self.0).map_err(|error| error.to_string())?;
            text.parse().map_err(|_| "no number".to_owned())
        }
    }

    #[test]
    fn what_is_wrong_changes_nothing_until_it_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        assert!(Kept::open(Number(a.clone())).is_err());
        fs::write(&a, "1").unwrap();
        let kept = Kept::open(Number(a.clone())).unwrap();
        kept.refresh();
        assert_eq!(*kept.get(), 1);
        for (text, value) in [("22", 22), ("three", 22), ("4444", 4444)] {
            fs::write(&a, text).unwrap();
            kept.refresh();
            assert_eq!(*kept.get(), value);
        }
        kept.change(Number(b.clone()));
        assert_eq!(*kept.get(), 4444);
        fs::write(&b, "5").unwrap();
        kept.refresh();
        assert_eq!(*kept.get(), 5);
    }
}
