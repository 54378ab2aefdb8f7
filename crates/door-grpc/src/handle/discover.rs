//! Discovery of services.

use std::time::Duration;

use broker::access::Operation;
use broker::discovery::{
    Chosen, DiscoveryError, Instance, LeaseKey, NewInstance, Reported, Ticket,
};
use broker::queue::dispatch::Policy;
use bytes::Bytes;
use tokio::sync::mpsc::channel;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Answers, Api};
use crate::client::Caller;
use crate::map;
use crate::pb;
use crate::pb::discovery_server::Discovery;

/// Services are resources of the kind topic, under this and their name.
const RESOURCE: &str = "services.";

#[tonic::async_trait]
impl Discovery for Api {
    async fn register(
        &self,
        request: Request<pb::RegisterRequest>,
    ) -> Result<Response<pb::RegisterResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::RegisterRequest { instance, lease_ms, lease } = request.into_inner();
        let instance = instance.ok_or_else(|| map::invalid("instance", "there is none"))?;
        check(&caller, Operation::Write, &instance.service)?;
        let timeout = (lease_ms > 0).then(|| Duration::from_millis(lease_ms.into()));
        let lease = if lease.is_empty() { None } else { Some(key(&lease)?) };
        let port = u16::try_from(instance.port);
        let new = NewInstance {
            service: instance.service,
            id: instance.id,
            address: instance.address,
            port: port.map_err(|_| map::invalid("instance.port", "is 65535 at most"))?,
            weight: instance.weight,
            metadata: instance.metadata,
        };
        let registered = caller.broker().discovery().register(new, (timeout, lease)).await;
        let (id, lease) = registered.map_err(|error| refused(&error))?;
        let lease =
            lease.map_or_else(Bytes::new, |lease| Bytes::copy_from_slice(&lease.to_bytes()));
        Ok(Response::new(pb::RegisterResponse { id, lease }))
    }

    async fn renew(
        &self,
        request: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::RenewResponse>, Status> {
        let caller = Caller::of(&request)?;
        renew(&caller, &request.into_inner()).await.map(Response::new)
    }

    type KeepAliveStream = Answers<pb::RenewResponse>;

    async fn keep_alive(
        &self,
        request: Request<Streaming<pb::RenewRequest>>,
    ) -> Result<Response<Self::KeepAliveStream>, Status> {
        let caller = Caller::of(&request)?;
        let mut requests = request.into_inner();
        let (answers, told) = channel(1);
        tokio::spawn(async move {
            loop {
                let asked = tokio::select! {
                    asked = requests.message() => asked,
                    stopped = caller.stopped() => Err(stopped),
                    () = answers.closed() => return,
                };
                let answer = match asked {
                    Ok(Some(asked)) => renew(&caller, &asked).await,
                    Ok(None) => return,
                    Err(status) => Err(status),
                };
                let is_over = answer.is_err();
                if answers.send(answer).await.is_err() || is_over {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    async fn deregister(
        &self,
        request: Request<pb::DeregisterRequest>,
    ) -> Result<Response<pb::DeregisterResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::DeregisterRequest { service, id, lease } = request.into_inner();
        check(&caller, Operation::Write, &service)?;
        let lease = if lease.is_empty() { None } else { Some(key(&lease)?) };
        let gone = caller.broker().discovery().deregister((&service, &id), lease).await;
        gone.map_err(|error| refused(&error))?;
        Ok(Response::new(pb::DeregisterResponse {}))
    }

    async fn list_services(
        &self,
        request: Request<pb::ListServicesRequest>,
    ) -> Result<Response<pb::ListServicesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let all = caller.broker().discovery().services().await;
        let all = all.map_err(|error| refused(&error))?.into_iter();
        let seen = all.filter(|service| may(&caller, Operation::Read, service));
        let services = seen.map(|service| service.to_string()).collect();
        Ok(Response::new(pb::ListServicesResponse { services }))
    }

    async fn resolve(
        &self,
        request: Request<pb::ResolveRequest>,
    ) -> Result<Response<pb::ResolveResponse>, Status> {
        let caller = Caller::of(&request)?;
        let service = request.into_inner().service;
        check(&caller, Operation::Read, &service)?;
        resolve(&caller, &service).await.map(Response::new)
    }

    type WatchStream = Answers<pb::ResolveResponse>;

    async fn watch(
        &self,
        request: Request<pb::ResolveRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let caller = Caller::of(&request)?;
        let service = request.into_inner().service;
        check(&caller, Operation::Read, &service)?;
        let changes = caller.broker().discovery().watch().await;
        let mut changes = changes.map_err(|error| refused(&error))?;
        let (answers, told) = channel(1);
        tokio::spawn(async move {
            let mut last = None;
            loop {
                // What changes from here on is looked at again.
                changes.mark_unchanged();
                let now = match resolve(&caller, &service).await {
                    Ok(now) => now,
                    Err(status) => {
                        // Who is gone need not be told.
                        let _gone = answers.send(Err(status)).await.is_err();
                        return;
                    }
                };
                if last.as_ref() != Some(&now) {
                    last = Some(now.clone());
                    if answers.send(Ok(now)).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    stopped = caller.stopped() => {
                        // Who is gone need not be told.
                        let _gone = answers.send(Err(stopped)).await.is_err();
                        return;
                    }
                    () = answers.closed() => return,
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    async fn choose(
        &self,
        request: Request<pb::ChooseRequest>,
    ) -> Result<Response<pb::ChooseResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        check(&caller, Operation::Read, &asked.service)?;
        let policy = match asked.policy() {
            pb::Policy::RoundRobin => Policy::RoundRobin,
            pb::Policy::Random => Policy::Random,
            pb::Policy::LeastConnections => Policy::LeastInFlight,
            pb::Policy::ShortestResponse => Policy::ShortestResponse,
        };
        let how = (asked.reports, &asked.but_ids[..]);
        let chosen = caller.broker().discovery().choose(&asked.service, policy, how).await;
        let Chosen { instance, ticket } = chosen.map_err(|error| refused(&error))?;
        let ticket = ticket.map_or(0, |ticket| ticket.0);
        Ok(Response::new(pb::ChooseResponse { instance: Some(tell(&instance)), ticket }))
    }

    async fn report(
        &self,
        request: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::ReportResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::ReportRequest { ticket, took_us } = request.into_inner();
        let took = took_us.map(Duration::from_micros);
        match caller.broker().discovery().report(Ticket(ticket), took) {
            true => Ok(Response::new(pb::ReportResponse {})),
            false => Err(map::not_found("ticket", &ticket.to_string())),
        }
    }
}

fn may(caller: &Caller, operation: Operation, service: &str) -> bool {
    caller.actor.is_free() || caller.actor.may_topic(operation, &format!("{RESOURCE}{service}"))
}

fn check(caller: &Caller, operation: Operation, service: &str) -> Result<(), Status> {
    match may(caller, operation, service) {
        true => Ok(()),
        false => Err(map::denied(operation, &format!("{RESOURCE}{service}"))),
    }
}

fn key(lease: &[u8]) -> Result<LeaseKey, Status> {
    LeaseKey::from_bytes(lease).ok_or_else(|| map::invalid("lease", "is not one"))
}

async fn renew(caller: &Caller, asked: &pb::RenewRequest) -> Result<pb::RenewResponse, Status> {
    let reported = Reported { in_flight: asked.in_flight, response_us: asked.response_us };
    let renewed = caller.broker().discovery().renew(key(&asked.lease)?, reported).await;
    let lasts = renewed.map_err(|error| refused(&error))?;
    let lease_ms = u32::try_from(lasts.as_millis()).unwrap_or(u32::MAX);
    Ok(pb::RenewResponse { lease_ms })
}

async fn resolve(caller: &Caller, service: &str) -> Result<pb::ResolveResponse, Status> {
    let all = caller.broker().discovery().instances(service).await;
    let all = all.map_err(|error| refused(&error))?;
    Ok(pb::ResolveResponse { instances: all.iter().map(|one| tell(one)).collect() })
}

fn tell(instance: &Instance) -> pb::Instance {
    pb::Instance {
        service: instance.service.to_string(),
        id: instance.id.to_string(),
        address: instance.address.clone(),
        port: instance.port.into(),
        weight: instance.weight,
        metadata: instance.metadata.clone(),
        registered_at_ms: instance.registered_at,
        is_static: instance.is_static,
    }
}

fn refused(error: &DiscoveryError) -> Status {
    let text = error.to_string();
    match error {
        DiscoveryError::Invalid(_) => map::refusal(Code::InvalidArgument, "INSTANCE", text),
        DiscoveryError::NotFound => map::refusal(Code::NotFound, "NO_INSTANCE", text),
        DiscoveryError::NoLease => map::refusal(Code::NotFound, "NO_LEASE", text),
        DiscoveryError::Exists => map::refusal(Code::AlreadyExists, "EXISTS", text),
        DiscoveryError::Protected(_) => map::refusal(Code::PermissionDenied, "PROTECTED", text),
        DiscoveryError::LimitReached => map::refusal(Code::ResourceExhausted, "LIMIT", text),
        DiscoveryError::Unavailable(_) => map::refusal(Code::Unavailable, "REGISTRY", text),
    }
}
