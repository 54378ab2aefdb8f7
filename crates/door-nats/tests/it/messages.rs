//! Publish, subscribe, ask and answer.

use crate::support::Fixture;

#[tokio::test]
async fn a_message_reaches_who_subscribed_and_nobody_else() {
    let fixture = Fixture::start().await;
    let (mut one, mut other) = (fixture.usual().await, fixture.usual().await);
    one.say("SUB a.* 7\r\nSUB a.b.> x9\r\nPING\r\n").await;
    one.expect("PONG\r\n").await;
    other.say("PUB a.b 5\r\nhello\r\nPUB a.b.c 0\r\n\r\nPUB b 1\r\n!\r\npub a.c 2\r\nhi\r\n").await;
    one.expect("MSG a.b 7 5\r\nhello\r\nMSG a.b.c x9 0\r\n\r\nMSG a.c 7 2\r\nhi\r\n").await;
    one.expect_nothing().await;
    other.expect_nothing().await;
}

#[tokio::test]
async fn overlapping_subscriptions_get_it_once_each_and_an_unsubscribed_one_no_more() {
    let fixture = Fixture::start().await;
    let mut client = fixture.usual().await;
    client.say("SUB a 1\r\nSUB * 2\r\nSUB a 3\r\nUNSUB 3\r\nUNSUB 4\r\nPUB a 1\r\nx\r\n").await;
    let mut got = [client.line().await, String::new()];
    client.expect("x\r\n").await;
    got[1] = client.line().await;
    client.expect("x\r\n").await;
    got.sort();
    assert_eq!(got, ["MSG a 1 1", "MSG a 2 1"]);
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_name_that_is_taken_stays_what_it_is() {
    let fixture = Fixture::start().await;
    let mut client = fixture.usual().await;
    client.say("SUB a 1\r\nSUB b 1\r\nPUB b 1\r\nx\r\nPUB a 1\r\ny\r\n").await;
    client.expect("MSG a 1 1\r\ny\r\n").await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_subscription_ends_after_so_many_messages_those_before_counted() {
    let fixture = Fixture::start().await;
    let mut client = fixture.usual().await;
    client.say("SUB a 1\r\nPUB a 1\r\n1\r\nUNSUB 1 3\r\n").await;
    client.say("PUB a 1\r\n2\r\nPUB a 1\r\n3\r\nPUB a 1\r\n4\r\n").await;
    client.expect("MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\nMSG a 1 1\r\n3\r\n").await;
    client.expect_nothing().await;
    // The name is free again.
    client.say("SUB a 1\r\nPUB a 1\r\n5\r\n").await;
    client.expect("MSG a 1 1\r\n5\r\n").await;
    client.say("UNSUB 1 1\r\nPUB a 1\r\n6\r\n").await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn of_a_group_one_gets_it_and_all_get_some() {
    let fixture = Fixture::start().await;
    let (mut one, mut two) = (fixture.usual().await, fixture.usual().await);
    for client in [&mut one, &mut two] {
        client.say("SUB jobs workers 1\r\n").await;
        client.expect_nothing().await;
    }
    let mut publisher = fixture.usual().await;
    for number in 0..100 {
        publisher.say(&format!("PUB jobs 2\r\n{number:02}\r\n")).await;
    }
    publisher.expect_nothing().await;
    let mut got = Vec::new();
    for client in [&mut one, &mut two] {
        client.say("PING\r\n").await;
        let before = got.len();
        loop {
            match client.line().await.as_str() {
                "PONG" => break,
                line => {
                    assert_eq!(line, "MSG jobs 1 2");
                    got.push(client.line().await);
                }
            }
        }
        assert!(got.len() > before, "one of them got nothing");
    }
    got.sort();
    let all: Vec<_> = (0..100).map(|number| format!("{number:02}")).collect();
    assert_eq!(got, all);
}

#[tokio::test]
async fn a_request_is_answered_and_without_anybody_there_that_is_said() {
    let fixture = Fixture::start().await;
    let (mut asker, mut responder) = (fixture.usual().await, fixture.usual().await);
    asker.say("SUB _INBOX.a.* 1\r\nPUB help _INBOX.a.1 1\r\n?\r\n").await;
    let block = "NATS/1.0 503\r\nNats-Subject: help\r\n\r\n";
    let length = block.len();
    asker.expect(&format!("HMSG _INBOX.a.1 1 {length} {length}\r\n{block}\r\n")).await;
    responder.say("SUB help 5\r\n").await;
    responder.expect_nothing().await;
    asker.say("PUB help _INBOX.a.2 1\r\n?\r\n").await;
    responder.expect("MSG help 5 _INBOX.a.2 1\r\n?\r\n").await;
    responder.say("PUB _INBOX.a.2 2\r\nok\r\n").await;
    asker.expect("MSG _INBOX.a.2 1 2\r\nok\r\n").await;
    // JetStream is not there, and nobody waits for it.
    asker.say("PUB $JS.API.INFO _INBOX.a.3 0\r\n\r\n").await;
    assert!(asker.line().await.starts_with("HMSG _INBOX.a.3 1 "));
    // Who did not ask for it is told nothing.
    let mut silent = fixture.client(r#"{"verbose":false,"headers":true}"#).await;
    silent.say("SUB in 1\r\nPUB nobody in 0\r\n\r\n").await;
    silent.expect_nothing().await;
}

#[tokio::test]
async fn headers_arrive_as_they_were_and_not_where_they_are_not_understood() {
    let fixture = Fixture::start().await;
    let (mut with, mut without) =
        (fixture.usual().await, fixture.client(r#"{"verbose":false}"#).await);
    for client in [&mut with, &mut without] {
        client.say("SUB a 1\r\n").await;
        client.expect_nothing().await;
    }
    let block = "NATS/1.0\r\nB: 2\r\na:1\r\nA:  1 \r\nB: 2\r\n\r\n";
    let (head, all) = (block.len(), block.len() + 4);
    with.say(&format!("HPUB a r {head} {all}\r\n{block}body\r\n")).await;
    with.expect(&format!("HMSG a 1 r {head} {all}\r\n{block}body\r\n")).await;
    without.expect("MSG a 1 r 4\r\nbody\r\n").await;
    without.say("HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n").await;
    without.expect_end("-ERR 'message headers not supported'\r\n").await;
}

#[tokio::test]
async fn who_does_not_want_its_own_gets_only_that_of_others() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client(r#"{"verbose":false,"echo":false}"#).await;
    let mut other = fixture.usual().await;
    client.say("SUB a 1\r\nPUB a 3\r\nown\r\n").await;
    client.expect_nothing().await;
    other.say("PUB a 6\r\nothers\r\n").await;
    client.expect("MSG a 1 6\r\nothers\r\n").await;
}

#[tokio::test]
async fn a_large_payload_and_many_small_ones_arrive_whole_and_in_order() {
    let fixture = Fixture::start().await;
    let (mut reader, mut writer) = (fixture.usual().await, fixture.usual().await);
    reader.say("SUB a 1\r\n").await;
    reader.expect_nothing().await;
    let large: String = (0..1_048_576).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    let writing = tokio::spawn(async move {
        writer.say(&format!("PUB a {}\r\n{large}\r\n", large.len())).await;
        for number in 0..20_000 {
            writer.say(&format!("PUB a 5\r\n{number:05}\r\n")).await;
        }
        (writer, large)
    });
    assert_eq!(reader.line().await, "MSG a 1 1048576");
    let got = reader.line().await;
    for number in 0..20_000 {
        reader.expect(&format!("MSG a 1 5\r\n{number:05}\r\n")).await;
    }
    let (_writer, large) = writing.await.unwrap();
    assert!(got == large, "the payload changed");
}

#[tokio::test]
async fn what_a_topic_binds_is_stored_and_delivered_all_the_same() {
    let fixture = Fixture::start().await;
    fixture
        .broker
        .create_topic(broker::NewTopic {
            name: "telemetry".into(),
            config: [("entrepot.bind".to_owned(), "sensors.>".to_owned())].into(),
            ..broker::NewTopic::default()
        })
        .await
        .unwrap();
    let mut client = fixture.usual().await;
    client.say("SUB sensors.* 1\r\n").await;
    client.expect_nothing().await;
    let block = "NATS/1.0\r\nUnit: C\r\n\r\n";
    let (head, all) = (block.len(), block.len() + 4);
    client.say(&format!("HPUB sensors.a back.here {head} {all}\r\n{block}21.5\r\n")).await;
    client.expect(&format!("HMSG sensors.a 1 back.here {head} {all}\r\n{block}21.5\r\n")).await;
    client.expect_nothing().await;
}
