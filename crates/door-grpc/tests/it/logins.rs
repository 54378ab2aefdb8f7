//! Who may come in, and what they may do then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Principal, SystemClock, SystemRandom};
use broker::access::{AccessOptions, Effect, Operation, Pattern, ResourceKind, Rule};
use door::sasl::{LoginContext, LoginOptions, Mechanism, PlainUsers, Users};
use door::testing::bind;
use door::{ConnectionLimit, ListenerHandle, Logins};
use door_grpc::pb::discovery_client::DiscoveryClient;
use door_grpc::pb::publisher_client::PublisherClient;
use door_grpc::pb::topics_client::TopicsClient;
use door_grpc::{GrpcDoorOptions, pb};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Fixture, HANG, connect, subject, topic};

/// "alice:secret", in base64.
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";
/// How long wrong ones wait.
const DELAY: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Nobody;

impl Users for Nobody {
    fn credential(&self, _: &str, _: base::PasswordHash) -> Option<base::Credential> {
        None
    }

    fn some_name(&self, _: u64) -> Option<String> {
        None
    }
}

fn listen(fixture: &Fixture) -> ListenerHandle {
    let users = [("alice".to_owned(), "secret".to_owned())];
    let options = LoginOptions {
        mechanisms: vec![Mechanism::Plain],
        plain_users: PlainUsers(users.into()),
        failure_delay: DELAY,
        ..LoginOptions::default()
    };
    let context = LoginContext {
        users: Arc::new(Nobody),
        tokens: None,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        secret: [7; 32],
    };
    let listener = bind("GRPC").with_logins(Arc::new(Logins::new(options, context)));
    listener.run(Arc::clone(&fixture.door) as _, ConnectionLimit::default())
}

/// Says with each call who it is.
#[derive(Clone)]
struct Says(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Says {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

async fn says(listener: &ListenerHandle, said: &str) -> InterceptedService<Channel, Says> {
    InterceptedService::new(connect(listener).await, Says(said.parse().unwrap()))
}

fn list() -> pb::ListTopicsRequest {
    pb::ListTopicsRequest::default()
}

#[tokio::test]
async fn a_name_and_password_let_in_and_nothing_else_does() {
    let fixture = Fixture::start().await;
    let listener = listen(&fixture);
    let mut alice = TopicsClient::new(says(&listener, ALICE).await);
    for _ in 0..3 {
        alice.list_topics(list()).await.unwrap();
    }
    // Another password for "alice", one for "bob", and things that are no login.
    for said in [
        "Basic YWxpY2U6d3Jvbmc=",
        "Basic Ym9iOnNlY3JldA==",
        "Basic secret",
        "Bearer secret",
        "Digest x",
        "alice",
    ] {
        let mut client = TopicsClient::new(says(&listener, said).await);
        let begun = Instant::now();
        let refused = client.list_topics(list()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{said}");
        assert!(begun.elapsed() >= DELAY, "{said} can be tried fast");
        assert!(!refused.message().contains("secret"));
    }
    let mut unnamed = TopicsClient::new(connect(&listener).await);
    let refused = unnamed.list_topics(list()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn each_call_of_a_connection_is_by_whom_it_says() {
    let fixture = Fixture::start().await;
    let listener = listen(&fixture);
    let channel = connect(&listener).await;
    let call = async |said: Option<&str>| {
        let mut request = Request::new(list());
        if let Some(said) = said {
            request.metadata_mut().insert("authorization", said.parse().unwrap());
        }
        TopicsClient::new(channel.clone()).list_topics(request).await.map(drop)
    };
    call(Some(ALICE)).await.unwrap();
    let refused = call(Some("Basic YWxpY2U6d3Jvbmc=")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(call(None).await.unwrap_err().code(), Code::Unauthenticated);
    call(Some(ALICE)).await.unwrap();
}

#[tokio::test]
async fn whether_the_broker_lives_is_said_to_everybody() {
    let fixture = Fixture::start().await;
    let listener = listen(&fixture);
    let mut health = HealthClient::new(connect(&listener).await);
    let told = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(told.status, 1);
}

async fn with_rules() -> Fixture {
    let fixture = Fixture::of(GrpcDoorOptions::default(), |options| {
        options.access = AccessOptions { enforce: true, ..AccessOptions::default() };
    })
    .await;
    let rule = |effect, operation, pattern| Rule {
        effect,
        operation,
        kind: ResourceKind::Topic,
        pattern,
        principal: Principal::user("alice"),
        host: None,
    };
    let literal = |name: &str| Pattern::Literal(name.into());
    let rules = [
        rule(Effect::Allow, Operation::Write, literal("news.today")),
        rule(Effect::Allow, Operation::Read, Pattern::Prefix("news.".into())),
        rule(Effect::Deny, Operation::Read, literal("news.secret")),
        rule(Effect::Allow, Operation::Write, literal("news.secret")),
        rule(Effect::Allow, Operation::Create, literal("hers")),
        rule(Effect::Allow, Operation::Read, Pattern::Prefix("services.".into())),
        rule(Effect::Allow, Operation::Write, literal("services.web")),
    ];
    for made in fixture.broker.add_rules(rules.into()).await {
        made.unwrap();
    }
    fixture
}

/// Refused for want of a rule.
fn denied<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let refused = answer.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
}

#[tokio::test]
async fn rules_say_who_may_publish_subscribe_and_make_what() {
    let fixture = with_rules().await;
    let listener = listen(&fixture);
    let alice = says(&listener, ALICE).await;
    let mut publisher = PublisherClient::new(alice.clone());
    let mut publish = async |message: pb::Message| {
        let request = pb::PublishRequest { message: Some(message), mandatory: false };
        publisher.publish(request).await.map(drop)
    };
    publish(subject("news.today", "x")).await.unwrap();
    denied(publish(subject("other", "x")).await);
    let mut topics = TopicsClient::new(alice.clone());
    let create = |name: &str| pb::CreateTopicRequest {
        name: name.to_owned(),
        partitions: 1,
        ..Default::default()
    };
    topics.create_topic(create("hers")).await.unwrap();
    denied(topics.create_topic(create("other")).await);
    denied(publish(topic("hers", "x")).await);
    let seen = topics.list_topics(list()).await.unwrap().into_inner();
    assert!(seen.topics.is_empty(), "what she may not describe");
    // What is denied within what is allowed does not come through a wildcard.
    let mut told = subscribe(alice.clone(), "news.*").await;
    assert!(matches!(next(&mut told).await.unwrap(), Told::Opened(_)));
    publish(subject("news.secret", "!")).await.unwrap();
    publish(subject("news.today", "?")).await.unwrap();
    match next(&mut told).await.unwrap() {
        Told::Deliveries(all) => {
            let payload = all.deliveries[0].message.as_ref().unwrap().payload.as_deref();
            assert_eq!((all.deliveries.len(), payload), (1, Some(&b"?"[..])));
        }
        other => panic!("{other:?} instead of a message"),
    }
    for wide in [">", "*.today", "news", "news.secret"] {
        let mut told = subscribe(alice.clone(), wide).await;
        denied(next(&mut told).await);
    }
}

use pb::subscribe_response::Response as Told;

async fn subscribe(
    channel: InterceptedService<Channel, Says>,
    filter: &str,
) -> tonic::Streaming<pb::SubscribeResponse> {
    let live = pb::Live { filters: vec![filter.to_owned()], ..Default::default() };
    let open = pb::Open { from: Some(pb::open::From::Live(live)), credit: 100 };
    let open = pb::subscribe_request::Request::Open(open);
    let first = tokio_stream::once(pb::SubscribeRequest { request: Some(open) });
    // The subscription is the stream: it stays open.
    let said = tokio_stream::StreamExt::chain(first, tokio_stream::pending());
    let mut client = pb::subscriber_client::SubscriberClient::new(channel);
    client.subscribe(said).await.unwrap().into_inner()
}

async fn next(told: &mut tonic::Streaming<pb::SubscribeResponse>) -> Result<Told, Status> {
    let next = tokio::time::timeout(HANG, told.message()).await.expect("nothing comes");
    Ok(next?.unwrap().response.unwrap())
}

#[tokio::test]
async fn services_are_registered_and_found_by_who_may() {
    let fixture = with_rules().await;
    let listener = listen(&fixture);
    let mut alice = DiscoveryClient::new(says(&listener, ALICE).await);
    let register = |service: &str| pb::RegisterRequest {
        instance: Some(pb::Instance { service: service.to_owned(), ..Default::default() }),
        ..Default::default()
    };
    alice.register(register("web")).await.unwrap();
    denied(alice.register(register("other")).await);
    let resolve = pb::ResolveRequest { service: "web".to_owned() };
    let seen = alice.resolve(resolve).await.unwrap().into_inner();
    assert_eq!(seen.instances.len(), 1);
    let (service, id) = ("other".to_owned(), "x".to_owned());
    denied(alice.deregister(pb::DeregisterRequest { service, id, ..Default::default() }).await);
}
