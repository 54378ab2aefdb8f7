//! `entrepot user`.

use std::path::PathBuf;

use base::{PasswordHash, Random, SystemRandom, limits};
use clap::{Args, Subcommand};
use door::sasl::scram;
use door_kafka::wire::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use door_kafka::wire::messages::{
    AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest,
};
use serde::Serialize;

use crate::client::security::read_secret;
use crate::client::{Client, ClientError, NEWEST};
use crate::output::Row;
use crate::{CliError, Connect};

/// The mechanisms by their numbers on the wire (KIP-554).
const MECHANISMS: [(i8, PasswordHash, &str); 2] =
    [(1, PasswordHash::Sha256, "SCRAM-SHA-256"), (2, PasswordHash::Sha512, "SCRAM-SHA-512")];

/// `entrepot user`
#[derive(Debug, Args)]
pub struct User {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List users
    List,
    /// Add a user; makes a password and prints it unless a file has one
    Add(Password),
    /// Give a user another password; makes one and prints it unless a file has one
    Password(Password),
    /// Remove users
    Remove {
        /// Names of the users
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Password {
    /// Name of the user
    name: String,
    /// File with the password: its first line
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
    /// How often the password is hashed
    #[arg(
        long,
        value_name = "N",
        default_value_t = *limits::PASSWORD_ITERATIONS.start(),
        value_parser = clap::value_parser!(u32).range(4096..=16_384)
    )]
    iterations: u32,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    mechanisms: Vec<String>,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] = &["USER", "LOGS IN WITH"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.mechanisms.join(", ")]
    }
}

impl User {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let mut client = self.connect.client()?;
        match self.action {
            Action::List => Ok(self.connect.output().rows(&list(&mut client)?)?),
            Action::Add(password) => {
                if list(&mut client)?.iter().any(|user| user.name == password.name) {
                    let what = format!("there is a user {} already", password.name);
                    return Err(CliError::new(what).hint("entrepot user password"));
                }
                password.set(&mut client)
            }
            Action::Password(password) => {
                if list(&mut client)?.iter().all(|user| user.name != password.name) {
                    let what = format!("there is no user {}", password.name);
                    return Err(CliError::new(what).hint("entrepot user add"));
                }
                password.set(&mut client)
            }
            Action::Remove { names } => remove(&mut client, &names),
        }
    }
}

fn list(client: &mut Client) -> Result<Vec<Listed>, ClientError> {
    let answer = client.call(&DescribeUserScramCredentialsRequest::default(), NEWEST)?;
    ClientError::check("users", answer.error_code, answer.error_message)?;
    let name = |code: i8| {
        let known = MECHANISMS.iter().find(|(number, ..)| *number == code);
        known.map_or_else(|| format!("mechanism {code}"), |(_, _, name)| (*name).to_owned())
    };
    let listed = answer.results.into_iter().map(|user| Listed {
        mechanisms: user.credential_infos.iter().map(|info| name(info.mechanism)).collect(),
        name: user.user,
    });
    Ok(listed.collect())
}

impl Password {
    /// Salts it here, so that it does not travel.
    fn set(self, client: &mut Client) -> Result<(), CliError> {
        let (password, made) = match &self.new_password_file {
            Some(path) => (read_secret(path).map_err(CliError::new)?, false),
            None => (new_password(), true),
        };
        if password.is_empty() {
            return Err(CliError::usage("an empty password lets nobody in"));
        }
        let upsertions = MECHANISMS.map(|(mechanism, hash, _)| {
            let mut salt = vec![0; scram::SALT_BYTES];
            SystemRandom.fill(&mut salt);
            let iterations = self.iterations;
            let salted = scram::salted_password(hash, password.as_bytes(), &salt, iterations);
            ScramCredentialUpsertion {
                name: self.name.clone(),
                mechanism,
                iterations: i32::try_from(iterations).unwrap_or(i32::MAX),
                salt: salt.into(),
                salted_password: salted.into(),
            }
        });
        alter(client, Vec::new(), upsertions.to_vec())?;
        if made {
            println!("{password}");
            eprintln!("the password of {}; it is shown only now", self.name);
        }
        Ok(())
    }
}

/// 120 bits in letters and digits that are not mistaken for each other.
fn new_password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    SystemRandom.fill(&mut bytes);
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

fn remove(client: &mut Client, names: &[String]) -> Result<(), CliError> {
    let users = list(client)?;
    let mut deletions = Vec::new();
    for name in names {
        let Some(user) = users.iter().find(|user| user.name == *name) else {
            return Err(CliError::new(format!("there is no user {name}")));
        };
        for (mechanism, _, known) in MECHANISMS {
            if user.mechanisms.iter().any(|mechanism| mechanism == known) {
                deletions.push(ScramCredentialDeletion { name: name.clone(), mechanism });
            }
        }
    }
    Ok(alter(client, deletions, Vec::new())?)
}

fn alter(
    client: &mut Client,
    deletions: Vec<ScramCredentialDeletion>,
    upsertions: Vec<ScramCredentialUpsertion>,
) -> Result<(), ClientError> {
    let request = AlterUserScramCredentialsRequest { deletions, upsertions };
    let answer = client.call(&request, NEWEST)?;
    for result in answer.results {
        let subject = format!("user {}", result.user);
        ClientError::check(subject, result.error_code, result.error_message)?;
    }
    Ok(())
}
