//! What a command says when it fails: what happened, why, what to do; and its exit code.

use std::fmt::{self, Display, Formatter};
use std::io;

use crate::client::ClientError;

/// Exit codes of the program.
pub mod exit {
    /// It worked.
    pub const OK: u8 = 0;
    /// It failed.
    pub const ERROR: u8 = 1;
    /// It was called wrongly.
    pub const USAGE: u8 = 2;
    /// The cluster is not healthy (`status`), or something is wrong (`doctor`).
    pub const UNHEALTHY: u8 = 10;
}

/// A command that failed.
#[derive(Debug)]
pub struct CliError {
    what: String,
    hint: Option<String>,
    code: u8,
}

impl CliError {
    /// Something failed.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, code: exit::ERROR }
    }

    /// The command line is wrong.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { code: exit::USAGE, ..Self::new(what) }
    }

    /// Says what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Ends with another code.
    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Whoever read our output has stopped reading, as `head` does: not an error.
    fn nobody_reads() -> Self {
        Self { what: String::new(), hint: None, code: exit::OK }
    }

    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        self.code
    }

    /// Whether there is nothing to say.
    pub fn is_silent(&self) -> bool {
        self.what.is_empty()
    }
}

impl Display for CliError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  try: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CliError {}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self { what: error.to_string(), hint: error.hint(), code: exit::ERROR }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::nobody_reads();
        }
        Self::new(format!("cannot write the output: {error}"))
    }
}
