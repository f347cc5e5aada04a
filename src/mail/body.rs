//! A message's octets: in memory while the budget lasts, on disk otherwise. Read as a stream, so that memory never grows
//! with the size of a message.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many octets of bodies may be kept in memory between acceptance and the first attempt.
#[derive(Debug)]
pub struct MemoryBudget {
    most: usize,
    used: AtomicUsize,
}

impl MemoryBudget {
    /// A budget of `most` octets.
    pub fn new(most: usize) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget { most, used: AtomicUsize::new(0) })
    }

    /// Octets in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A body that stays in memory, with so many octets `beside` it: its envelope, and where it stands.
    ///
    /// # Errors
    /// The octets, when they do not fit in what is left: the body is then read from the spool.
    pub fn keep(self: &Arc<Self>, octets: Vec<u8>, beside: usize) -> Result<Body, Vec<u8>> {
        let size = octets.len().saturating_add(beside);
        let take = |used: usize| used.checked_add(size).filter(|sum| *sum <= self.most);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(octets);
        }
        let held = Held { octets, budget: Some((Arc::clone(self), size)) };
        Ok(Body::Memory(Arc::new(held)))
    }
}

/// Octets, and their share of a budget, given back in Drop.
#[derive(Debug)]
pub struct Held {
    octets: Vec<u8>,
    budget: Option<(Arc<MemoryBudget>, usize)>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((budget, size)) = &self.budget {
            budget.used.fetch_sub(*size, Ordering::Relaxed);
        }
    }
}

/// The octets of a message: headers, empty line, body; CRLF line ends, not stuffed. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Body {
    /// In memory.
    Memory(Arc<Held>),
    /// A file of the spool, and its size in octets.
    File(Arc<File>, u64),
}

impl Body {
    /// A body in memory outside any budget: small ones, read for one attempt.
    pub fn from_octets(octets: Vec<u8>) -> Body {
        Body::Memory(Arc::new(Held { octets, budget: None }))
    }

    /// The size in octets.
    pub fn len(&self) -> u64 {
        match self {
            Body::Memory(held) => held.octets.len() as u64,
            Body::File(_, size) => *size,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it, if it is in memory.
    pub fn octets(&self) -> Option<&[u8]> {
        match self {
            Body::Memory(held) => Some(&held.octets),
            Body::File(..) => None,
        }
    }

    /// A reader from the start. Several may read one body at a time: none moves another's place.
    pub fn reader(&self) -> BodyReader<'_> {
        BodyReader { body: self, at: 0 }
    }
}

/// Reads a body from its start.
#[derive(Debug)]
pub struct BodyReader<'a> {
    body: &'a Body,
    at: u64,
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.body {
            Body::Memory(held) => {
                let rest = usize::try_from(self.at).ok().and_then(|at| held.octets.get(at..)).unwrap_or(&[]);
                let most = rest.len().min(buffer.len());
                buffer[..most].copy_from_slice(&rest[..most]);
                most
            }
            Body::File(file, size) => {
                let left = usize::try_from(size.saturating_sub(self.at)).unwrap_or(usize::MAX);
                let most = left.min(buffer.len());
                let read = std::os::unix::fs::FileExt::read_at(&**file, &mut buffer[..most], self.at)?;
                if read == 0 && most > 0 {
                    // A body that ends early must not be delivered as if it were whole.
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the body file is shorter than the spool says",
                    ));
                }
                read
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_budget_is_given_back_when_the_last_reader_is_gone() {
        let budget = MemoryBudget::new(10);
        let first = budget.keep(vec![0; 4], 2).unwrap();
        assert_eq!(budget.keep(vec![0; 5], 0).err(), Some(vec![0; 5]));
        assert_eq!(budget.keep(vec![0; 3], 2).err(), Some(vec![0; 3]));
        let second = first.clone();
        drop(first);
        assert_eq!(budget.used(), 6);
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_file_and_memory_read_the_same() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello world").unwrap();
        for body in [Body::File(Arc::new(file), 11), Body::from_octets(b"hello world".to_vec())] {
            let (mut a, mut b) = (String::new(), String::new());
            body.reader().read_to_string(&mut a).unwrap();
            body.reader().read_to_string(&mut b).unwrap();
            assert_eq!((a.as_str(), b.as_str(), body.len()), ("hello world", "hello world", 11));
        }
    }

    #[test]
    fn a_file_that_was_cut_is_an_error_not_a_shorter_message() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello").unwrap();
        let body = Body::File(Arc::new(file), 11);
        assert!(body.reader().read_to_end(&mut Vec::new()).is_err());
    }
}
