//! What a part of the torture has found: the table, and whether it is as it must be.

use crate::book::{Book, Count};

/// The findings of one part.
#[derive(Debug)]
pub struct Report {
    name: String,
    count: Count,
    wrong: Vec<String>,
    notes: Vec<String>,
}

impl Report {
    pub fn new(name: &str) -> Report {
        Report { name: name.to_owned(), count: Count::default(), wrong: Vec::new(), notes: Vec::new() }
    }

    /// What must hold.
    pub fn check(&mut self, holds: bool, words: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(words());
        }
    }

    /// What is worth to be told.
    pub fn note(&mut self, words: String) {
        self.notes.push(words);
    }

    /// Takes the count of the book.
    pub fn count(&mut self, book: &Book) {
        self.count = book.count();
    }

    /// The codes that clients were refused with.
    pub fn codes(&self) -> Vec<u16> {
        self.count.refused.keys().copied().collect()
    }

    pub fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.count.is_good()
    }

    /// Prints it.
    pub fn print(&self) {
        let count = &self.count;
        println!("\n{}\n", self.name);
        let line = |name: &str, number: usize| println!("  {name:<44}{number:>9}");
        line("accepted (a client read the 250)", count.accepted);
        line("  of these delivered", count.delivered);
        line("  of these bounced", count.bounced);
        line("  of these LOST", count.lost);
        line("duplicates: in flight at a kill or a fault", count.duplicates_of_kills);
        line("duplicates: a host that did not answer", count.duplicates_of_hosts);
        line("duplicates WITHOUT A CAUSE", count.duplicates_without_cause);
        line("no reply to the client: it broke off", count.unanswered);
        line("  of these taken all the same", count.unanswered_there);
        for (code, number) in &count.refused {
            line(&format!("refused with {code}"), *number);
        }
        line("  of these DELIVERED all the same", count.refused_there);
        line("DAMAGED", count.damaged.len());
        if let (Some(longest), Some(median)) = (count.gaps.last(), count.gaps.get(count.gaps.len() / 2)) {
            let (longest, median) = (longest.as_millis(), median.as_millis());
            println!(
                "  from an arrival to the kill that made two of it: {median} ms (median), {longest} ms at most"
            );
        }
        self.notes.iter().for_each(|words| println!("  {words}"));
        for words in self.wrong.iter().chain(count.named.iter().take(20)).chain(count.damaged.iter().take(5))
        {
            println!("  WRONG: {words}");
        }
    }
}
