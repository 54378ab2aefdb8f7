//! Messages from one client to another.

use crate::support::{Client, Fixture, Seen};

async fn message(client: &mut Client) -> Seen {
    let seen = client.next().await;
    assert_eq!(seen.command, "MESSAGE", "{seen:?}");
    seen
}

/// The bodies of so many messages.
async fn bodies(client: &mut Client, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(message(client).await.body);
    }
    bodies
}

async fn send(client: &mut Client, destination: &str, bodies: &[&str]) {
    for body in bodies {
        client.do_this(&format!("SEND\ndestination:{destination}"), body).await;
    }
}

#[tokio::test]
async fn a_queue_keeps_what_nobody_took_yet() {
    let fixture = Fixture::start().await;
    let (mut one, mut two) = (fixture.client().await, fixture.client().await);
    one.do_this("SEND\ndestination:/queue/a%2Fb\nmine:1\nmine:2", "hello").await;
    two.say("SUBSCRIBE\nid:0\ndestination:/queue/a%2Fb", "").await;
    let seen = message(&mut two).await;
    let of = |name| seen.get(name).to_owned();
    assert_eq!((of("subscription"), of("destination")), ("0".into(), "/queue/a%2Fb".into()));
    assert_eq!(
        (of("redelivered"), of("ack"), &seen.body[..]),
        ("false".into(), "".into(), "hello")
    );
    let mine = seen.headers.iter().filter(|(name, _)| name == "mine");
    assert_eq!(mine.map(|(_, value)| &value[..]).collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_and_what_is_does_not() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    send(&mut client, "/queue/q", &["1", "2", "3"]).await;
    client.say("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual", "").await;
    let mut acks = Vec::new();
    for _ in 0..3 {
        acks.push(message(&mut client).await.get("ack").to_owned());
    }
    client.do_this(&format!("ACK\nid:{}", acks[1]), "").await;
    client.do_this("DISCONNECT", "").await;
    client.rest().await;
    let mut again = fixture.client().await;
    again.say("SUBSCRIBE\nid:0\ndestination:/queue/q", "").await;
    let seen = message(&mut again).await;
    assert_eq!((&seen.body[..], seen.get("redelivered")), ("1", "true"));
    assert_eq!(message(&mut again).await.body, "3");
}

#[tokio::test]
async fn a_cumulative_acknowledgement_is_of_all_before_it() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    send(&mut client, "/queue/q", &["1", "2", "3"]).await;
    client.say("SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client", "").await;
    message(&mut client).await;
    let second = message(&mut client).await.get("ack").to_owned();
    message(&mut client).await;
    client.do_this(&format!("ACK\nid:{second}"), "").await;
    drop(client);
    let mut again = fixture.client().await;
    again.say("SUBSCRIBE\nid:0\ndestination:/queue/q", "").await;
    assert_eq!(message(&mut again).await.body, "3");
}

#[tokio::test]
async fn a_refused_message_comes_again_at_once_or_is_a_dead_letter() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.do_this("SUBSCRIBE\nid:dead\ndestination:/queue/dead", "").await;
    let lines = "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual\nprefetch-count:1\n\
                 x-dead-letter-exchange:\nx-dead-letter-routing-key:dead";
    client.do_this(lines, "").await;
    client.say("SEND\ndestination:/queue/q", "hello").await;
    let first = message(&mut client).await.get("ack").to_owned();
    client.say(&format!("NACK\nid:{first}"), "").await;
    let again = message(&mut client).await;
    assert_eq!((again.get("subscription"), again.get("redelivered")), ("0", "true"));
    client.say(&format!("NACK\nid:{}\nrequeue:false", again.get("ack")), "").await;
    let dead = message(&mut client).await;
    assert_eq!((dead.get("subscription"), &dead.body[..]), ("dead", "hello"));
    assert_eq!(dead.get("x-first-death-reason"), "rejected");
    assert_eq!(dead.get("x-first-death-queue"), "q");
}

#[tokio::test]
async fn prefetch_bounds_what_is_delivered_and_not_acknowledged() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    send(&mut client, "/queue/q", &["1", "2", "3"]).await;
    let lines = "SUBSCRIBE\nid:0\ndestination:/queue/q\nack:client-individual\nprefetch-count:2";
    client.say(lines, "").await;
    let first = message(&mut client).await.get("ack").to_owned();
    message(&mut client).await;
    // Were there a third, it would come before the receipt.
    client.do_this("BEGIN\ntransaction:t", "").await;
    client.say(&format!("ACK\nid:{first}"), "").await;
    assert_eq!(message(&mut client).await.body, "3");
}

#[tokio::test]
async fn a_transaction_counts_when_it_is_committed_and_not_when_it_is_aborted() {
    let fixture = Fixture::start().await;
    let (mut one, mut two) = (fixture.client().await, fixture.client().await);
    send(&mut one, "/queue/in", &["job"]).await;
    one.say("SUBSCRIBE\nid:0\ndestination:/queue/in\nack:client-individual", "").await;
    let ack = message(&mut one).await.get("ack").to_owned();
    two.do_this("SUBSCRIBE\nid:0\ndestination:/queue/out", "").await;
    for (name, body, end) in [("t1", "no", "ABORT"), ("t2", "yes", "COMMIT")] {
        one.do_this(&format!("BEGIN\ntransaction:{name}"), "").await;
        let lines = format!("SEND\ndestination:/queue/out\ntransaction:{name}\nreceipt:{name}");
        one.say(&lines, body).await;
        one.do_this(&format!("ACK\nid:{ack}\ntransaction:{name}"), "").await;
        one.say(&format!("{end}\ntransaction:{name}\nreceipt:{end}"), "").await;
        // What is sent in it is stored when it is committed, if ever.
        let due = if end == "COMMIT" { &[name, end][..] } else { &[end] };
        for receipt in due {
            assert_eq!(one.next().await.get("receipt-id"), *receipt);
        }
    }
    assert_eq!(message(&mut two).await.body, "yes");
    drop(one);
    // What was acknowledged in it does not come again.
    send(&mut two, "/queue/in", &["next"]).await;
    two.say("SUBSCRIBE\nid:in\ndestination:/queue/in", "").await;
    assert_eq!(message(&mut two).await.body, "next");
}

#[tokio::test]
async fn a_topic_reaches_all_who_are_there_and_match() {
    let fixture = Fixture::start().await;
    let mut clients = Vec::new();
    for pattern in ["a.*", "#", "b.#"] {
        let mut client = fixture.client().await;
        client.do_this(&format!("SUBSCRIBE\nid:0\ndestination:/topic/{pattern}"), "").await;
        clients.push(client);
    }
    let mut one = fixture.client().await;
    send(&mut one, "/topic/a.b", &["first"]).await;
    send(&mut one, "/topic/b.c.d", &["second"]).await;
    let seen = message(&mut clients[0]).await;
    assert_eq!((&seen.body[..], seen.get("destination")), ("first", "/topic/a.b"));
    assert_eq!(bodies(&mut clients[1], 2).await, ["first", "second"]);
    assert_eq!(bodies(&mut clients[2], 1).await, ["second"]);
}

#[tokio::test]
async fn a_durable_subscription_gets_what_came_while_its_client_was_away() {
    let fixture = Fixture::start().await;
    let subscribe = "SUBSCRIBE\nid:mine\ndestination:/topic/a.*\ndurable:true\nauto-delete:false";
    let mut client = fixture.client().await;
    client.do_this(subscribe, "").await;
    client.do_this("DISCONNECT", "").await;
    client.rest().await;
    let mut other = fixture.client().await;
    send(&mut other, "/topic/a.b", &["kept"]).await;
    let mut client = fixture.client().await;
    client.say(subscribe, "").await;
    assert_eq!(message(&mut client).await.body, "kept");
    client.do_this("UNSUBSCRIBE\nid:mine\ndurable:true", "").await;
    send(&mut other, "/topic/a.b", &["lost"]).await;
    client.do_this(subscribe, "").await;
    send(&mut other, "/topic/a.b", &["new"]).await;
    assert_eq!(message(&mut client).await.body, "new");
}

#[tokio::test]
async fn an_exchange_routes_by_its_bindings() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.do_this("SUBSCRIBE\nid:0\ndestination:/exchange/amq.direct/k", "").await;
    client.do_this("SUBSCRIBE\nid:1\ndestination:/exchange/amq.fanout", "").await;
    send(&mut client, "/exchange/amq.direct/other", &["nobody"]).await;
    client.say("SEND\ndestination:/exchange/amq.direct/k", "one").await;
    let seen = message(&mut client).await;
    assert_eq!(
        (seen.get("subscription"), seen.get("destination")),
        ("0", "/exchange/amq.direct/k")
    );
    client.say("SEND\ndestination:/exchange/amq.fanout", "two").await;
    let seen = message(&mut client).await;
    assert_eq!((seen.get("subscription"), seen.get("destination")), ("1", "/exchange/amq.fanout"));
}

#[tokio::test]
async fn a_question_is_answered_at_its_temporary_queue() {
    let fixture = Fixture::start().await;
    let (mut asks, mut answers) = (fixture.client().await, fixture.client().await);
    answers.do_this("SUBSCRIBE\nid:0\ndestination:/queue/questions", "").await;
    for question in ["one", "two"] {
        let lines = "SEND\ndestination:/queue/questions\nreply-to:/temp-queue/mine";
        asks.say(lines, question).await;
        let seen = message(&mut answers).await;
        let to = seen.get("reply-to");
        assert!(to.starts_with("/reply-queue/amq.gen-"), "{to}");
        answers.say(&format!("SEND\ndestination:{to}"), &format!("{question}!")).await;
        let answer = message(&mut asks).await;
        assert_eq!(answer.get("subscription"), "/temp-queue/mine");
        assert_eq!(answer.body, format!("{question}!"));
    }
}

#[tokio::test]
async fn what_an_unsubscribe_names_besides_its_subscription_stays() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    send(&mut client, "/queue/other", &["kept"]).await;
    client.do_this("SUBSCRIBE\nid:0\ndestination:/topic/a\ndurable:true", "").await;
    let lines = "UNSUBSCRIBE\nid:0\ndestination:/queue/other\nx-queue-name:other\ndurable:true";
    client.do_this(lines, "").await;
    client.say("SUBSCRIBE\nid:0\ndestination:/queue/other", "").await;
    assert_eq!(message(&mut client).await.body, "kept");
}

#[tokio::test]
async fn the_receipt_of_a_subscription_comes_before_its_messages() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    for number in 0..20 {
        let queue = format!("/queue/q{number}");
        send(&mut client, &queue, &["waits"]).await;
        client.do_this(&format!("SUBSCRIBE\nid:{number}\ndestination:{queue}"), "").await;
        assert_eq!(message(&mut client).await.body, "waits");
    }
}

#[tokio::test]
async fn zero_bytes_between_frames_mean_nothing() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.write("\n\0\0\n").await;
    client.do_this("SUBSCRIBE\nid:0\ndestination:/exchange/amq.fanout", "").await;
    client.write("\0SEND\ndestination:/exchange/amq.fanout\n\nhello\0\0\n").await;
    assert_eq!(message(&mut client).await.body, "hello");
}

#[tokio::test]
async fn older_versions_acknowledge_by_the_id_of_the_message() {
    let fixture = Fixture::start().await;
    for version in ["1.0", "1.1"] {
        let mut client = fixture.connect().await;
        client.write(&format!("CONNECT\naccept-version:{version}\n\n\0")).await;
        client.next().await;
        client.say("SEND\ndestination:/queue/q", version).await;
        client.say("SUBSCRIBE\ndestination:/queue/q\nack:client", "").await;
        let seen = message(&mut client).await;
        assert_eq!((&seen.body[..], seen.get("subscription")), (version, ""));
        let id = seen.get("message-id");
        client.do_this(&format!("ACK\nmessage-id:{id}"), "").await;
        client.do_this("UNSUBSCRIBE\ndestination:/queue/q", "").await;
    }
}

#[tokio::test]
async fn who_is_subscribed_to_a_queue_that_is_deleted_is_told() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.do_this("SUBSCRIBE\nid:0\ndestination:/queue/q", "").await;
    let name = broker::queues::QueueName { space: Default::default(), name: "q".into() };
    let (only, owner) = (broker::queues::DeleteOnly::default(), fixture.broker.new_publisher());
    fixture.broker.delete_queue(&name, only, owner).await.unwrap();
    let told = client.next().await;
    assert_eq!(told.get("message"), "Server cancelled subscription");
    assert_eq!((&told.command[..], told.get("subscription")), ("ERROR", "0"));
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_and_its_sender_hears_of_it() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let lines = "SEND\ndestination:/queue/q\nx-max-length:1\nx-overflow:reject-publish";
    client.do_this(lines, "first").await;
    client.say(&format!("{lines}\nreceipt:second"), "second").await;
    let told = client.next().await;
    assert_eq!((&told.command[..], told.get("receipt-id")), ("ERROR", "second"));
}
