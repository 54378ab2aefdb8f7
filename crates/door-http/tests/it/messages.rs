//! Messages published and read.

use serde_json::json;

use crate::support::{Fixture, HANG, Stream};

async fn with_topic() -> Fixture {
    let fixture = Fixture::start().await;
    fixture.send("POST", "/api/v1/topics", &json!({ "name": "t" })).await;
    fixture
}

const PATH: &str = "/api/v1/topics/t/messages";

#[tokio::test]
async fn messages_come_back_as_they_were_sent() {
    let fixture = with_topic().await;
    let sent = json!({ "messages": [
        { "key": "k", "value": "text", "headers": [{ "name": "h", "value": "v" }, { "name": "h" }] },
        { "value_base64": "AP8=", "timestamp": 7 },
        { "value_json": { "a": [1, 2.50] } },
        { "key": "k" },
    ] });
    let published = fixture.send("POST", PATH, &sent).await;
    assert_eq!(published.status, 200, "{}", published.body);
    assert_eq!(published.json()["offsets"][3], json!({ "partition": 0, "offset": 3 }));
    let read = fixture.get(&format!("{PATH}?partition=0&limit=3")).await;
    let (messages, next) = (&read["messages"], &read["next"]);
    assert_eq!((messages.as_array().unwrap().len(), next, &read["end"]), (3, &3.into(), &4.into()));
    assert_eq!(messages[0]["headers"], json!([{ "name": "h", "value": "v" }, { "name": "h" }]));
    assert_eq!(
        (&messages[1]["value_base64"], &messages[1]["timestamp"]),
        (&"AP8=".into(), &7.into())
    );
    assert_eq!(messages[2]["content_type"], "application/json");
    let rest = fixture.get(&format!("{PATH}?offset={next}")).await;
    assert_eq!(rest["messages"][0]["value"], json!(null), "a deletion mark");
    let late = fixture.get(&format!("{PATH}?from=latest")).await;
    assert_eq!((&late["messages"], &late["next"]), (&json!([]), &4.into()));
}

#[tokio::test]
async fn what_cannot_be_stored_or_read_is_refused() {
    let fixture = with_topic().await;
    for (body, status) in [
        (json!({ "messages": [{ "value": "a", "value_base64": "YQ==" }] }), 400),
        (json!({ "messages": [{ "valeu": "a" }] }), 400),
        (json!({ "messages": [{ "timestamp": -1 }] }), 400),
        (json!([[{}]]), 400),
        (json!({ "messages": [["k"]] }), 400),
        (json!({ "messages": [{ "headers": [["a", "b"]] }] }), 400),
        (json!({ "messages": vec![json!({}); 10_001] }), 400),
        (json!({ "messages": [{ "value": "a".repeat(2_000_000) }] }), 413),
    ] {
        let answered = fixture.send("POST", PATH, &body).await;
        assert_eq!(answered.status, status, "{}", answered.body);
    }
    let empty = fixture.send("POST", PATH, &json!({ "messages": [] })).await;
    assert_eq!((empty.status, &empty.json()["offsets"]), (200, &json!([])));
    for (query, status) in [
        ("partition=1", 404),
        ("partition=x", 400),
        ("offset=5", 404),
        ("from=now", 400),
        ("limit=0", 400),
        ("wait_ms=60001", 400),
    ] {
        let answered = fixture.raw("GET", &format!("{PATH}?{query}"), "", "").await;
        assert_eq!(answered.status, status, "{query}: {}", answered.body);
    }
    let nowhere = json!({ "messages": [{ "value": "a" }] });
    assert_eq!(fixture.send("POST", "/api/v1/topics/x/messages", &nowhere).await.status, 404);
}

#[tokio::test]
async fn who_waits_gets_the_next_message() {
    let fixture = with_topic().await;
    let path = format!("{PATH}?wait_ms=30000");
    let waiting = fixture.get(&path);
    let body = json!({ "messages": [{ "value": "come" }] });
    let sending = fixture.send("POST", PATH, &body);
    let both = async { tokio::join!(waiting, sending) };
    let (read, sent) = tokio::time::timeout(HANG, both).await.unwrap();
    assert_eq!((sent.status, &read["messages"][0]["value"]), (200, &"come".into()));
}

#[tokio::test]
async fn messages_are_sent_as_they_come_and_too_many_are_left_out() {
    let fixture = with_topic().await;
    let old = json!({ "messages": [{ "value": "old" }] });
    fixture.send("POST", PATH, &old).await;
    let mut stream = Stream::open(&fixture, &format!("{PATH}?rate=5"), "").await;
    stream.until("text/event-stream").await;
    let many: Vec<_> = (0..20).map(|n| json!({ "value": format!("n{n}.") })).collect();
    fixture.send("POST", PATH, &json!({ "messages": many })).await;
    let seen = stream.until("n4.").await;
    assert!(!seen.contains("old") && seen.contains("event: message\nid: 0:1\n"), "{seen}");
    // What comes in a later second says how many were left out.
    tokio::time::timeout(HANG, async {
        while !stream.seen().contains("left_out") {
            // poll: until a second has passed, bounded by HANG
            fixture.send("POST", PATH, &old).await;
            stream.more().await;
        }
    })
    .await
    .unwrap();
    let mut all = Stream::open(&fixture, &format!("{PATH}?from=earliest"), "").await;
    all.until("n19.").await;
}

#[tokio::test]
async fn a_stream_ends_when_the_broker_stops() {
    let fixture = with_topic().await;
    let mut stream = Stream::open(&fixture, PATH, "").await;
    stream.until("text/event-stream").await;
    let ended = tokio::spawn(stream.end());
    fixture.listener.stop(HANG).await;
    tokio::time::timeout(HANG, ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_subjects_messages_go_to_the_topics_that_keep_it() {
    let fixture = Fixture::start().await;
    let topic = json!({ "name": "kept", "config": { "entrepot.bind": "sensors.>" } });
    assert_eq!(fixture.send("POST", "/api/v1/topics", &topic).await.status, 200);
    let two = json!({ "messages": [{ "value": "21" }, { "value": "a".repeat(2_000_000) }] });
    let sent = fixture.send("POST", "/api/v1/subjects/sensors.a.temp/messages", &two).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    let outcomes = &sent.json()["messages"];
    assert_eq!(outcomes[0], json!({ "receivers": 0, "stored": true }));
    assert_eq!(outcomes[1]["problem"]["status"], 413);
    let kept = fixture.get("/api/v1/topics/kept/messages").await;
    assert_eq!(
        (&kept["messages"][0]["key"], &kept["messages"][0]["value"]),
        (&"sensors.a.temp".into(), &"21".into())
    );
    let one = json!({ "messages": [{ "value": "x" }] });
    let lost = fixture.send("POST", "/api/v1/subjects/nobody.there/messages", &one).await;
    assert_eq!(lost.json()["messages"][0], json!({ "receivers": 0, "stored": false }));
    assert_eq!(fixture.send("POST", "/api/v1/subjects/a.*/messages", &one).await.status, 400);
}
