//! From exchanges to queues.

use base::subject::KEYS;

use super::*;
use crate::exchanges::ExchangeError;

fn exchange_name(name: &str) -> ExchangeName {
    ExchangeName { space: Bytes::new(), name: bytes(name) }
}

pub(super) fn exchange_spec(kind: ExchangeKind) -> ExchangeSpec {
    ExchangeSpec {
        kind,
        durable: true,
        auto_delete: false,
        internal: false,
        alternate: None,
        arguments: Bytes::new(),
    }
}

impl Fixture {
    pub(super) async fn exchange(&self, name: &str, kind: ExchangeKind) {
        let spec = exchange_spec(kind);
        self.broker.declare_exchange(&exchange_name(name), &spec).await.unwrap();
    }

    pub(super) async fn bind(&self, exchange: &str, queue: &str, key: &str) {
        let binding = Binding { key: bytes(key), ..Binding::default() };
        let to = BindTo::Queue(queue_name(queue));
        self.broker.bind(&exchange_name(exchange), &to, binding).await.unwrap();
    }

    async fn ready(&self, queue: &str) -> u64 {
        self.broker.queue(&queue_name(queue)).unwrap().counts().ready
    }

    async fn drain(&self, queue: &str) -> Vec<Delivered> {
        let queue = self.broker.queue(&queue_name(queue)).unwrap();
        let holder = self.broker.new_holder(0);
        let all = get_all(&queue, &holder).await;
        accept(&holder, &all);
        all
    }
}

#[tokio::test]
async fn each_kind_routes_as_it_says() {
    let fixture = Fixture::start().await;
    let specs = both(&QueueSettings::default());
    for (name, spec) in [("d", &specs[0]), ("t", &specs[1]), ("u", &specs[0])] {
        fixture.queue(name, spec).await;
    }
    for (name, kind) in [
        ("direct", ExchangeKind::Direct),
        ("fanout", ExchangeKind::Fanout),
        ("topic", ExchangeKind::Topic),
    ] {
        fixture.exchange(name, kind).await;
    }
    fixture.bind("direct", "d", "k").await;
    fixture.bind("direct", "t", "k").await;
    fixture.bind("direct", "u", "other").await;
    fixture.bind("fanout", "d", "any").await;
    fixture.bind("fanout", "d", "twice").await;
    fixture.bind("topic", "d", "a.*.c").await;
    fixture.bind("topic", "t", "a.#").await;
    fixture.bind("topic", "u", "a.b").await;
    let counts = async || {
        (
            fixture.drain("d").await.len(),
            fixture.drain("t").await.len(),
            fixture.drain("u").await.len(),
        )
    };
    let sent = fixture.send("direct", "k", message("1")).await.unwrap();
    assert!(!sent.is_lost());
    let d = fixture.drain("d").await;
    let origin = Origin::Exchange { exchange: bytes("direct"), key: bytes("k") };
    assert_eq!(d.iter().map(|one| &one.origin).collect::<Vec<_>>(), [&origin]);
    assert_eq!(fixture.drain("t").await[0].origin, origin);
    assert_eq!(fixture.ready("u").await, 0);
    fixture.send("fanout", "whatever", message("2")).await.unwrap();
    assert_eq!(counts().await, (1, 0, 0), "once, however often it is bound");
    fixture.send("topic", "a.b.c", message("3")).await.unwrap();
    assert_eq!(counts().await, (1, 1, 0));
    fixture.send("topic", "a.b", message("4")).await.unwrap();
    assert_eq!(counts().await, (0, 1, 1));
    assert!(fixture.send("topic", "b", message("5")).await.unwrap().is_lost());
    assert!(fixture.send("", "nobody", message("6")).await.unwrap().is_lost());
}

#[tokio::test]
async fn headers_decide_where_they_are_asked_for() {
    let fixture = Fixture::start().await;
    fixture.exchange("h", ExchangeKind::Headers).await;
    let matching = |all| {
        let headers =
            vec![(bytes("a"), HeaderValue::Is(bytes("1"))), (bytes("b"), HeaderValue::Any)];
        Some(HeaderMatch { all, headers })
    };
    for (name, all) in [("all", true), ("any", false)] {
        fixture.queue(name, &durable()).await;
        let binding = Binding { matching: matching(all), ..Binding::default() };
        let to = BindTo::Queue(queue_name(name));
        fixture.broker.bind(&exchange_name("h"), &to, binding).await.unwrap();
    }
    let headers = |of: &[(&str, &str)]| {
        let header = |(name, value): &(&str, &str)| (bytes(name), Some(bytes(value)));
        Message { headers: of.iter().map(header).collect(), ..message("x") }
    };
    for (of, all, any) in [
        (vec![("a", "1"), ("b", "2")], 1, 1),
        (vec![("a", "1")], 0, 1),
        (vec![("a", "2")], 0, 0),
        (vec![("b", "2")], 0, 1),
        (vec![], 0, 0),
    ] {
        fixture.send("h", "", headers(&of)).await.unwrap();
        let got = (fixture.drain("all").await.len(), fixture.drain("any").await.len());
        assert_eq!(got, (all, any), "{of:?}");
    }
}

#[tokio::test]
async fn exchanges_are_bound_to_exchanges_even_in_a_circle_and_have_alternates() {
    let fixture = Fixture::start().await;
    fixture.queue("q", &durable()).await;
    fixture.queue("lost", &durable()).await;
    fixture.exchange("spare", ExchangeKind::Fanout).await;
    fixture.bind("spare", "lost", "").await;
    let spec =
        ExchangeSpec { alternate: Some(bytes("spare")), ..exchange_spec(ExchangeKind::Direct) };
    fixture.broker.declare_exchange(&exchange_name("a"), &spec).await.unwrap();
    fixture.exchange("b", ExchangeKind::Topic).await;
    let bind = async |from: &str, to: &str| {
        let binding = Binding { key: bytes("k"), ..Binding::default() };
        let to = BindTo::Exchange(exchange_name(to));
        fixture.broker.bind(&exchange_name(from), &to, binding).await.unwrap();
    };
    bind("a", "b").await;
    bind("b", "a").await;
    fixture.bind("b", "q", "#").await;
    fixture.send("a", "k", message("1")).await.unwrap();
    assert_eq!((fixture.drain("q").await.len(), fixture.drain("lost").await.len()), (1, 0));
    fixture.send("a", "other", message("2")).await.unwrap();
    assert_eq!((fixture.drain("q").await.len(), fixture.drain("lost").await.len()), (0, 1));
}

#[tokio::test]
async fn every_exchange_on_the_way_considers_all_keys() {
    let fixture = Fixture::start().await;
    for name in ["one", "two", "spare", "named"] {
        fixture.queue(name, &durable()).await;
    }
    fixture.exchange("rest", ExchangeKind::Fanout).await;
    fixture.bind("rest", "spare", "").await;
    let spec =
        ExchangeSpec { alternate: Some(bytes("rest")), ..exchange_spec(ExchangeKind::Direct) };
    fixture.broker.declare_exchange(&exchange_name("entry"), &spec).await.unwrap();
    fixture.exchange("topic", ExchangeKind::Topic).await;
    let to = BindTo::Exchange(exchange_name("topic"));
    let binding = Binding { key: bytes("a"), ..Binding::default() };
    fixture.broker.bind(&exchange_name("entry"), &to, binding).await.unwrap();
    fixture.bind("topic", "one", "b.*").await;
    fixture.bind("entry", "two", "c").await;
    let mut routes = fixture.broker.new_exchange_routes(Bytes::new());
    let mut found = |exchange: &str, keys: &[&str]| {
        let extra: Vec<_> = keys[1..].iter().map(|key| bytes(key)).collect();
        let (exchange, key) = (exchange.as_bytes(), keys[0].as_bytes());
        let route = routes.find(&fixture.broker, exchange, key, &extra, Vec::new).unwrap();
        let name = |to: &crate::exchanges::Target| to.name().name.clone();
        route.queues().iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(found("entry", &["", "a", "b.x"]), ["one"], "one key leads on, another from there");
    assert_eq!(found("entry", &["c", "b.x"]), ["two"], "what is found by any key is found");
    assert_eq!(found("entry", &["b.x", "other"]), ["spare"]);
    assert_eq!(found("", &["one", "named", "one"]), ["named", "one"]);
    assert_eq!(found("entry", &["a"]), Vec::<Bytes>::new(), "nor is what others had");
}

#[tokio::test]
async fn bindings_outlive_a_restart_and_end_with_what_they_bind() {
    let fixture = Fixture::start().await;
    fixture.queue("q", &durable()).await;
    fixture.queue("memory", &QueueSpec::default()).await;
    fixture.exchange("x", ExchangeKind::Direct).await;
    fixture.bind("x", "q", "k").await;
    fixture.bind("x", "memory", "k").await;
    let fixture = fixture.restart().await;
    let exchange = fixture.broker.exchange(&exchange_name("x")).expect("it is durable");
    assert_eq!(exchange.bindings().len(), 1);
    fixture.send("x", "k", message("1")).await.unwrap();
    assert_eq!(fixture.drain("q").await.len(), 1);
    let refused = fixture.broker.delete_exchange(&exchange_name("x"), true).await;
    assert_eq!(refused, Err(ExchangeError::InUse));
    fixture.broker.delete_queue(&queue_name("q"), DeleteOnly::default(), ME).await.unwrap();
    assert!(exchange.is_unused());
    let fixture = fixture.restart().await;
    let exchange = fixture.broker.exchange(&exchange_name("x")).unwrap();
    assert!(exchange.is_unused(), "in the metadata store, too");
    drop(exchange);
    fixture.broker.delete_exchange(&exchange_name("x"), true).await.unwrap();
    let fixture = fixture.restart().await;
    assert!(fixture.broker.exchange(&exchange_name("x")).is_none());
}

#[tokio::test]
async fn routes_are_looked_up_anew_when_something_changes() {
    let fixture = Fixture::start().await;
    fixture.exchange("x", ExchangeKind::Direct).await;
    fixture.queue("q", &durable()).await;
    let mut routes = fixture.broker.new_exchange_routes(Bytes::new());
    let mut count = || {
        let route = routes.find(&fixture.broker, b"x", b"k", &[], Vec::new).unwrap();
        route.queues().len()
    };
    assert_eq!(count(), 0);
    fixture.bind("x", "q", "k").await;
    assert_eq!(count(), 1);
    let binding = Binding { key: bytes("k"), ..Binding::default() };
    let to = BindTo::Queue(queue_name("q"));
    fixture.broker.unbind(&exchange_name("x"), &to, &binding).await.unwrap();
    assert_eq!(count(), 0);
    fixture.broker.delete_exchange(&exchange_name("x"), false).await.unwrap();
    let gone = routes.find(&fixture.broker, b"x", b"k", &[], Vec::new);
    assert_eq!(gone.err(), Some(ExchangeError::NotFound));
}

#[tokio::test]
async fn what_others_publish_to_a_subject_lands_in_queues_and_the_reverse() {
    let fixture = Fixture::start().await;
    fixture.exchange("subjects", ExchangeKind::Subjects).await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        fixture.queue(name, &spec).await;
        fixture.bind("subjects", name, "a.#").await;
    }
    // As another protocol does.
    let subject = KEYS.subject(b"a.b").unwrap();
    let mut batch = Batch::default();
    let route = fixture.broker.find_route(subject.clone());
    fixture.broker.route(&route, &message("from elsewhere"), &mut batch).unwrap();
    fixture.broker.store(batch).await.done().await;
    // And through the exchange.
    fixture.send("subjects", "a", message("through it")).await.unwrap();
    assert!(fixture.send("subjects", "b", message("lost")).await.unwrap().is_lost());
    for name in ["d", "t"] {
        let queue = fixture.broker.queue(&queue_name(name)).unwrap();
        // Another queue's topic keeps it, too, and what is kept is delivered from there.
        until("both came", || queue.counts().ready == 2).await;
        let all = fixture.drain(name).await;
        assert_eq!(values(&all), ["from elsewhere", "through it"], "{name}");
        assert_eq!(all[0].origin, Origin::Subject(subject.clone()));
        assert_eq!(all[0].message.key, None);
    }
    let lost = fixture.broker.find_route(KEYS.subject(b"d").unwrap());
    assert!(lost.topics().is_empty(), "a queue's name is no subject");
    let binding = Binding { key: bytes("a.#"), ..Binding::default() };
    for name in ["d", "t"] {
        let to = BindTo::Queue(queue_name(name));
        fixture.broker.unbind(&exchange_name("subjects"), &to, &binding).await.unwrap();
    }
    assert!(fixture.send("subjects", "a", message("lost")).await.unwrap().is_lost());
}

#[tokio::test]
async fn what_is_published_to_a_subject_goes_on_to_the_exchanges_that_are_bound_to_it() {
    let fixture = Fixture::start().await;
    fixture.exchange("subjects", ExchangeKind::Subjects).await;
    fixture.exchange("x", ExchangeKind::Topic).await;
    fixture.exchange("y", ExchangeKind::Fanout).await;
    let to = |name: &str| BindTo::Exchange(exchange_name(name));
    let binding = |key: &str| Binding { key: bytes(key), ..Binding::default() };
    let bind = async |from: &str, name: &str, key: &str| {
        fixture.broker.bind(&exchange_name(from), &to(name), binding(key)).await.unwrap();
    };
    bind("subjects", "x", "a.#").await;
    // In a circle, and by two ways.
    bind("x", "subjects", "#").await;
    bind("x", "y", "#").await;
    for (name, spec) in ["d", "t"].into_iter().zip(both(&QueueSettings::default())) {
        fixture.queue(name, &spec).await;
        fixture.bind("x", name, "*.b").await;
        fixture.bind("y", name, "").await;
    }
    fixture.queue("direct", &durable()).await;
    fixture.bind("subjects", "direct", "a.b").await;
    fixture.bind("y", "direct", "").await;
    // As another protocol does, which is told when it is stored.
    let publish = async |key: &'static str, value: &str| {
        let route = fixture.broker.find_route(KEYS.subject(key.as_bytes()).unwrap());
        let mut batch = Batch::default();
        let routed = fixture.broker.route(&route, &message(value), &mut batch).unwrap();
        for stored in fixture.broker.store(batch).await.done().await {
            stored.unwrap();
        }
        routed
    };
    let routed = publish("a.b", "one").await;
    assert!(routed.stored.is_some() && routed.receivers > 0);
    assert!(publish("b.b", "lost").await.is_lost());
    // And through the exchange.
    assert!(!fixture.send("subjects", "a.b", message("two")).await.unwrap().is_lost());
    for name in ["d", "t", "direct"] {
        let queue = fixture.broker.queue(&queue_name(name)).unwrap();
        until("both came", || queue.counts().ready >= 2).await;
        let all = fixture.drain(name).await;
        assert_eq!(values(&all), ["one", "two"], "{name}, each once");
        if name == "d" {
            let (exchange, key) = (bytes("subjects"), bytes("a.b"));
            assert_eq!(all[0].origin, Origin::Exchange { exchange, key });
        }
    }
    let route = fixture.broker.find_route(KEYS.subject(b"a.b").unwrap());
    fixture.broker.unbind(&exchange_name("subjects"), &to("x"), &binding("a.#")).await.unwrap();
    let mut batch = Batch::default();
    let routed = fixture.broker.route(&route, &message("three"), &mut batch).unwrap();
    fixture.broker.store(batch).await.done().await;
    assert_eq!(routed.receivers, 0, "what a publisher remembers is not what was");
    assert_eq!(fixture.drain("d").await.len() + fixture.drain("t").await.len(), 0);
    assert_eq!(values(&fixture.drain("direct").await), ["three"]);
    // A restart leaves it as it is.
    bind("subjects", "y", "c").await;
    let fixture = fixture.restart().await;
    assert!(!fixture.send("subjects", "c", message("four")).await.unwrap().is_lost());
    assert_eq!(values(&fixture.drain("d").await), ["four"]);
}
