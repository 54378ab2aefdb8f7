//! From a request to the service that it calls. All services are on this page.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use door::BoxFuture;
use door::http::trace_headers;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::server::NamedService;
use tonic_web::GrpcWebLayer;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::Metered;
use crate::client::{Caller, Client};
use crate::pb::discovery_server::DiscoveryServer;
use crate::pb::publisher_server::PublisherServer;
use crate::pb::requests_server::RequestsServer;
use crate::pb::subscriber_server::SubscriberServer;
use crate::pb::subscriptions_server::SubscriptionsServer;
use crate::pb::topics_server::TopicsServer;
use crate::{handle, pb, timeout, web};

/// A service as it is called, whatever it is.
type Called = Box<dyn Fn(Request<Body>) -> BoxFuture<Response<Body>> + Send + Sync>;

/// Services about the door itself, which are the same for all.
pub(crate) struct Own {
    reflection: Called,
    old_reflection: Called,
}

impl Own {
    #[allow(clippy::expect_used, reason = "what is described is compiled in")]
    pub(crate) fn new() -> Self {
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let known = "invariant: the descriptors are those of the build";
        Self {
            reflection: called(described().build_v1().expect(known)),
            old_reflection: called(described().build_v1alpha().expect(known)),
        }
    }
}

fn called<S>(service: S) -> Called
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    Box::new(move |request| {
        let calling = service.clone().call(request);
        Box::pin(async move { calling.await.unwrap_or_else(|never| match never {}) })
    })
}

/// Answers a request: one call, or what browsers ask.
pub(crate) async fn answer(client: Arc<Client>, request: Request<Incoming>) -> Response<Body> {
    let page = match web::page(request.headers(), &client.shared.options.web_origins) {
        Ok(page) => page,
        Err(refused) => return *refused,
    };
    if let Some(answer) = page.as_ref().and_then(|page| page.preflight(&request)) {
        return answer;
    }
    let answered = GrpcWebLayer::new().layer(Calls(client)).call(request.map(Body::new)).await;
    let mut answer = answered.unwrap_or_else(|never| match never {});
    if let Some(page) = page {
        page.allow(&mut answer);
    }
    answer
}

/// The calls of a connection.
#[derive(Clone)]
struct Calls(Arc<Client>);

impl Service<Request<Body>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = Arc::clone(&self.0);
        Box::pin(async move { Ok(call(client, request).await) })
    }
}

/// Carries out one call.
async fn call(client: Arc<Client>, mut request: Request<Body>) -> Response<Body> {
    if !is_call(&request) {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return refused;
    }
    let path = request.uri().path().to_owned();
    let name = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let name = name.map(|(service, _)| service.to_owned()).unwrap_or_default();
    let deadline = deadline(request.headers());
    // Who asks whether the broker lives need not say who it is.
    let actor = match name == HEALTH {
        true => None,
        false => match client.actor(request.headers()).await {
            Ok(actor) => Some(actor),
            Err(refused) => return refused.into_http(),
        },
    };
    if let Some(actor) = actor {
        let trace = trace_headers(request.headers());
        let caller = Caller { client: Arc::clone(&client), actor, deadline, trace };
        request.extensions_mut().insert(caller);
    }
    let request = request.map(|body| Body::new(Metered::new(body, Arc::clone(&client))));
    let begun = Instant::now();
    let Some(calling) = serve(&client, &name, request) else {
        return Status::unimplemented(format!("there is no service '{name}'")).into_http();
    };
    let answer = match deadline {
        None => calling.await,
        Some(deadline) => timeout_at(deadline, calling).await.unwrap_or_else(|_elapsed| {
            Status::deadline_exceeded("the call's deadline is over").into_http()
        }),
    };
    count(&client, &path, begun, &answer);
    answer
}

/// What is counted of calls: all methods of ours, and whether they are answered at once.
pub(crate) const METHODS: [(&str, bool); 28] = [
    ("Publisher/Publish", true),
    ("Publisher/PublishStream", false),
    ("Subscriber/Subscribe", false),
    ("Subscriber/Listen", false),
    ("Requests/Request", false),
    ("Requests/RequestMany", false),
    ("Requests/Serve", false),
    ("Topics/CreateTopic", true),
    ("Topics/GetTopic", true),
    ("Topics/ListTopics", true),
    ("Topics/DeleteTopic", true),
    ("Topics/DeclareQueue", true),
    ("Topics/GetQueue", true),
    ("Topics/DeleteQueue", true),
    ("Topics/PurgeQueue", true),
    ("Subscriptions/ListSubscriptions", true),
    ("Subscriptions/GetSubscription", true),
    ("Subscriptions/DeleteSubscription", true),
    ("Subscriptions/SeekSubscription", true),
    ("Discovery/Register", true),
    ("Discovery/Renew", true),
    ("Discovery/KeepAlive", false),
    ("Discovery/Deregister", true),
    ("Discovery/ListServices", true),
    ("Discovery/Resolve", true),
    ("Discovery/Watch", false),
    ("Discovery/Choose", true),
    ("Discovery/Report", true),
];

/// The package, as it stands in paths.
const PACKAGE: &str = "/entrepot.v1.";

fn count(client: &Client, path: &str, begun: Instant, answer: &Response<Body>) {
    let Some(name) = path.strip_prefix(PACKAGE) else { return };
    let Some(kind) = METHODS.iter().position(|(method, _)| *method == name) else { return };
    let Some((_, at_once)) = METHODS.get(kind) else { return };
    let calls = &client.shared.calls;
    calls.answered(kind, name, at_once.then(|| begun.elapsed()));
    // What fails without an answer says so in the head.
    let status = answer.headers().get("grpc-status");
    if status.is_some_and(|status| status != "0") {
        calls.failed(kind, name);
    }
}

/// Whether a request is a call, and not what a form of some web page sends ("gRPC over HTTP2", Content-Type).
fn is_call(request: &Request<Body>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = kind.strip_prefix(b"application/grpc");
    let is_grpc = rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')));
    is_grpc && request.method() == Method::POST
}

/// When the client gives up waiting.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let timeout = timeout::parse(headers.get("grpc-timeout")?.as_bytes())?;
    Instant::now().checked_add(timeout)
}

/// The name of the service that says whether the broker lives.
const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const OLD_REFLECTION: &str = "grpc.reflection.v1alpha.ServerReflection";

/// The services whose health can be asked for.
pub(crate) const SERVICES: [&str; 6] = [
    PublisherServer::<handle::Api>::NAME,
    SubscriberServer::<handle::Api>::NAME,
    RequestsServer::<handle::Api>::NAME,
    TopicsServer::<handle::Api>::NAME,
    SubscriptionsServer::<handle::Api>::NAME,
    DiscoveryServer::<handle::Api>::NAME,
];

/// Calls the service of a name.
fn serve(
    client: &Arc<Client>,
    name: &str,
    request: Request<Body>,
) -> Option<BoxFuture<Response<Body>>> {
    let shared = &client.shared;
    // Who sends packed messages gets packed ones. Others could take them, too, but nobody asked for the work.
    let encoding = request.headers().get("grpc-encoding");
    let is_packed = encoding.is_some_and(|encoding| encoding != "identity");
    macro_rules! call {
        ($server:ident) => {{
            let server = $server::from_arc(Arc::clone(&shared.api))
                .max_decoding_message_size(shared.options.message_bytes_max)
                .accept_compressed(Gzip)
                .accept_compressed(Zstd);
            let mut server = match is_packed {
                true => server.send_compressed(Gzip).send_compressed(Zstd),
                false => server,
            };
            let calling = server.call(request);
            Box::pin(async move { calling.await.unwrap_or_else(|never| match never {}) })
        }};
    }
    Some(match name {
        PublisherServer::<handle::Api>::NAME => call!(PublisherServer),
        SubscriberServer::<handle::Api>::NAME => call!(SubscriberServer),
        RequestsServer::<handle::Api>::NAME => call!(RequestsServer),
        TopicsServer::<handle::Api>::NAME => call!(TopicsServer),
        SubscriptionsServer::<handle::Api>::NAME => call!(SubscriptionsServer),
        DiscoveryServer::<handle::Api>::NAME => call!(DiscoveryServer),
        HEALTH => {
            let health = handle::health::Health(Arc::clone(client));
            let mut server = tonic_health::pb::health_server::HealthServer::new(health);
            let calling = server.call(request);
            Box::pin(async move { calling.await.unwrap_or_else(|never| match never {}) })
        }
        REFLECTION => (shared.own.reflection)(request),
        OLD_REFLECTION => (shared.own.old_reflection)(request),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn all_methods_that_there_are_are_counted() {
        let described = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
        let services = described.file.iter().flat_map(|file| &file.service);
        let methods = services.flat_map(|service| {
            service.method.iter().map(move |method| {
                let at_once = !method.server_streaming() && !method.client_streaming();
                (format!("{}/{}", service.name(), method.name()), at_once)
            })
        });
        // It waits for somebody else.
        let known =
            methods.map(|(name, at_once)| (name.clone(), at_once && name != "Requests/Request"));
        let counted = METHODS.iter().map(|(name, at_once)| ((*name).to_owned(), *at_once));
        assert_eq!(counted.collect::<BTreeSet<_>>(), known.collect());
        assert_eq!(described.file.iter().flat_map(|file| &file.service).count(), SERVICES.len());
    }
}
