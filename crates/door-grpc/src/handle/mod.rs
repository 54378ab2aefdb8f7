//! What can be called, one file a service.

mod admin;
mod discover;
pub(crate) mod health;
mod publish;
mod request;
mod serve;
mod subscribe;
mod subscriptions;

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::Status;

/// All services.
#[derive(Debug)]
pub(crate) struct Api;

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
