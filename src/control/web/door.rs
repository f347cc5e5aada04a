//! The door: sockets, a small fixed pool for each, one request a connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{SockRef, Socket};

use super::exposition::{TYPE, exposition};
use super::health::health;
use super::page::PAGE;
use super::request::{self, Read as Parsed, Request};
use crate::control::Answers;
use crate::metrics::METRICS;
use crate::net::Stream;
use crate::time::{Deadline, clock};

/// What a page may do: run its own script, and ask this relay. Nothing from elsewhere, nothing framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Open doors. Its Drop closes them.
#[derive(Debug)]
pub struct WebDoor {
    listeners: Vec<Arc<TcpListener>>,
    closing: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What is served.
struct House {
    answers: Arc<Answers>,
    /// Where SMTP is spoken: asked for its greeting by `/healthz`.
    smtp: Vec<SocketAddr>,
    closing: Arc<AtomicBool>,
}

/// A response.
struct Response {
    status: u16,
    media: &'static str,
    body: String,
}

impl WebDoor {
    /// The threads that answer at one address.
    const POOL: usize = 4;
    /// How long a caller may take to ask.
    const ASKING: Duration = Duration::from_secs(5);
    /// How long the answer may take to go out.
    const ANSWERING: Duration = Duration::from_secs(10);
    /// How long the end waits for answers that are on their way.
    const CLOSING: Duration = Duration::from_secs(1);

    /// Opens a door at each address; none of them is no error. `smtp` is where the listener listens.
    ///
    /// # Errors
    /// When an address cannot be had.
    pub fn open(
        addresses: &[SocketAddr],
        answers: &Arc<Answers>,
        smtp: &[SocketAddr],
    ) -> io::Result<WebDoor> {
        let closing = Arc::new(AtomicBool::new(false));
        let (answers, smtp) = (Arc::clone(answers), smtp.to_vec());
        let house = Arc::new(House { answers, smtp, closing: Arc::clone(&closing) });
        let mut door = WebDoor { listeners: Vec::new(), closing, threads: Vec::new() };
        for address in addresses {
            let words =
                |error: io::Error| io::Error::new(error.kind(), format!("metrics.listen {address}: {error}"));
            let listener = Arc::new(TcpListener::bind(address).map_err(words)?);
            door.listeners.push(Arc::clone(&listener));
            for n in 0..WebDoor::POOL {
                let (listener, house) = (Arc::clone(&listener), Arc::clone(&house));
                let builder = thread::Builder::new().name(format!("web-{n}")).stack_size(512 << 10);
                door.threads.push(builder.spawn(move || house.serve(&listener))?);
            }
        }
        Ok(door)
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

impl Drop for WebDoor {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        for listener in &self.listeners {
            // A thread in accept is woken by the shutdown of the listening socket.
            if let Err(error) = SockRef::from(&**listener).shutdown(std::net::Shutdown::Both) {
                log::debug!("web: {error}");
            }
        }
        // A caller that says nothing is not waited for: its thread ends with its limit, or with the process.
        let end = Deadline::within(clock::now(), WebDoor::CLOSING);
        while end.remaining(clock::now()).is_ok() && self.threads.iter().any(|thread| !thread.is_finished()) {
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl House {
    fn serve(&self, listener: &TcpListener) {
        while !self.closing.load(Ordering::Acquire) {
            match listener.accept() {
                Ok((socket, _)) => {
                    let deadline = Deadline::within(clock::now(), WebDoor::ASKING);
                    let mut stream = Stream::accepted(Socket::from(socket), deadline);
                    match catch_unwind(AssertUnwindSafe(|| self.converse(&mut stream))) {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => log::debug!("web: {error}"),
                        Err(_) => {
                            METRICS.panics.one();
                            log::error!("web: answering a request panicked");
                        }
                    }
                }
                Err(_) if self.closing.load(Ordering::Acquire) => return,
                Err(error) => {
                    log::error!("web: {error}");
                    // Out of file descriptors, most likely: give others time to close some.
                    thread::park_timeout(Duration::from_millis(100));
                }
            }
        }
    }

    fn converse(&self, stream: &mut Stream) -> io::Result<()> {
        let (mut head, mut piece) = (Vec::new(), [0; 1024]);
        let read = loop {
            let read = stream.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            head.extend_from_slice(&piece[..read]);
            match request::read(&head) {
                Parsed::Partial => {}
                whole => break whole,
            }
        };
        let (response, with_body) = match read {
            Parsed::Whole(request) => (self.respond(&request), request.with_body),
            Parsed::Refused(status, words) => (Response::text(status, words), true),
            Parsed::Partial => (Response::text(400, "this is no HTTP request"), true),
        };
        *stream.deadline() = Deadline::within(clock::now(), WebDoor::ANSWERING);
        stream.write_all(&response.octets(with_body))?;
        stream.shutdown_write();
        // What is unread at the close would reset the connection, and take the answer back. Ends by the deadline.
        while stream.read(&mut piece)? > 0 {}
        Ok(())
    }

    fn respond(&self, request: &Request) -> Response {
        match request.path.as_str() {
            "/metrics" => match self.answers.overview() {
                Ok(overview) => match exposition(overview) {
                    Ok(body) => Response { status: 200, media: TYPE, body },
                    Err(error) => Response::text(500, &error.to_string()),
                },
                Err((_, words)) => Response::text(503, &words),
            },
            "/healthz" => {
                let health = health(&self.answers, &self.smtp);
                Response::text(if health.well { 200 } else { 503 }, health.words.trim_end())
            }
            "/overview.json" => {
                match self.answers.overview().map(|overview| serde_json::to_string(&overview)) {
                    Ok(Ok(body)) => Response { status: 200, media: "application/json", body },
                    Ok(Err(error)) => Response::text(500, &error.to_string()),
                    Err((_, words)) => Response::text(503, &words),
                }
            }
            path => match PAGE.iter().find(|(name, ..)| *name == path) {
                Some((_, media, body)) => Response { status: 200, media, body: (*body).to_owned() },
                None => Response::text(404, "there is /, /metrics, /healthz and /overview.json"),
            },
        }
    }
}

impl Response {
    fn text(status: u16, words: &str) -> Response {
        Response { status, media: "text/plain; charset=utf-8", body: format!("{words}\n") }
    }

    fn octets(&self, with_body: bool) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            421 => "Misdirected Request",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        let allow = if self.status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let mut out = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nContent-Security-Policy: {POLICY}\r\nX-Content-Type-Options: nosniff\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n{allow}\r\n",
            self.status,
            self.media,
            self.body.len()
        );
        if with_body {
            out.push_str(&self.body);
        }
        out.into_bytes()
    }
}
