//! Subscribing.

use door_grpc::pb;
use door_grpc::pb::open::From;
use door_grpc::pb::subscribe_request::Request as Say;
use door_grpc::pb::subscriber_client::SubscriberClient;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{Fixture, Subscribed, Told, queue, subject, topic};

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn earliest() -> Option<pb::Start> {
    Some(pb::Start { at: Some(pb::start::At::Earliest(true)) })
}

fn offsets(topics: &[&str], subscription: &str) -> From {
    From::Offsets(pb::Offsets {
        topics: topics.iter().map(|topic| topic.to_string()).collect(),
        subscription: subscription.to_owned(),
        start: earliest(),
    })
}

fn shared(topics: &[&str], subscription: &str) -> From {
    From::Shared(pb::Shared {
        topics: topics.iter().map(|topic| topic.to_string()).collect(),
        subscription: subscription.to_owned(),
    })
}

fn from_queue(name: &str) -> From {
    From::Queue(pb::Queue { name: name.to_owned(), ..Default::default() })
}

#[tokio::test]
async fn who_listens_gets_each_message_once_and_as_it_was() {
    let fixture = Fixture::start().await;
    let mut live = fixture.live(&["a.*", "a.>", "b"]).await;
    let header = pb::Header { name: "h".to_owned(), value: None };
    let message = pb::Message {
        headers: vec![header.clone(), header],
        content_type: Some(String::new()),
        correlation_id: Some(vec![0, 255].into()),
        timestamp_ms: Some(12),
        expires_at_ms: Some(i64::MAX),
        priority: Some(255),
        reply_to: Some("r".to_owned()),
        ..subject("a.b", "x")
    };
    fixture.publish([message.clone(), subject("c", "nobody"), subject("b", "y")]).await;
    let delivery = live.delivery().await;
    assert_eq!((delivery.message, delivery.id, delivery.place), (Some(message), 0, None));
    assert_eq!(live.payload().await, "y");
}

#[tokio::test]
async fn what_a_topic_keeps_comes_with_its_place() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1, &[("entrepot.bind", "s.>")]).await;
    let mut live = fixture.live(&["s.>"]).await;
    fixture.publish([subject("s.1", "x")]).await;
    let delivery = live.delivery().await;
    let place = pb::Place { topic: "t".to_owned(), partition: 0, offset: 0 };
    assert_eq!((delivery.message.unwrap().subject, delivery.place), ("s.1".into(), Some(place)));
}

#[tokio::test]
async fn no_more_comes_than_there_is_credit_for() {
    let fixture = Fixture::start().await;
    let live = pb::Live { filters: vec!["a".to_owned()], ..Default::default() };
    let mut live = fixture.subscribe(From::Live(live), 2).await;
    fixture.publish((0..5).map(|n| subject("a", &n.to_string()))).await;
    assert_eq!(live.payloads(2).await, ["0", "1"]);
    // What was said after it is answered, and nothing came before: only then there is credit for more.
    live.say(Say::Credit(1)).await;
    assert_eq!(live.payload().await, "2");
    live.say(Say::Credit(9)).await;
    assert_eq!(live.payloads(2).await, ["3", "4"]);
}

#[tokio::test]
async fn who_falls_behind_is_cut_off_or_told_what_is_missing() {
    let fixture = Fixture::start().await;
    let filters = vec!["a".to_owned()];
    let live = pb::Live { filters: filters.clone(), ..Default::default() };
    let mut cut = fixture.subscribe(From::Live(live), 0).await;
    let overflow = pb::Overflow::Drop.into();
    let live = pb::Live { filters, overflow, ..Default::default() };
    let mut told = fixture.subscribe(From::Live(live), 0).await;
    let large = "x".repeat(1_000_000);
    fixture.publish((0..10).map(|_| subject("a", &large))).await;
    let status = cut.next().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_error_info().unwrap().reason, "SLOW_SUBSCRIBER");
    told.say(Say::Credit(100)).await;
    let mut got = 0;
    let missed = loop {
        match told.next().await.unwrap() {
            Told::Deliveries(all) => got += all.deliveries.len() as u64,
            Told::Missed(missed) => break missed,
            other => panic!("{other:?}"),
        }
    };
    assert!(missed > 0);
    assert_eq!(got + missed, 10);
    fixture.publish([subject("a", "again")]).await;
    assert_eq!(told.payload().await, "again");
}

#[tokio::test]
async fn of_a_group_one_gets_a_message() {
    let fixture = Fixture::start().await;
    let live = || {
        let (filters, group) = (vec!["a".to_owned()], "g".to_owned());
        From::Live(pb::Live { filters, group, ..Default::default() })
    };
    let mut one = fixture.subscribe(live(), 100).await;
    let mut two = fixture.subscribe(live(), 100).await;
    fixture.publish((0..10).map(|n| subject("a", &n.to_string()))).await;
    let mut all = one.payloads(5).await;
    all.extend(two.payloads(5).await);
    all.sort();
    assert_eq!(all, numbers(0..10));
}

#[tokio::test]
async fn offsets_are_read_in_order_and_from_where_one_says() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1, &[]).await;
    fixture.publish((0..100).map(|n| topic("t", &n.to_string()))).await;
    let mut all = fixture.subscribe(offsets(&["t"], ""), 30).await;
    assert_eq!(all.payloads(30).await, numbers(0..30));
    all.say(Say::Credit(1000)).await;
    assert_eq!(all.payloads(70).await, numbers(30..100));
    fixture.publish([topic("t", "100")]).await;
    assert_eq!(all.payload().await, "100");
    let at = |at| {
        let start = Some(pb::Start { at: Some(at) });
        From::Offsets(pb::Offsets { topics: vec!["t".to_owned()], start, ..Default::default() })
    };
    let position = pb::Position { topic: "t".to_owned(), partition: 0, offset: 98 };
    let positions = pb::Positions { positions: vec![position] };
    let mut rest = fixture.subscribe(at(pb::start::At::Positions(positions)), 9).await;
    assert_eq!(rest.payloads(3).await, ["98", "99", "100"]);
    let mut new = fixture.subscribe(at(pb::start::At::Latest(true)), 9).await;
    fixture.publish([topic("t", "101")]).await;
    assert_eq!(new.payload().await, "101");
}

#[tokio::test]
async fn a_subscription_goes_on_where_it_was_committed() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1, &[]).await;
    fixture.publish((0..10).map(|n| topic("t", &n.to_string()))).await;
    let assigned = |told: Told| match told {
        Told::Assigned(pb::Assigned { positions }) => positions,
        other => panic!("{other:?}"),
    };
    let mut first = Subscribed::begin(fixture.connect().await, offsets(&["t"], "s"), 100).await;
    assert_eq!(assigned(first.next().await.unwrap())[0].offset, 0);
    assert!(matches!(first.next().await.unwrap(), Told::Opened(_)));
    assert_eq!(first.payloads(10).await, numbers(0..10));
    first.commit(&[("t", 0, 4), ("t", 1, 7)], 5).await;
    let Told::Committed(confirmed) = first.next().await.unwrap() else { panic!("no answer") };
    assert_eq!((confirmed.confirm, confirmed.failures), (5, vec!["t:1".to_owned()]));
    drop(first);
    // poll: until the group knows that its member is gone, at most as long as anything here takes
    let mut second = Subscribed::begin(fixture.connect().await, offsets(&["t"], "s"), 100).await;
    let position = loop {
        match second.next().await.unwrap() {
            Told::Assigned(pb::Assigned { positions }) if !positions.is_empty() => {
                break positions[0].offset;
            }
            Told::Assigned(_) | Told::Opened(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(position, 4);
}

#[tokio::test]
async fn partitions_are_divided_among_those_who_share_a_subscription() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 4, &[]).await;
    let mut one = Subscribed::begin(fixture.connect().await, offsets(&["t"], "s"), 100).await;
    let assigned = async |one: &mut Subscribed, count: usize| loop {
        if let Told::Assigned(pb::Assigned { positions }) = one.next().await.unwrap()
            && positions.len() == count
        {
            let numbers = positions.iter().map(|position| position.partition);
            return numbers.collect::<Vec<_>>();
        }
    };
    assert_eq!(assigned(&mut one, 4).await, [0, 1, 2, 3]);
    let mut two = Subscribed::begin(fixture.connect().await, offsets(&["t"], "s"), 100).await;
    let mut all = assigned(&mut one, 2).await;
    all.extend(assigned(&mut two, 2).await);
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    drop(two);
    assert_eq!(assigned(&mut one, 4).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn what_is_shared_is_settled_one_by_one() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1, &[]).await;
    fixture.begin_at_earliest("s").await;
    let mut one = fixture.subscribe(shared(&["t"], "s"), 100).await;
    fixture.publish((0..4).map(|n| topic("t", &n.to_string()))).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        let delivery = one.delivery().await;
        assert_eq!((delivery.redeliveries, delivery.place.unwrap().offset), (0, n));
        ids.push(delivery.id);
    }
    one.settle(&ids[..1], pb::Action::Accept, 0).await;
    one.settle(&ids[1..2], pb::Action::Extend, 0).await;
    one.settle(&ids[2..3], pb::Action::Reject, 0).await;
    one.settle(&[ids[0], 999], pb::Action::Accept, 8).await;
    let Told::Settled(confirmed) = one.next().await.unwrap() else { panic!("no answer") };
    assert_eq!(confirmed.confirm, 8);
    assert_eq!(confirmed.failures, [ids[0].to_string(), "999".to_owned()]);
    one.settle(&ids[3..], pb::Action::Return, 0).await;
    let again = one.delivery().await;
    assert_eq!((again.redeliveries, again.place.unwrap().offset), (1, 3));
    // What a client has that goes away comes to another.
    let mut two = fixture.subscribe(shared(&["t"], "s"), 100).await;
    drop(one);
    let mut offsets = [two.delivery().await, two.delivery().await];
    offsets.sort_by_key(|one| one.place.as_ref().unwrap().offset);
    let seen = offsets.map(|one| (one.place.unwrap().offset, one.redeliveries));
    assert_eq!(seen, [(1, 1), (3, 2)]);
}

#[tokio::test]
async fn a_queue_gives_each_message_to_one_until_it_is_settled() {
    let fixture = Fixture::start().await;
    fixture.queue("q").await;
    fixture.publish((0..4).map(|n| queue("q", &n.to_string()))).await;
    let mut one = fixture.subscribe(from_queue("q"), 3).await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let delivery = one.delivery().await;
        let message = delivery.message.unwrap();
        assert_eq!(
            (&message.queue[..], &message.payload.unwrap()[..]),
            ("q", n.to_string().as_bytes())
        );
        ids.push(delivery.id);
    }
    one.settle(&ids[..1], pb::Action::Accept, 1).await;
    assert!(matches!(one.next().await.unwrap(), Told::Settled(_)));
    let mut two = fixture.subscribe(from_queue("q"), 100).await;
    assert_eq!(two.payload().await, "3");
    one.settle(&ids[1..2], pb::Action::Return, 0).await;
    let back = two.delivery().await;
    assert_eq!((back.redeliveries, &back.message.unwrap().payload.unwrap()[..]), (1, &b"1"[..]));
    drop(one);
    assert_eq!(two.payload().await, "2");
    let wrong = pb::Action::Extend;
    two.settle(&[1], wrong, 0).await;
    assert_eq!(two.next().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_messages() {
    let fixture = Fixture::start().await;
    let mut live = fixture.live(&["a"]).await;
    live.say = None;
    fixture.publish([subject("a", "x")]).await;
    assert_eq!(live.payload().await, "x");
}

#[tokio::test]
async fn who_cannot_stream_requests_listens() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1, &[]).await;
    fixture.publish((0..3).map(|n| topic("t", &n.to_string()))).await;
    let mut client = SubscriberClient::new(fixture.connect().await);
    let offsets = |subscription: &str| {
        let (topics, subscription) = (vec!["t".to_owned()], subscription.to_owned());
        let offsets = pb::Offsets { topics, subscription, start: earliest() };
        pb::ListenRequest { from: Some(pb::listen_request::From::Offsets(offsets)) }
    };
    let mut told = client.listen(offsets("")).await.unwrap().into_inner();
    let mut got = Vec::new();
    while got.len() < 3 {
        if let Some(Told::Deliveries(all)) = told.message().await.unwrap().unwrap().response {
            got.extend(all.deliveries.into_iter().map(|one| one.message.unwrap().payload.unwrap()));
        }
    }
    assert_eq!(got, ["0", "1", "2"]);
    let mut told = client.listen(offsets("s")).await.unwrap().into_inner();
    assert_eq!(told.message().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn what_cannot_be_opened_is_said() {
    let fixture = Fixture::start().await;
    let live = |filters: &[&str]| {
        let filters = filters.iter().map(|filter| filter.to_string()).collect();
        From::Live(pb::Live { filters, ..Default::default() })
    };
    let wrong = [
        (live(&[]), Code::InvalidArgument),
        (live(&["a..b"]), Code::InvalidArgument),
        (live(&["a.>.b"]), Code::InvalidArgument),
        (offsets(&["none"], ""), Code::NotFound),
        (shared(&["none"], "s"), Code::NotFound),
        (from_queue("none"), Code::NotFound),
    ];
    for (from, code) in wrong {
        let mut one = Subscribed::begin(fixture.connect().await, from.clone(), 1).await;
        assert_eq!(one.next().await.unwrap_err().code(), code, "{from:?}");
    }
    let mut twice = fixture.live(&["a"]).await;
    let open = pb::Open { from: Some(live(&["b"])), credit: 1 };
    twice.say(Say::Open(open)).await;
    assert_eq!(twice.next().await.unwrap_err().code(), Code::InvalidArgument);
}
