//! The command line (floor 7): arguments in, an exit code of sysexits(3) out.

mod arguments;
mod check;
mod connections;
mod destinations;
mod exit;
mod explain;
mod line;
mod logging;
mod messages;
mod operating;
mod passwd;
mod probe;
mod prompt;
mod queue;
mod send;
mod sendmail;
mod serve;
mod table;
mod top;
mod trace;
mod world;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use exit::Exit;

/// Runs the program.
pub fn run() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if let Some(args) = sendmail::is_meant(&args) {
        return end(sendmail::sendmail(&args));
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; a terminal that has gone away reads neither.
            let _ = error.print();
            return if error.use_stderr() { Exit::usage().code() } else { ExitCode::SUCCESS };
        }
    };
    let result = match arguments.command {
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Queue(arguments) => queue::queue(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Connections(arguments) => connections::connections(&arguments),
        Command::Destinations(arguments) => destinations::destinations(&arguments),
        Command::Probe(arguments) => probe::probe(&arguments),
        Command::Trace(arguments) => trace::trace(&arguments),
        Command::Top(arguments) => top::top(&arguments),
        Command::Send(arguments) => send::send(&arguments),
        Command::Sendmail(arguments) => sendmail::sendmail(&arguments.args),
        Command::Passwd(arguments) => passwd::passwd(&arguments),
    };
    end(result)
}

fn end(result: Result<(), Exit>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            if let Some(words) = exit.words() {
                eprintln!("sendoff: {words}");
            }
            exit.code()
        }
    }
}
