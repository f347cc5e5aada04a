//! The relay's end of the door: a socket, a small fixed pool, one request each. A caller that is slow or silent holds one
//! of the pool's threads until its deadline, and nothing else. Who follows conversations is handed to threads of its own, so
//! that followers cannot hold the door.

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use socket2::Socket;

use super::answers::{Answers, exit};
use super::protocol::{Answer, Request};
use super::trace;
use crate::mail::Destination;
use crate::metrics::METRICS;
use crate::net::Stream;
use crate::time::{Deadline, clock};

/// A door that is open. Its Drop closes it: the socket's file goes, the threads end.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    listener: Arc<UnixListener>,
    closing: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Door {
    /// The threads that answer.
    const POOL: usize = 4;
    /// The threads that serve followers: the most there may be at once.
    const FOLLOWERS: usize = 4;
    /// How long a caller may take to ask, and the answer to go out.
    const LIMIT: Duration = Duration::from_secs(30);
    /// How long a thread waits for a follower before it waits again: every wait ends.
    const ROUND: Duration = Duration::from_secs(3600);
    /// How long the end waits for answers that are on their way.
    const CLOSING: Duration = Duration::from_secs(1);
    /// The longest request line, in octets.
    const MOST: usize = 1 << 20;

    /// Opens the door at `control.sock` in `spool`, for the relay's own user alone. Whoever holds the spool's lock may
    /// replace what an earlier relay left there.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn open(spool: &Path, answers: &Arc<Answers>) -> io::Result<Door> {
        let path = spool.join("control.sock");
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let (listener, closing) = (Arc::new(listener), Arc::new(AtomicBool::new(false)));
        let mut threads = Vec::new();
        // Without room: a follower is taken when a thread is free for it, or refused.
        let (followers, followed) = bounded::<(Stream, Option<Destination>)>(0);
        for n in 0..Door::FOLLOWERS {
            let (followed, answers, closing) = (followed.clone(), Arc::clone(answers), Arc::clone(&closing));
            let body = move || {
                loop {
                    let (mut stream, destination) = match followed.recv_timeout(Door::ROUND) {
                        Ok(follower) => follower,
                        Err(RecvTimeoutError::Timeout) => continue,
                        Err(RecvTimeoutError::Disconnected) => return,
                    };
                    let follow = || trace::follow(&mut stream, destination, &answers, &closing);
                    match catch_unwind(AssertUnwindSafe(follow)) {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => log::debug!("control: a follower: {error}"),
                        Err(_) => log::error!("control: serving a follower panicked"),
                    }
                }
            };
            threads.push(thread::Builder::new().name(format!("trace-{n}")).spawn(body)?);
        }
        for n in 0..Door::POOL {
            let followers = followers.clone();
            let (listener, closing) = (Arc::clone(&listener), Arc::clone(&closing));
            let answers = Arc::clone(answers);
            let body = move || serve(&listener, &closing, &answers, &followers);
            threads.push(thread::Builder::new().name(format!("control-{n}")).spawn(body)?);
        }
        Ok(Door { path, listener, closing, threads })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        // A thread in accept is woken by the shutdown of the listening socket.
        if let Err(error) = socket2::SockRef::from(&*self.listener).shutdown(std::net::Shutdown::Both) {
            log::debug!("control: {error}");
        }
        // What is left of the file is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
        // A caller that says nothing is not waited for: its thread ends with its limit, or with the process.
        let end = Deadline::within(clock::now(), Door::CLOSING);
        while end.remaining(clock::now()).is_ok() && self.threads.iter().any(|thread| !thread.is_finished()) {
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// Where followers go.
type Followers = Sender<(Stream, Option<Destination>)>;

fn serve(listener: &UnixListener, closing: &AtomicBool, answers: &Answers, followers: &Followers) {
    while !closing.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((socket, _)) => {
                let deadline = Deadline::within(clock::now(), Door::LIMIT);
                let by = caller(&socket);
                let stream = Stream::accepted(Socket::from(socket), deadline);
                match catch_unwind(AssertUnwindSafe(|| converse(stream, &by, answers, followers))) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => log::debug!("control: {error}"),
                    Err(_) => {
                        METRICS.panics.one();
                        log::error!("control: answering a request panicked");
                    }
                }
            }
            Err(_) if closing.load(Ordering::Acquire) => return,
            Err(error) => {
                log::error!("control: {error}");
                // Out of file descriptors, most likely: give others time to close some.
                thread::park_timeout(Duration::from_millis(100));
            }
        }
    }
}

/// Who calls, as the kernel knows it: what the log names for whatever is done.
fn caller(socket: &UnixStream) -> String {
    match rustix::net::sockopt::socket_peercred(socket) {
        Ok(who) => format!("uid:{}", who.uid.as_raw()),
        Err(_) => "unknown".to_owned(),
    }
}

fn converse(mut stream: Stream, by: &str, answers: &Answers, followers: &Followers) -> io::Result<()> {
    let answer = match request(&mut stream)? {
        Ok(Request::Submit { from, to, size }) => answers.submit(&from, &to, size, &mut stream),
        Ok(Request::Trace { what }) => match answers.followed(&what) {
            Ok(destination) => match followers.try_send((stream, destination)) {
                Ok(()) => return Ok(()),
                Err(refused) => {
                    stream = refused.into_inner().0;
                    let reason = format!("{} conversations are being followed already", Door::FOLLOWERS);
                    Answer::Error { exit: exit::TEMPFAIL, reason }
                }
            },
            Err((exit, reason)) => Answer::Error { exit, reason },
        },
        Ok(request) => answers.answer(&request, by),
        Err(reason) => Answer::Error { exit: exit::USAGE, reason },
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.shutdown_write();
    // A message that was refused early is still on its way. To close with octets unread would take the answer back: the caller
    // would meet a reset. Ends when the caller closes, or by the deadline.
    let mut unread = vec![0; 64 << 10];
    while stream.read(&mut unread)? > 0 {}
    Ok(())
}

/// The request line, read to its end and not beyond: octets may follow it.
fn request(stream: &mut Stream) -> io::Result<Result<Request, String>> {
    // A byte at a time: what follows the line is not ours to read, and a request is short.
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < Door::MOST && stream.read(&mut byte)? > 0 {
        match byte[0] {
            b'\n' => {
                return Ok(serde_json::from_slice(&line).map_err(|error| format!("not a request: {error}")));
            }
            byte => line.push(byte),
        }
    }
    Ok(Err("not a request: no line end".into()))
}
