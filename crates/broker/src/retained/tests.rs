use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::subject::TEXT;
use base::{Filter, ManualClock, Millis};
use bytes::Bytes;

use crate::live::Batch;
use crate::message::{Message, Properties};
use crate::tests::Fixture;

fn filter(text: &str) -> Filter {
    TEXT.filter(text.as_bytes()).unwrap()
}

fn message(value: &str) -> Message {
    Message { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Message::default() }
}

/// Retains, or clears where there is no value.
async fn retain(fixture: &Fixture, subject: &str, message: &Message) {
    let route = fixture.broker.find_route(TEXT.subject(subject.as_bytes()).unwrap());
    let mut batch = Batch::default();
    let number = fixture.broker.retain(&route, message, &mut batch).unwrap();
    assert_eq!(number, 0);
    assert_eq!(fixture.broker.store(batch).await.done().await, [Ok(())]);
}

async fn retained(fixture: &Fixture, text: &str) -> Vec<(String, String)> {
    let found = fixture.broker.retained(&filter(text), None, 1000).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pair = |(subject, message): (base::Subject, Message)| {
        (subject.to_string(), text(message.value.as_deref().unwrap()))
    };
    found.into_iter().map(pair).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test]
async fn the_last_message_of_a_subject_is_kept_until_it_is_cleared() {
    let fixture = Fixture::start().await;
    for (subject, value) in [("a.1", "one"), ("a.2", "two"), ("b", "three"), ("$sys.x", "own")] {
        retain(&fixture, subject, &message(value)).await;
    }
    retain(&fixture, "a.1", &message("newer")).await;
    let all = pairs(&[("$sys.x", "own"), ("a.1", "newer"), ("a.2", "two"), ("b", "three")]);
    assert_eq!(retained(&fixture, ">").await, all);
    assert_eq!(retained(&fixture, "a.*").await, all[1..3]);
    assert_eq!(retained(&fixture, "*").await, all[3..]);
    assert_eq!(retained(&fixture, "a.2").await, all[2..3]);
    let visible = fixture.broker.retained(&filter(">").skipping_hidden(true), None, 9).await;
    assert_eq!(visible.unwrap().len(), 3);
    retain(&fixture, "a.2", &Message::default()).await;
    assert_eq!(retained(&fixture, "a.>").await, all[1..2]);
    let fixture = fixture.restart().await;
    assert_eq!(retained(&fixture, "a.>").await, all[1..2]);
    assert_eq!(fixture.broker.retained_count().await.unwrap(), 3);
}

#[tokio::test]
async fn everything_a_message_has_is_kept() {
    let fixture = Fixture::start().await;
    let full = Message {
        headers: vec![("h".into(), Some("1".into())), ("h".into(), None)],
        properties: Properties { content_type: Some("text/plain".into()), ..Properties::default() },
        timestamp: Some(1_700_000_000_000),
        original: Some(crate::Original { door: 1, bytes: "as sent".into() }),
        ..message("x")
    };
    retain(&fixture, "a", &full).await;
    let found = fixture.broker.retained(&filter("a"), None, 9).await.unwrap().remove(0).1;
    assert_eq!(found.headers, full.headers);
    assert_eq!(found.properties, full.properties);
    assert_eq!((found.timestamp, found.original), (full.timestamp, full.original));
    assert_eq!(found.key, None);
}

#[tokio::test]
async fn what_has_expired_is_not_there_any_more() {
    let clock = ManualClock::at(1_700_000_000_000);
    let fixture = Fixture::with(|options| options.clock = Arc::new(clock.clone())).await;
    let until = |expires_at: Option<Millis>, value| Message {
        properties: Properties { expires_at, ..Properties::default() },
        ..message(value)
    };
    let now = fixture.broker.now();
    retain(&fixture, "soon", &until(Some(now + 10), "x")).await;
    retain(&fixture, "later", &until(Some(now + 30), "x")).await;
    retain(&fixture, "never", &until(None, "x")).await;
    retain(&fixture, "longer", &until(Some(now + 10), "x")).await;
    retain(&fixture, "longer", &until(Some(now + 40), "x")).await;
    let subjects = |found: Vec<(String, String)>| {
        found.into_iter().map(|(subject, _)| subject).collect::<Vec<_>>()
    };
    assert_eq!(subjects(retained(&fixture, ">").await), ["later", "longer", "never", "soon"]);
    clock.advance(10);
    assert_eq!(subjects(retained(&fixture, ">").await), ["later", "longer", "never"]);
    clock.advance(25);
    assert_eq!(subjects(retained(&fixture, ">").await), ["longer", "never"]);
    retain(&fixture, "soon", &until(None, "again")).await;
    clock.advance(100);
    assert_eq!(subjects(retained(&fixture, ">").await), ["never", "soon"]);
}

#[tokio::test]
async fn many_are_read_page_by_page() {
    let fixture = Fixture::start().await;
    let mut batch = Batch::default();
    let subject = |number: u32| format!("x.{}.{number:05}", number % 3);
    for number in 0..5_000 {
        let route = fixture.broker.find_route(TEXT.subject(subject(number).as_bytes()).unwrap());
        fixture.broker.retain(&route, &message(&number.to_string()), &mut batch).unwrap();
    }
    fixture.broker.store(batch).await.done().await;
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = fixture.broker.retained(&filter("x.1.*"), after, 300).await.unwrap();
        let full = page.len() == 300;
        after = page.last().map(|(subject, _)| subject.clone());
        all.extend(page);
        if !full {
            break;
        }
    }
    let subjects: Vec<_> = all.iter().map(|(subject, _)| subject.to_string()).collect();
    let expected: Vec<_> = (0..5_000).filter(|n| n % 3 == 1).map(subject).collect();
    assert_eq!(subjects, expected);
}

/// The last value of a subject, and how often the log was read for it.
async fn last(fixture: &Fixture, subject: &str) -> (Option<String>, u64) {
    let reads = || fixture.broker.inner.retained.reads.load(Ordering::Relaxed);
    let (subject, before) = (TEXT.subject(subject.as_bytes()).unwrap(), reads());
    let message = fixture.broker.last(&subject).await.unwrap();
    assert_eq!(fixture.broker.has_last(&subject).await.unwrap(), message.is_some());
    let at_hand = fixture.broker.last_at_hand(&subject).map(|message| message.value.clone());
    assert_eq!(at_hand, message.as_ref().map(|message| message.value.clone()), "in memory now");
    let value = message.map(|message| message.value.clone().unwrap());
    (value.map(|value| String::from_utf8(value.into()).unwrap()), reads() - before)
}

#[tokio::test]
async fn who_asks_again_for_a_last_message_gets_it_from_memory() {
    let is = |value: &str, reads| (Some(value.to_owned()), reads);
    let fixture = Fixture::start().await;
    retain(&fixture, "a.1", &message("one")).await;
    retain(&fixture, "a.2", &message("two")).await;
    // Once to learn of it, once for itself.
    assert_eq!(last(&fixture, "a.1").await, is("one", 2));
    for _ in 0..1000 {
        assert_eq!(last(&fixture, "a.1").await, is("one", 0));
    }
    assert_eq!(last(&fixture, "a").await, (None, 0));
    // What comes is looked at once, however many want it, and is in memory where somebody asked.
    retain(&fixture, "a.1", &message("newer")).await;
    retain(&fixture, "a.2", &message("other")).await;
    let at_hand = |name: &str| fixture.broker.last_at_hand(&TEXT.subject(name.as_bytes()).unwrap());
    assert!(at_hand("a.1").is_none(), "the old one is not the last any more");
    assert_eq!(last(&fixture, "a.1").await, is("newer", 1));
    assert_eq!(last(&fixture, "a.1").await, is("newer", 0));
    assert_eq!(last(&fixture, "a.2").await, is("other", 1));
    assert_eq!(last(&fixture, "a.2").await, is("other", 0));
    retain(&fixture, "a.2", &Message::default()).await;
    assert_eq!(last(&fixture, "a.2").await, (None, 1));
    assert_eq!(last(&fixture, "a.2").await, (None, 0));
    let fixture = fixture.restart().await;
    assert_eq!(last(&fixture, "a.1").await.0.as_deref(), Some("newer"));
    assert_eq!(last(&fixture, "a.1").await, is("newer", 0));
    assert_eq!(last(&fixture, "a.2").await, (None, 0));
}

#[tokio::test]
async fn a_last_message_in_memory_expires_too() {
    let clock = ManualClock::at(1_700_000_000_000);
    let fixture = Fixture::with(|options| options.clock = Arc::new(clock.clone())).await;
    let expires_at = Some(fixture.broker.now() + 10);
    let properties = Properties { expires_at, ..Properties::default() };
    retain(&fixture, "a", &Message { properties, ..message("soon old") }).await;
    assert_eq!(last(&fixture, "a").await.0.as_deref(), Some("soon old"));
    clock.advance(9);
    assert_eq!(last(&fixture, "a").await.0.as_deref(), Some("soon old"));
    clock.advance(1);
    assert_eq!(last(&fixture, "a").await, (None, 0));
    retain(&fixture, "a", &message("again")).await;
    assert_eq!(last(&fixture, "a").await.0.as_deref(), Some("again"));
}
