use base::Subject;

use super::*;

fn name(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn each_kind_of_destination_is_understood() {
    let parsed = |text: &str| Destination::parse(text.as_bytes());
    assert_eq!(parsed("/queue/a.b"), Ok(Destination::Queue(name("a.b"))));
    assert_eq!(parsed("/queue/a%2Fb%25"), Ok(Destination::Queue(name("a/b%25"))));
    assert_eq!(parsed("/amq/queue/a"), Ok(Destination::AmqQueue(name("a"))));
    assert_eq!(parsed("/reply-queue/amq.gen-1"), Ok(Destination::AmqQueue(name("amq.gen-1"))));
    assert_eq!(parsed("/topic/a.*.#"), Ok(Destination::Topic(name("a.*.#"))));
    assert_eq!(parsed("/exchange/e"), Ok(Destination::Exchange(name("e"), name(""))));
    assert_eq!(parsed("/exchange/e/k"), Ok(Destination::Exchange(name("e"), name("k"))));
    assert_eq!(parsed("a.b%2Fc"), Ok(Destination::Queue(name("a.b/c"))), "a name alone");
}

#[test]
fn what_is_no_destination_is_refused_by_its_kind() {
    let message = |text: &str| Destination::parse(text.as_bytes()).unwrap_err().message;
    for text in ["/other/a", "queue/a", "/", "/queues/a", "/temp-queue/a"] {
        assert_eq!(message(text), "Unknown destination", "{text}");
    }
    for text in ["", "/queue", "/queue/", "/queue/a/b", "/topic/a/b", "/exchange", "/exchange//k"] {
        assert_eq!(message(text), "Invalid destination", "{text}");
    }
    assert_eq!(message("/exchange/e/k/l"), "Invalid destination");
    assert_eq!(message("/reply-queue/"), "Invalid destination");
    let detail = |text: &str| Destination::parse(text.as_bytes()).unwrap_err().detail;
    assert_eq!(detail("/queue"), "'' is not a valid queue destination\n");
    assert_eq!(detail("/exchange//k"), "'//k' is not a valid exchange destination\n");
}

#[test]
fn a_message_says_where_it_was_sent_to_and_an_answer_gets_there() {
    let exchange = |exchange, key| Origin::Exchange { exchange: name(exchange), key: name(key) };
    for (origin, wanted) in [
        (Origin::Queue, "/queue/q%2F1"),
        (exchange("", "other"), "/queue/other"),
        (exchange("amq.topic", "a.b"), "/topic/a.b"),
        (exchange("e/1", ""), "/exchange/e%2F1"),
        (exchange("e", "k/l"), "/exchange/e/k%2Fl"),
        (exchange("e", "k\0\u{1b}ü"), "/exchange/e/k%00%1Bü"),
        (Origin::Subject(Subject::from_levels(["a", "b"])), "/topic/a.b"),
    ] {
        let written = of(&origin, b"q/1");
        assert_eq!(String::from_utf8_lossy(&written), wanted);
        Destination::parse(&written).unwrap();
    }
}
