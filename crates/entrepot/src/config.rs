//! `entrepot config`.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use cli::Format;
use server::config::{Config, Environment, Flags, default_toml};

use crate::Failure;

/// `entrepot config`
#[derive(Debug, Args)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print every key with its value, as TOML or JSON
    Show {
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
        /// How it is written: table is TOML
        #[arg(long, short, value_name = "FORMAT", default_value = "table", value_enum)]
        output: Format,
        #[command(flatten)]
        flags: Flags,
    },
    /// Say what is wrong, or has no effect, without starting anything
    Check {
        #[command(flatten)]
        flags: Flags,
    },
    /// Print a TOML file with every key, its meaning and its default
    Default,
}

impl ConfigCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let environment = Environment::of_this_process();
        let mut out = io::BufWriter::new(io::stdout());
        match self.action {
            Action::Show { origin, output, flags } => {
                let config = Config::load(&flags, &environment)?;
                if output == Format::Json {
                    serde_json::to_writer(&mut out, &config.shown()).map_err(io::Error::from)?;
                    writeln!(out)?;
                } else {
                    out.write_all(config.to_toml(origin).as_bytes())?;
                }
            }
            Action::Check { flags } => {
                let config = Config::load(&flags, &environment)?;
                for line in config.summary() {
                    writeln!(out, "{line}")?;
                }
                for notice in &config.notices {
                    writeln!(out, "{notice}")?;
                }
                writeln!(out, "the configuration is good")?;
            }
            Action::Default => out.write_all(default_toml().as_bytes())?,
        }
        Ok(out.flush()?)
    }
}
