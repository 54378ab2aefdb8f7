//! DescribeUserScramCredentials, AlterUserScramCredentials: users who log in with a password
//! (KIP-554).

use std::collections::BTreeMap;

use base::{Credential, PasswordHash, limits};
use broker::UserError;
use broker::metadata::User;
use door::sasl::scram;

use super::Request;
use crate::map;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use crate::wire::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use crate::wire::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use crate::wire::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};

pub(super) async fn handle_describe(
    request: Request<'_>,
    asked: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let metadata = request.broker().metadata();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for user in asked.users.unwrap_or_default() {
        *names.entry(user.name).or_default() += 1;
    }
    if names.is_empty() {
        names.extend(metadata.users.keys().map(|name| (name.clone(), 1)));
    }
    let results = names.into_iter().map(|(name, times)| {
        let refused = |code: ErrorCode, why: String| DescribeUserScramCredentialsResult {
            user: name.clone(),
            error_code: code.number(),
            error_message: Some(why),
            ..DescribeUserScramCredentialsResult::default()
        };
        match metadata.users.get(&name) {
            _ if times > 1 => {
                refused(ErrorCode::DuplicateResource, format!("{name} is asked for {times} times"))
            }
            Some(user) => describe(&name, user),
            None => refused(ErrorCode::ResourceNotFound, format!("{name} has no credential")),
        }
    });
    DescribeUserScramCredentialsResponse {
        results: results.collect(),
        ..DescribeUserScramCredentialsResponse::default()
    }
}

fn describe(name: &str, user: &User) -> DescribeUserScramCredentialsResult {
    let infos = user.credentials.iter().map(|(hash, credential)| CredentialInfo {
        mechanism: map::mechanism_code(*hash),
        iterations: i32::try_from(credential.iterations).unwrap_or(i32::MAX),
    });
    DescribeUserScramCredentialsResult {
        user: name.to_owned(),
        credential_infos: infos.collect(),
        ..DescribeUserScramCredentialsResult::default()
    }
}

type Refused = (ErrorCode, String);
type Change = (PasswordHash, Option<Credential>);

pub(super) async fn handle_alter(
    request: Request<'_>,
    asked: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let mut users: BTreeMap<String, Result<Vec<Change>, Refused>> = BTreeMap::new();
    for deletion in asked.deletions {
        let change = known_hash(deletion.mechanism).map(|hash| (hash, None));
        add(&mut users, deletion.name, change);
    }
    for upsertion in asked.upsertions {
        let change = upserted(&upsertion);
        add(&mut users, upsertion.name, change);
    }
    let mut results = Vec::with_capacity(users.len());
    for (name, changes) in users {
        let outcome = match changes {
            Ok(changes) => {
                request.broker().alter_user(&name, &changes).await.map_err(|e| refusal(&e))
            }
            Err(refused) => Err(refused),
        };
        let (code, why) = match outcome {
            Ok(()) => (ErrorCode::None, None),
            Err((code, why)) => (code, Some(why)),
        };
        results.push(AlterUserScramCredentialsResult {
            user: name,
            error_code: code.number(),
            error_message: why,
        });
    }
    AlterUserScramCredentialsResponse { results, ..AlterUserScramCredentialsResponse::default() }
}

/// What is wrong with one change of a user's is wrong with all of them.
fn add(
    users: &mut BTreeMap<String, Result<Vec<Change>, Refused>>,
    name: String,
    change: Result<Change, Refused>,
) {
    let user = users.entry(name).or_insert_with(|| Ok(Vec::new()));
    let Ok(changes) = user else { return };
    match change {
        Ok((hash, _)) if changes.iter().any(|(other, _)| *other == hash) => {
            let why = "a credential cannot be changed twice in one request".to_owned();
            *user = Err((ErrorCode::DuplicateResource, why));
        }
        Ok(change) => changes.push(change),
        Err(refused) => *user = Err(refused),
    }
}

fn known_hash(code: i8) -> Result<PasswordHash, Refused> {
    let why = || (ErrorCode::UnsupportedSaslMechanism, format!("mechanism {code} is unknown"));
    map::mechanism_hash(code).ok_or_else(why)
}

fn upserted(asked: &ScramCredentialUpsertion) -> Result<Change, Refused> {
    let hash = known_hash(asked.mechanism)?;
    let unacceptable = |why: String| (ErrorCode::UnacceptableCredential, why);
    if asked.salted_password.len() != hash.bytes() {
        let (given, bytes) = (asked.salted_password.len(), hash.bytes());
        let why = format!("a password salted with this hash has {bytes} bytes, not {given}");
        return Err(unacceptable(why));
    }
    let iterations = u32::try_from(asked.iterations).unwrap_or(0);
    if !limits::PASSWORD_ITERATIONS.contains(&iterations) {
        let (low, high) = (limits::PASSWORD_ITERATIONS.start(), limits::PASSWORD_ITERATIONS.end());
        let why = format!("a password is hashed {low} to {high} times, not {}", asked.iterations);
        return Err(unacceptable(why));
    }
    let credential = scram::credential(hash, &asked.salted_password, &asked.salt, iterations);
    Ok((hash, Some(credential)))
}

fn refusal(error: &UserError) -> Refused {
    (map::user_error(error), error.to_string())
}
