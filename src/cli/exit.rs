//! How a command ends: a code of sysexits(3), and words on standard error.

use std::fmt;
use std::process::ExitCode;

use crate::control::CallError;

/// A command that did not succeed.
#[derive(Debug)]
pub(super) struct Exit {
    code: u8,
    words: Option<String>,
}

impl Exit {
    /// EX_USAGE: the command line is wrong; what is wrong has been said.
    pub(super) fn usage() -> Exit {
        Exit { code: 64, words: None }
    }

    /// EX_USAGE, in words of ours.
    pub(super) fn misused(words: impl fmt::Display) -> Exit {
        Exit::with(64, words)
    }

    /// EX_DATAERR: what was given is not what it should be.
    pub(super) fn data(words: impl fmt::Display) -> Exit {
        Exit::with(65, words)
    }

    /// EX_NOINPUT: a file to be read cannot be.
    pub(super) fn no_input(words: impl fmt::Display) -> Exit {
        Exit::with(66, words)
    }

    /// EX_NOHOST: for good.
    pub(super) fn no_host(words: impl fmt::Display) -> Exit {
        Exit::with(68, words)
    }

    /// EX_SOFTWARE: a defect of ours.
    pub(super) fn software(words: impl fmt::Display) -> Exit {
        Exit::with(70, words)
    }

    /// EX_OSERR: the system said no.
    pub(super) fn system(words: impl fmt::Display) -> Exit {
        Exit::with(71, words)
    }

    /// EX_CANTCREAT: something cannot be made.
    pub(super) fn cannot_create(words: impl fmt::Display) -> Exit {
        Exit::with(73, words)
    }

    /// EX_IOERR: output could not be written.
    pub(super) fn io(words: impl fmt::Display) -> Exit {
        Exit::with(74, words)
    }

    /// EX_TEMPFAIL: it may work later.
    pub(super) fn later(words: impl fmt::Display) -> Exit {
        Exit::with(75, words)
    }

    /// EX_NOPERM: whoever calls may not do that.
    pub(super) fn not_permitted(words: impl fmt::Display) -> Exit {
        Exit::with(77, words)
    }

    /// EX_CONFIG: the settings are wrong.
    pub(super) fn config(words: impl fmt::Display) -> Exit {
        Exit::with(78, words)
    }

    fn with(code: u8, words: impl fmt::Display) -> Exit {
        Exit { code, words: Some(words.to_string()) }
    }

    /// Whether it is EX_UNAVAILABLE.
    pub(super) fn is_unavailable(&self) -> bool {
        self.code == 69
    }

    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    pub(super) fn words(&self) -> Option<&str> {
        self.words.as_deref()
    }
}

/// The relay and this command do not speak the same language: they are of different versions.
pub(super) fn misunderstood() -> Exit {
    Exit::later("the relay answered something else: is it of this version?")
}

impl From<CallError> for Exit {
    /// Nobody there is EX_UNAVAILABLE; the relay's own refusals bring their code.
    fn from(error: CallError) -> Exit {
        match &error {
            CallError::NobodyThere(words) => Exit::with(69, words),
            CallError::Denied(words) => Exit::not_permitted(words),
            CallError::Broken(words) => Exit::later(words),
            CallError::Refused(code, words) => Exit::with(*code, words),
        }
    }
}
