//! Whether the broker lives (`grpc.health.v1`).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::channel;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

use crate::calls::SERVICES;
use crate::client::Client;

/// How often a watcher's service is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// The service, for one connection.
pub(crate) struct Health(pub(crate) Arc<Client>);

/// The state of the services: all are as well as the broker is.
fn status(client: &Client) -> ServingStatus {
    let is_well = client.shared.broker.health().is_ok() && !*client.stopping.borrow();
    if is_well { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn is_known(service: &str) -> bool {
    service.is_empty() || SERVICES.contains(&service)
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match is_known(&request.get_ref().service) {
            true => Ok(Response::new(answer(status(&self.0)))),
            false => Err(Status::not_found("there is no such service")),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = is_known(&request.get_ref().service);
        let client = Arc::clone(&self.0);
        let (sender, answers) = channel(1);
        tokio::spawn(async move {
            let mut stopping = client.stopping.clone();
            let mut every = tokio::time::interval(PERIOD);
            let mut told = None;
            loop {
                tokio::select! {
                    _ = every.tick() => {}
                    _ = stopping.changed() => {}
                    () = sender.closed() => return,
                }
                let now = match is_known {
                    true => status(&client),
                    false => ServingStatus::ServiceUnknown,
                };
                if told != Some(now) && sender.send(answer(now)).await.is_err() {
                    return;
                }
                told = Some(now);
                if *stopping.borrow() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers).map(Ok))))
    }
}
