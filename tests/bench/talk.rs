//! The good host's half of an SMTP session: bytes in, bytes out, and a word when a message has arrived. No socket, no clock.

use memchr::{memchr, memmem};

/// How much of a message is kept until its end: the header with our mark is in it, whatever a relay puts before.
const HEAD: usize = 8192;

const DOT: &[u8] = b"\r\n.\r\n";

/// One session.
#[derive(Default)]
pub struct Talk {
    /// A command that has not ended yet.
    line: Vec<u8>,
    recipients: Recipients,
    /// The message being taken.
    data: Option<Data>,
}

struct Data {
    head: Vec<u8>,
    /// The last octets: the final dot may be split over two reads. It begins as if a line had just ended.
    tail: Vec<u8>,
}

/// The recipients of one transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recipients {
    /// How many there were.
    pub count: u32,
    /// Which: `r7@` is bit 7, and whoever has no number is bit 0.
    pub which: u64,
}

impl Recipients {
    fn add(&mut self, line: &[u8]) {
        let name =
            memchr(b'<', line).and_then(|at| line.get(at + 1..)).and_then(|name| name.strip_prefix(b"r"));
        let digits = name.unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
        let number =
            digits.fold(0_u32, |sum, digit| sum.wrapping_mul(10).wrapping_add(u32::from(digit - b'0')));
        self.count += 1;
        self.which |= 1 << (number % 64);
    }
}

/// What the host does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Stay,
    /// The client has said QUIT: after what is in `out`, hang up.
    Close,
}

impl Talk {
    /// Hears `bytes` and writes what is answered into `out`. For a message, `arrived` gets its first octets and its recipients,
    /// and says whether the final dot is answered.
    pub fn hear(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        mut arrived: impl FnMut(&[u8], Recipients) -> bool,
    ) -> Next {
        while !bytes.is_empty() {
            if let Some(data) = &mut self.data {
                let Some(end) = data.take(bytes) else { return Next::Stay };
                bytes = &bytes[end..];
                let data = self.data.take();
                let head = data.as_ref().map_or(&[][..], |data| &data.head);
                if arrived(head, std::mem::take(&mut self.recipients)) {
                    out.extend(b"250 2.0.0 taken\r\n");
                }
                continue;
            }
            let Some(end) = memchr(b'\n', bytes) else {
                self.line.extend(bytes);
                return Next::Stay;
            };
            self.line.extend(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            if self.command(&line, out) == Next::Close {
                return Next::Close;
            }
        }
        Next::Stay
    }

    fn command(&mut self, line: &[u8], out: &mut Vec<u8>) -> Next {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply: &[u8] = match verb.as_slice() {
            b"EHLO" => b"250-far.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600\r\n",
            b"RCPT" => {
                self.recipients.add(line);
                b"250 2.1.5 ok\r\n"
            }
            b"DATA" => {
                self.data = Some(Data { head: Vec::new(), tail: b"\r\n".to_vec() });
                b"354 go on\r\n"
            }
            b"QUIT" => {
                out.extend(b"221 2.0.0 bye\r\n");
                return Next::Close;
            }
            b"HELO" | b"MAIL" | b"RSET" | b"NOOP" => {
                self.recipients = Recipients::default();
                b"250 2.0.0 ok\r\n"
            }
            _ => b"500 5.5.1 what?\r\n",
        };
        out.extend(reply);
        Next::Stay
    }
}

impl Data {
    /// Takes what belongs to the message; where the final dot ends in `bytes`, once it is there.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let room = HEAD - self.head.len();
        self.head.extend(&bytes[..bytes.len().min(room)]);
        let kept = self.tail.len();
        self.tail.extend(&bytes[..bytes.len().min(DOT.len() - 1)]);
        if let Some(at) = memmem::find(&self.tail, DOT) {
            return Some(at + DOT.len() - kept);
        }
        if let Some(at) = memmem::find(bytes, DOT) {
            return Some(at + DOT.len());
        }
        if bytes.len() >= DOT.len() {
            self.tail.clear();
            self.tail.extend(&bytes[bytes.len() + 1 - DOT.len()..]);
        } else {
            self.tail.drain(..self.tail.len().saturating_sub(DOT.len() - 1));
        }
        None
    }
}
