//! What is known of messages that are followed.

use observe::trace::{Span, Step};

use super::dead_letters::letter;
use super::*;

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

fn traced(flags: &str) -> Message {
    let parent = format!("00-{TRACE:032x}-00f067aa0ba902b7-{flags}");
    let headers = vec![(bytes("Traceparent"), Some(bytes(&parent)))];
    Message { headers, ..message("a") }
}

fn fact<'a>(span: &'a Span, name: &str) -> &'a str {
    let found = span.facts.iter().find(|(known, _)| *known == name);
    found.map_or("", |(_, value)| value)
}

#[tokio::test]
async fn a_message_is_followed_from_queue_to_queue() {
    let settings = QueueSettings {
        dead_letter: Some(DeadLetterTo { exchange: bytes(""), key: Some(bytes("graves")) }),
        ..QueueSettings::default()
    };
    for (kind, spec) in both(&settings).into_iter().enumerate() {
        let fixture = Fixture::start().await;
        fixture.queue("graves", &durable()).await;
        let queue = fixture.queue("q", &spec).await;
        fixture.send("", "q", traced("01")).await.unwrap();
        let holder = fixture.broker.new_holder(0);
        for settlement in [BACK, Settlement::Reject] {
            let (one, _) = queue.get(&holder, false).await.unwrap().unwrap();
            holder.settle(&[(one.id, settlement)]);
        }
        letter(&fixture, "graves").await;
        let spans = fixture.broker.observe().traces.trace(TRACE);
        let told: Vec<_> = spans
            .iter()
            .map(|one| (one.step, one.destination.as_str(), fact(one, "outcome")))
            .collect();
        let mut expected = vec![
            (Step::Receive, "q", ""),
            (Step::Deliver, "q", "returned"),
            (Step::Deliver, "q", "rejected"),
            (Step::Bury, "q", ""),
            (Step::Deliver, "graves", "accepted"),
        ];
        if kind == 0 {
            let topic = spans[1].destination.as_str();
            expected.insert(1, (Step::Store, topic, ""));
            assert_eq!(spans[1].stored.unwrap().offset, Some(0));
        }
        assert_eq!(told, expected);
        assert!(spans.iter().all(|span| span.taken.is_some() && span.error.is_none()));
        assert_eq!(spans[0].parent_id, 0x00f0_67aa_0ba9_02b7);
        assert!(spans[1..].iter().all(|span| span.parent_id == spans[0].span_id));
        let bury = spans.iter().find(|span| span.step == Step::Bury).unwrap();
        assert_eq!(fact(bury, "reason"), "rejected");
    }
}

#[tokio::test]
async fn what_is_not_sampled_or_not_to_be_followed_is_not() {
    let fixture = Fixture::start().await;
    fixture.queue("q", &durable()).await;
    fixture.send("", "q", traced("00")).await.unwrap();
    let traces = &fixture.broker.observe().traces;
    assert!(traces.trace(TRACE).is_empty());
    traces.set_on(false);
    fixture.send("", "q", traced("01")).await.unwrap();
    assert!(traces.trace(TRACE).is_empty());
    traces.set_on(true);
    fixture.send("", "q", traced("01")).await.unwrap();
    assert_eq!(traces.trace(TRACE).len(), 2);
}

#[tokio::test]
async fn what_a_consumer_holds_ends_with_it_and_what_it_does_not_take_is_told() {
    let fixture = Fixture::start().await;
    let queue = fixture.queue("q", &durable()).await;
    let sink = Arc::new(Sink { room: Mutex::new(Some(0)), ..Sink::default() });
    let holder = fixture.broker.new_holder(0);
    let consumer = queue.consume(&holder, options(&sink)).unwrap();
    fixture.send("", "q", traced("01")).await.unwrap();
    let outcomes = || {
        let spans = fixture.broker.observe().traces.trace(TRACE);
        let delivered = spans.iter().filter(|span| span.step == Step::Deliver);
        delivered.map(|span| fact(span, "outcome").to_owned()).collect::<Vec<_>>()
    };
    until("it was refused", || outcomes().len() == 1).await;
    *sink.room.lock() = None;
    consumer.ready();
    sink.take(1).await;
    assert_eq!(outcomes(), ["not taken: there is no room", ""]);
    drop((consumer, holder));
    until("it came back", || outcomes().last().is_some_and(|last| !last.is_empty())).await;
    assert_eq!(outcomes()[1], "returned: its consumer is gone");
}
