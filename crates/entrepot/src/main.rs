//! The `entrepot` program: the broker, and the commands that talk to one.

mod config;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use cli::{CliError, exit};
use server::config::{Config, ConfigErrors, Environment, Flags};

/// One log, every protocol: a messaging system that existing clients speak to
///
/// `entrepot serve` runs a broker; the other commands talk to a running one.
#[derive(Debug, Parser)]
#[command(name = "entrepot", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 it worked, 1 it failed, 2 it was called wrongly, 10 the \
                        cluster is not healthy (status).")]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker
    ///
    /// Needs no configuration: it listens on this machine only and names its data folder.
    Serve(Flags),
    #[command(flatten)]
    Client(Box<cli::Command>),
    /// Show or check the configuration that `serve` would use
    Config(config::ConfigCommand),
    /// Print a completion script, such as `entrepot completions bash`
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Why the program ends with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Cli(#[from] CliError),
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Run(#[from] server::RunError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Cli(error.into())
    }
}

fn main() -> ExitCode {
    match run(Program::parse().command) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(Failure::Cli(error)) if error.is_silent() => ExitCode::from(error.exit_code()),
        Err(failure) => {
            eprintln!("error: {failure}");
            let code = match failure {
                Failure::Cli(error) => error.exit_code(),
                Failure::Config(_) => exit::USAGE,
                Failure::Run(_) => exit::ERROR,
            };
            ExitCode::from(code)
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(flags) => serve(&flags),
        Command::Client(command) => Ok(cli::run(*command)?),
        Command::Config(command) => command.run(),
        Command::Completions { shell } => Ok(completions(shell)?),
    }
}

fn serve(flags: &Flags) -> Result<(), Failure> {
    let config = Config::load(flags, &Environment::of_this_process())?;
    Ok(server::run(&config)?)
}

fn completions(shell: Shell) -> io::Result<()> {
    // By way of memory, because the generator panics where nobody reads its output.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Program::command(), "entrepot", &mut script);
    io::stdout().write_all(&script)
}

#[cfg(test)]
mod tests;
