//! A password from a terminal, where nothing of it is shown, or one line of standard input.
//!
//! While it is asked for, the terminal sends each key as it is: an interrupt that killed us would leave it mute.

use std::io::{self, IsTerminal, Stdin, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The longest line that is read.
const MOST: usize = 4096;

/// Asks for the password of `name`, twice at a terminal.
///
/// # Errors
/// When it was given up, said in two ways, or cannot be read.
pub(super) fn password(name: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let input = io::stdin();
    if !input.is_terminal() {
        return line(&input, false);
    }
    let _mute = Mute::begin(&input)?;
    let ask = |words: &str| {
        let mut out = io::stderr();
        write!(out, "{words}: ")?;
        out.flush()?;
        let said = line(&input, true);
        writeln!(out)?;
        said
    };
    let first = ask(&format!("Password for {name}"))?;
    let second = ask("The same again")?;
    if *first != *second {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "these were two different ones"));
    }
    Ok(first)
}

/// Octets up to the end of the line, one at a time so that none stays in a buffer of somebody else's.
fn line(input: &Stdin, terminal: bool) -> io::Result<Zeroizing<Vec<u8>>> {
    // As large as it may become: a buffer that grows leaves copies behind.
    let (mut line, mut octet) = (Zeroizing::new(Vec::with_capacity(MOST)), Zeroizing::new([0]));
    while line.len() < MOST {
        match rustix::io::read(input, &mut *octet) {
            Err(rustix::io::Errno::INTR) => continue,
            read => {
                if read? == 0 {
                    break;
                }
            }
        }
        match octet[0] {
            b'\n' => break,
            b'\r' if terminal => break,
            // Control-C and Control-D.
            3 | 4 if terminal => return Err(io::Error::new(io::ErrorKind::Interrupted, "given up")),
            // Backspace, and Control-U.
            8 | 127 if terminal => drop(line.pop()),
            21 if terminal => line.clear(),
            octet => line.push(octet),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// A terminal that shows nothing. Its Drop gives it its voice back.
struct Mute<'a>(&'a Stdin, Termios);

impl<'a> Mute<'a> {
    fn begin(input: &'a Stdin) -> io::Result<Mute<'a>> {
        let before = tcgetattr(input)?;
        let mut mute = before.clone();
        mute.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(input, OptionalActions::Flush, &mute)?;
        Ok(Mute(input, before))
    }
}

impl Drop for Mute<'_> {
    fn drop(&mut self) {
        // A terminal that has gone away needs no voice.
        let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
    }
}
