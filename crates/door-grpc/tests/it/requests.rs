//! Asking and answering.

use std::time::Duration;

use door_grpc::pb;
use door_grpc::pb::serve_request::Request as Say;
use door_grpc::pb::serve_response::Response as Told;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Streaming};
use tonic_types::StatusExt;

use crate::support::{Fixture, HANG, subject};

struct Responder {
    say: mpsc::Sender<pb::ServeRequest>,
    told: Streaming<pb::ServeResponse>,
}

impl Responder {
    async fn start(fixture: &Fixture, filter: &str, group: &str) -> Self {
        let (say, said) = mpsc::channel(64);
        let mut client = fixture.requests().await;
        let told = client.serve(ReceiverStream::new(said)).await.unwrap().into_inner();
        let mut responder = Self { say, told };
        let (filters, group) = (vec![filter.to_owned()], group.to_owned());
        responder.say(Say::Open(pb::ServeOpen { filters, group, weight: 0, credit: 100 })).await;
        assert!(matches!(responder.next().await, Told::Opened(_)));
        responder
    }

    async fn say(&self, request: Say) {
        self.say.send(pb::ServeRequest { request: Some(request) }).await.unwrap();
    }

    async fn next(&mut self) -> Told {
        let next = tokio::time::timeout(HANG, self.told.message()).await.expect("nothing comes");
        next.unwrap().unwrap().response.unwrap()
    }

    async fn asked(&mut self) -> pb::ServeAsked {
        match self.next().await {
            Told::Asked(asked) => asked,
            other => panic!("{other:?}"),
        }
    }

    async fn answer(&self, id: u64, payload: &str, more: bool) {
        let answer = Some(pb::answer::Answer::Message(subject("", payload)));
        self.say(Say::Answer(pb::Answer { id, answer, more })).await;
    }
}

fn ask(name: &str) -> pb::RequestRequest {
    pb::RequestRequest { message: Some(subject(name, "question")) }
}

fn many(name: &str, answers_max: u32, idle_ms: u32) -> pb::RequestManyRequest {
    pb::RequestManyRequest { message: Some(subject(name, "question")), answers_max, idle_ms }
}

fn payload(response: pb::RequestResponse) -> String {
    String::from_utf8(response.message.unwrap().payload.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_question_is_answered() {
    let fixture = Fixture::start().await;
    let mut responder = Responder::start(&fixture, "svc.*", "").await;
    let mut client = fixture.requests().await;
    let message =
        pb::Message { correlation_id: Some("mine".into()), ..subject("svc.echo", "question") };
    let asking =
        tokio::spawn(
            async move { client.request(pb::RequestRequest { message: Some(message) }).await },
        );
    let asked = responder.asked().await;
    let message = asked.message.unwrap();
    assert_eq!(
        (&message.subject[..], &message.payload.unwrap()[..]),
        ("svc.echo", &b"question"[..])
    );
    assert!(message.reply_to.is_some());
    responder.answer(asked.id, "answer", false).await;
    let told = asking.await.unwrap().unwrap().into_inner().message.unwrap();
    assert_eq!(&told.payload.unwrap()[..], b"answer");
    assert_eq!(&told.correlation_id.unwrap()[..], b"mine", "it is repeated");
}

#[tokio::test]
async fn who_asks_nobody_is_told_at_once_and_who_waits_too_long_in_time() {
    let fixture = Fixture::start().await;
    let mut client = fixture.requests().await;
    let status = client.request(ask("nobody")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_error_info().unwrap().reason, "NO_RESPONDERS");
    let _silent = Responder::start(&fixture, "silent", "").await;
    let mut request = Request::new(ask("silent"));
    request.set_timeout(Duration::from_millis(200));
    let status = client.request(request).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
}

#[tokio::test]
async fn an_error_is_the_call_s() {
    let fixture = Fixture::start().await;
    let mut responder = Responder::start(&fixture, "svc", "").await;
    let mut client = fixture.requests().await;
    let asking = tokio::spawn(async move { client.request(ask("svc")).await });
    let id = responder.asked().await.id;
    let error = pb::ServeError { code: Code::OutOfRange.into(), message: "no: \u{e9}".to_owned() };
    let answer = Some(pb::answer::Answer::Error(error));
    responder.say(Say::Answer(pb::Answer { id, answer, more: false })).await;
    let status = asking.await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::OutOfRange, "no: \u{e9}"));
}

#[tokio::test]
async fn several_answers_are_a_stream_that_ends() {
    let fixture = Fixture::start().await;
    let mut responder = Responder::start(&fixture, "svc", "").await;
    let mut client = fixture.requests().await;
    let mut told = client.request_many(many("svc", 0, 0)).await.unwrap().into_inner();
    let id = responder.asked().await.id;
    for n in 0..3 {
        responder.answer(id, &n.to_string(), n < 2).await;
    }
    let mut got = Vec::new();
    while let Some(answer) = told.message().await.unwrap() {
        got.push(payload(answer));
    }
    assert_eq!(got, ["0", "1", "2"]);
    // By their number.
    let mut told = client.request_many(many("svc", 2, 0)).await.unwrap().into_inner();
    let id = responder.asked().await.id;
    for n in 0..3 {
        responder.answer(id, &n.to_string(), true).await;
    }
    assert_eq!(payload(told.message().await.unwrap().unwrap()), "0");
    assert_eq!(payload(told.message().await.unwrap().unwrap()), "1");
    assert!(told.message().await.unwrap().is_none());
    // When none comes any more.
    let mut told = client.request_many(many("svc", 0, 300)).await.unwrap().into_inner();
    let id = responder.asked().await.id;
    responder.answer(id, "only", true).await;
    assert_eq!(payload(told.message().await.unwrap().unwrap()), "only");
    assert!(told.message().await.unwrap().is_none());
}

#[tokio::test]
async fn of_a_group_of_responders_each_has_its_turn() {
    let fixture = Fixture::start().await;
    let mut all = Vec::new();
    for name in ["one", "two"] {
        let mut responder = Responder::start(&fixture, "svc", "g").await;
        all.push(tokio::spawn(async move {
            for _ in 0..5 {
                let id = responder.asked().await.id;
                responder.answer(id, name, false).await;
            }
            // Its last answer is on its way as long as it is there.
            responder
        }));
    }
    let mut client = fixture.requests().await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(payload(client.request(ask("svc")).await.unwrap().into_inner()));
    }
    assert_eq!(answers.iter().filter(|answer| *answer == "one").count(), 5, "{answers:?}");
    for one in all {
        one.await.unwrap();
    }
}
