//! Publishing.

use door_grpc::pb;
use door_grpc::pb::publisher_client::PublisherClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{Fixture, queue, subject, topic};

fn request(message: pb::Message, mandatory: bool) -> pb::PublishRequest {
    pb::PublishRequest { message: Some(message), mandatory }
}

#[tokio::test]
async fn a_message_for_nobody_is_told_only_to_who_wants_to_know() {
    let fixture = Fixture::start().await;
    let mut client = PublisherClient::new(fixture.connect().await);
    let told = client.publish(request(subject("a.b", "x"), false)).await.unwrap().into_inner();
    assert_eq!((told.receivers, told.stored), (0, false));
    let refused = client.publish(request(subject("a.b", "x"), true)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "NOBODY");
}

#[tokio::test]
async fn a_message_for_a_topic_is_told_its_place() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1, &[]).await;
    let mut client = PublisherClient::new(fixture.connect().await);
    for offset in 0..3 {
        let told = client.publish(request(topic("t", "x"), true)).await.unwrap().into_inner();
        let place = pb::Place { topic: "t".to_owned(), partition: 0, offset };
        assert_eq!((told.stored, told.place), (true, Some(place)));
    }
    let refused = client.publish(request(topic("none", "x"), false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let refused = client.publish(request(queue("none", "x"), false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn what_a_call_says_of_its_trace_goes_with_its_message() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fixture = Fixture::start().await;
    let mut listener = fixture.live(&["a.>"]).await;
    let mut client = PublisherClient::new(fixture.connect().await);
    let header = |value: &'static str| pb::Header {
        name: "traceparent".to_owned(),
        value: Some(value.as_bytes().into()),
    };
    for (own, wanted) in [(vec![], TRACE), (vec![header("its own")], "its own")] {
        let message = pb::Message { headers: own, ..subject("a.b", "x") };
        let mut call = tonic::Request::new(request(message, true));
        call.metadata_mut().insert("traceparent", TRACE.parse().unwrap());
        client.publish(call).await.unwrap();
        let told = listener.delivery().await.message.unwrap();
        assert_eq!(told.headers, [header(wanted)]);
    }
}

#[tokio::test]
async fn a_stream_is_told_what_is_stored_and_what_is_not_and_goes_on() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 3, &[("entrepot.bind", "s.>")]).await;
    fixture.queue("q").await;
    let (say, said) = mpsc::channel(4);
    let mut client = PublisherClient::new(fixture.connect().await);
    let mut told = client.publish_stream(ReceiverStream::new(said)).await.unwrap().into_inner();
    let odd = pb::Message { priority: Some(300), ..subject("s.1", "x") };
    let messages = vec![
        subject("s.1", "1"),
        topic("none", "2"),
        queue("q", "3"),
        odd,
        topic("t", "5"),
        subject("nobody", "6"),
    ];
    say.send(pb::PublishStreamRequest { messages, mandatory: true }).await.unwrap();
    let mut failures = Vec::new();
    let mut decided = 0;
    while decided < 6 {
        let answer = told.message().await.unwrap().unwrap();
        assert!(answer.decided > decided);
        decided = answer.decided;
        failures.extend(answer.failures.into_iter().map(|one| (one.number, one.code)));
    }
    let (not_found, invalid) = (Code::NotFound.into(), Code::InvalidArgument.into());
    assert_eq!(failures, [(2, not_found), (4, invalid), (6, not_found)]);
    for _ in 0..100 {
        let messages = (0..10).map(|n| subject("s.2", &n.to_string())).collect();
        say.send(pb::PublishStreamRequest { messages, mandatory: false }).await.unwrap();
    }
    drop(say);
    while let Some(answer) = told.message().await.unwrap() {
        assert!(answer.failures.is_empty());
        decided = answer.decided;
    }
    assert_eq!(decided, 1006);
    let stored: i64 = fixture
        .broker
        .topic("t")
        .map_or(0, |topic| (0..3).map(|partition| topic.log(partition).unwrap().range().end).sum());
    assert_eq!(stored, 1002);
}

#[tokio::test]
async fn a_message_that_a_topic_does_not_take_is_refused() {
    let fixture = Fixture::start().await;
    fixture.topic("small", 1, &[("max.message.bytes", "1000")]).await;
    let mut client = PublisherClient::new(fixture.connect().await);
    for large in [topic("small", &"x".repeat(1000)), subject("small", &"x".repeat(1000))] {
        let refused = client.publish(request(large, false)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.get_details_error_info().unwrap().reason, "TOO_LARGE");
    }
}
