//! Topics, groups, queues.

use broker::PublisherId;
use broker::queues::{QueueName, QueueSpec};
use serde_json::json;

use crate::support::Fixture;

#[tokio::test]
async fn a_topic_is_made_changed_and_deleted() {
    let fixture = Fixture::start().await;
    let new = json!({ "name": "t", "partitions": 2, "config": { "retention.ms": "1000" } });
    let made = fixture.send("POST", "/api/v1/topics", &new).await;
    assert_eq!((made.status, &made.json()["config"]), (200, &json!({ "retention.ms": "1000" })));
    assert_eq!(fixture.send("POST", "/api/v1/topics", &new).await.status, 409);
    let change =
        json!({ "partitions": 3, "config": { "retention.ms": null, "segment.ms": "5000" } });
    let changed = fixture.send("PATCH", "/api/v1/topics/t", &change).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.json()["config"], json!({ "segment.ms": "5000" }));
    assert_eq!(changed.json()["partitions"].as_array().unwrap().len(), 3);
    for (body, status) in [
        (json!({ "partitions": 2 }), 409),
        (json!({ "config": { "no.such.key": "1" } }), 400),
        (json!({ "partition": 4 }), 400),
    ] {
        assert_eq!(fixture.send("PATCH", "/api/v1/topics/t", &body).await.status, status, "{body}");
    }
    for name in ["", "a/b", ".", &"a".repeat(250)] {
        let answered = fixture.send("POST", "/api/v1/topics", &json!({ "name": name })).await;
        assert_eq!(answered.status, 400, "{name}");
    }
    assert_eq!(fixture.raw("DELETE", "/api/v1/topics/t", "", "").await.status, 204);
    for (method, path) in [("GET", "/api/v1/topics/t"), ("DELETE", "/api/v1/topics/t")] {
        assert_eq!(fixture.raw(method, path, "", "").await.status, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_no_json_or_comes_from_another_page_changes_nothing() {
    let fixture = Fixture::start().await;
    let body = "{\"name\": \"t\"}";
    let text = fixture.raw("POST", "/api/v1/topics", "Content-Type: text/plain\r\n", body).await;
    assert_eq!(text.status, 415);
    let head = "Content-Type: application/json\r\nOrigin: http://evil.example\r\n";
    assert_eq!(fixture.raw("POST", "/api/v1/topics", head, body).await.status, 403);
    let head = "Content-Type: application/json\r\n";
    for broken in ["", "{", "[]", "{\"name\": 1}"] {
        let answered = fixture.raw("POST", "/api/v1/topics", head, broken).await;
        assert_eq!(answered.status, 400, "{broken}");
    }
    assert_eq!(fixture.get("/api/v1/topics").await["totals"], json!({ "topic": 0 }));
}

#[tokio::test]
async fn a_groups_offsets_are_moved_where_it_has_no_members() {
    let fixture = Fixture::start().await;
    fixture.send("POST", "/api/v1/topics", &json!({ "name": "t" })).await;
    let three = json!({ "messages": [{ "value": "a" }, { "value": "b" }, { "value": "c" }] });
    fixture.send("POST", "/api/v1/topics/t/messages", &three).await;
    let to = |offset: serde_json::Value| {
        let mut one = json!({ "topic": "t", "partition": 0 });
        one.as_object_mut().unwrap().extend(offset.as_object().unwrap().clone());
        json!({ "offsets": [one] })
    };
    let path = "/api/v1/groups/g/offsets";
    let dry =
        fixture.send("PUT", &format!("{path}?dry_run=true"), &to(json!({ "to": "latest" }))).await;
    assert_eq!((dry.status, &dry.json()["offsets"][0]["offset"]), (200, &3.into()), "{}", dry.body);
    assert_eq!(
        fixture.raw("GET", "/api/v1/groups/g", "", "").await.status,
        404,
        "nothing was done"
    );
    for (offset, expected) in [
        (json!({ "to": "earliest" }), 0),
        (json!({ "offset": 2 }), 2),
        (json!({ "time": 0 }), 0),
        (json!({ "time": i64::MAX }), 3),
    ] {
        let moved = fixture.send("PUT", path, &to(offset.clone())).await;
        assert_eq!(moved.status, 200, "{}", moved.body);
        assert_eq!(moved.json()["offsets"][0]["offset"], expected, "{offset}");
    }
    assert_eq!(fixture.get("/api/v1/groups/g").await["state"], "Empty");
    for wrong in [json!({}), json!({ "offset": 1, "to": "latest" })] {
        assert_eq!(fixture.send("PUT", path, &to(wrong.clone())).await.status, 400, "{wrong}");
    }
    for (partition, offset) in [(7, 0), (0, 4)] {
        let elsewhere =
            json!({ "offsets": [{ "topic": "t", "partition": partition, "offset": offset }] });
        assert_eq!(fixture.send("PUT", path, &elsewhere).await.status, 404, "{elsewhere}");
    }
    assert_eq!(fixture.raw("DELETE", "/api/v1/groups/g", "", "").await.status, 204);
    assert_eq!(fixture.raw("DELETE", "/api/v1/groups/g", "", "").await.status, 404);
}

#[tokio::test]
async fn a_queue_is_seen_and_purged() {
    let fixture = Fixture::start().await;
    let name = QueueName { space: "".into(), name: "q".into() };
    let spec = QueueSpec { durable: true, ..QueueSpec::default() };
    fixture.broker.declare_queue(&name, &spec, PublisherId::default()).await.unwrap();
    let listed = fixture.get("/api/v1/queues").await;
    assert_eq!(listed["nodes"][0]["facts"]["ready"], 0);
    let purged = fixture.raw("DELETE", "/api/v1/queues/q/messages", "", "").await;
    assert_eq!((purged.status, &purged.json()["messages"]), (200, &0.into()));
    assert_eq!(fixture.raw("DELETE", "/api/v1/queues/x/messages", "", "").await.status, 404);
}
