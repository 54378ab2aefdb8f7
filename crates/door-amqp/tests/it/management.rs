//! The management API, asked with bytes of HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use broker::queues::QueueName;
use bytes::Bytes;
use door::{ConnectionLimit, Listener, ListenerHandle, ListenerOptions};
use door_amqp::AmqpDoorOptions;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Fixture, HANG};

/// A broker with the API of its AMQP door on a port.
struct Managed {
    fixture: Fixture,
    listener: ListenerHandle,
}

impl Managed {
    async fn start() -> Self {
        let options =
            AmqpDoorOptions { virtual_hosts: vec!["other".to_owned()], ..Default::default() };
        let fixture = Fixture::with(options, |_| {}).await;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(&ListenerOptions::new("MANAGEMENT", loopback)).unwrap();
        let door = Arc::new(fixture.door.management());
        let listener = listener.run(door, ConnectionLimit::default());
        Self { fixture, listener }
    }

    /// Asks, and returns the status code and the JSON, if there is any.
    async fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> (u16, Json) {
        let body = body.map(Json::to_string).unwrap_or_default();
        let user = BASE64_STANDARD.encode("guest:guest");
        let (status, told) = self.raw(&format!(
            "{method} /api/{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Basic {user}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )).await;
        (status, serde_json::from_str(&told).unwrap_or(Json::Null))
    }

    async fn raw(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.listener.local_address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(HANG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    async fn get(&self, path: &str) -> Json {
        let (status, json) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    async fn status(&self, method: &str, path: &str, body: &Json) -> u16 {
        self.ask(method, path, Some(body)).await.0
    }
}

#[tokio::test]
async fn a_queue_is_declared_seen_purged_and_deleted() {
    let broker = Managed::start().await;
    let path = "queues/%2F/a%2Fb";
    let wanted = json!({ "durable": true, "arguments": { "x-max-priority": 3 } });
    assert_eq!(broker.status("PUT", path, &wanted).await, 201);
    assert_eq!(broker.status("PUT", path, &wanted).await, 204);
    let (status, refused) = broker.ask("PUT", path, Some(&json!({ "durable": false }))).await;
    assert_eq!((status, &refused["error"]), (400, &json!("bad_request")));
    assert!(refused["reason"].as_str().unwrap().starts_with("inequivalent arg 'durable'"));
    let sent = json!({ "routing_key": "a/b", "payload": "one", "properties": { "priority": 2 } });
    let (_, routed) = broker.ask("POST", "exchanges/%2F/amq.default/publish", Some(&sent)).await;
    assert_eq!(routed, json!({ "routed": true }));
    let shown = broker.get(path).await;
    for (name, value) in [
        ("name", json!("a/b")),
        ("vhost", json!("/")),
        ("type", json!("classic")),
        ("durable", json!(true)),
        ("auto_delete", json!(false)),
        ("state", json!("running")),
        ("messages", json!(1)),
        ("messages_ready", json!(1)),
        ("messages_unacknowledged", json!(0)),
        ("consumers", json!(0)),
        ("policy", json!(null)),
        ("arguments", json!({ "x-max-priority": 3 })),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert_eq!(broker.status("DELETE", "queues/%2F/a%2Fb/contents", &json!({})).await, 204);
    assert_eq!(broker.get(path).await["messages"], 0);
    assert_eq!(broker.status("DELETE", path, &json!({})).await, 204);
    assert_eq!(broker.status("DELETE", path, &json!({})).await, 404);
    let (status, missing) = broker.ask("GET", path, None).await;
    let not_found = json!({ "error": "Object Not Found", "reason": "Not Found" });
    assert_eq!((status, missing), (404, not_found));
}

#[tokio::test]
async fn messages_are_looked_at_and_stay_or_are_taken() {
    let broker = Managed::start().await;
    broker.status("PUT", "queues/%2F/q", &json!({ "durable": true })).await;
    let binary = BASE64_STANDARD.encode(b"\xff\x00");
    for (payload, encoding) in [("text", "string"), (binary.as_str(), "base64")] {
        let sent = json!({
            "routing_key": "q", "payload": payload, "payload_encoding": encoding,
            "properties": { "delivery_mode": 2, "headers": { "h": [1, "two"] }, "type": "t" },
        });
        broker.ask("POST", "exchanges/%2F/amq.default/publish", Some(&sent)).await;
    }
    let look = |ackmode: &str| json!({ "count": 5, "ackmode": ackmode, "encoding": "auto", "truncate": 2 });
    let (_, first) = broker.ask("POST", "queues/%2F/q/get", Some(&look("ack_requeue_true"))).await;
    assert_eq!((&first[0]["payload"], &first[0]["payload_bytes"]), (&json!("te"), &json!(4)));
    assert_eq!(
        (&first[1]["payload"], &first[1]["payload_encoding"]),
        (&json!(binary), &json!("base64"))
    );
    let properties = json!({ "delivery_mode": 2, "headers": { "h": [1, "two"] }, "type": "t" });
    assert_eq!(first[0]["properties"], properties);
    assert_eq!((&first[0]["redelivered"], &first[0]["message_count"]), (&json!(false), &json!(1)));
    let (_, again) = broker.ask("POST", "queues/%2F/q/get", Some(&look("ack_requeue_false"))).await;
    assert_eq!((again.as_array().unwrap().len(), &again[0]["redelivered"]), (2, &json!(true)));
    let (_, none) = broker.ask("POST", "queues/%2F/q/get", Some(&look("ack_requeue_false"))).await;
    assert_eq!(none, json!([]));
}

#[tokio::test]
async fn exchanges_are_bound_and_bindings_are_found_by_their_key() {
    let broker = Managed::start().await;
    let headers = json!({ "type": "headers", "durable": true });
    assert_eq!(broker.status("PUT", "exchanges/%2F/x", &headers).await, 201);
    assert_eq!(broker.status("PUT", "exchanges/%2F/y", &json!({ "type": "none" })).await, 400);
    broker.status("PUT", "queues/%2F/q", &json!({ "durable": true })).await;
    let wanted = json!({ "routing_key": "a~b/c", "arguments": { "x-match": "any", "h": 1 } });
    assert_eq!(broker.status("POST", "bindings/%2F/e/x/q/q", &wanted).await, 201);
    let bound = broker.get("queues/%2F/q/bindings").await;
    let bound = bound.as_array().unwrap();
    assert_eq!(bound.len(), 2, "to the exchange without a name, too: {bound:?}");
    let own = bound.iter().find(|binding| binding["source"] == "x").unwrap();
    assert_eq!(own["routing_key"], "a~b/c");
    assert_eq!(own["arguments"], wanted["arguments"]);
    let key = own["properties_key"].as_str().unwrap();
    assert!(key.starts_with("a%7Eb%2Fc~"), "{key}");
    assert_eq!(broker.get("exchanges/%2F/x/bindings/source").await.as_array().unwrap().len(), 1);
    // As it is, and with its escapes escaped, as clients differ.
    broker.get(&format!("bindings/%2F/e/x/q/q/{key}")).await;
    let escaped = format!("bindings/%2F/e/x/q/q/{}", key.replace('%', "%25"));
    broker.get(&escaped).await;
    assert_eq!(broker.status("DELETE", &escaped, &json!({})).await, 204);
    assert_eq!(broker.status("DELETE", &escaped, &json!({})).await, 404);
    assert_eq!(broker.status("DELETE", "exchanges/%2F/amq.direct", &json!({})).await, 401);
    assert_eq!(broker.status("DELETE", "exchanges/%2F/x", &json!({})).await, 204);
}

#[tokio::test]
async fn a_connection_is_seen_with_its_channels_and_closed() {
    let broker = Managed::start().await;
    let mut client = broker.fixture.channel().await;
    let connections = broker.get("connections").await;
    let name = connections[0]["name"].as_str().unwrap().to_owned();
    assert_eq!(connections[0]["protocol"], "AMQP 0-9-1");
    assert_eq!(connections[0]["channels"], 1);
    let channels = broker.get("channels").await;
    assert_eq!(channels[0]["name"], format!("{name} (1)"));
    let overview = broker.get("overview").await;
    assert_eq!(overview["object_totals"]["connections"], 1);
    let path = format!("connections/{}", name.replace(' ', "%20").replace('>', "%3E"));
    assert_eq!(broker.status("DELETE", &path, &json!({})).await, 204);
    let told = client.next().await;
    assert!(told.starts_with("0 connection.close"), "{told}");
}

#[tokio::test]
async fn a_virtual_host_is_made_and_deleted_with_what_is_in_it() {
    let broker = Managed::start().await;
    assert_eq!(broker.status("PUT", "vhosts/new", &json!({})).await, 201);
    assert_eq!(broker.status("PUT", "vhosts/new", &json!({})).await, 204);
    broker.status("PUT", "queues/new/q", &json!({ "durable": true })).await;
    let names: Vec<_> = broker
        .get("vhosts")
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["/", "new", "other"]);
    assert_eq!(broker.status("DELETE", "vhosts/other", &json!({})).await, 400, "it is configured");
    assert_eq!(broker.status("DELETE", "vhosts/new", &json!({})).await, 204);
    let of = Bytes::from_static;
    let queue = QueueName { space: of(b"new"), name: of(b"q") };
    assert!(broker.fixture.broker.queue(&queue).is_none());
    assert_eq!(broker.ask("GET", "queues/new", None).await.0, 404);
}

#[tokio::test]
async fn definitions_bring_back_what_was_declared() {
    let broker = Managed::start().await;
    broker.status("PUT", "vhosts/v", &json!({})).await;
    broker
        .status(
            "PUT",
            "queues/v/q",
            &json!({ "durable": true, "arguments": { "x-queue-type": "quorum" } }),
        )
        .await;
    broker.status("PUT", "queues/v/gone", &json!({ "durable": false })).await;
    broker.status("PUT", "exchanges/v/x", &json!({ "type": "topic", "durable": true })).await;
    broker.status("POST", "bindings/v/e/x/q/q", &json!({ "routing_key": "a.#" })).await;
    let kept = broker.get("definitions").await;
    assert_eq!(kept["queues"].as_array().unwrap().len(), 1, "what is in memory is not kept");
    broker.status("DELETE", "vhosts/v", &json!({})).await;
    assert_eq!(broker.status("POST", "definitions", &kept).await, 204);
    assert_eq!(broker.get("definitions").await, kept);
    assert_eq!(broker.status("POST", "definitions", &json!({ "policies": [{}] })).await, 400);
}

#[tokio::test]
async fn policies_are_set_shown_kept_in_definitions_and_deleted() {
    let broker = Managed::start().await;
    broker.status("PUT", "queues/%2F/q", &json!({ "durable": true })).await;
    let wanted = json!({
        "pattern": "^q", "definition": { "max-length": 5, "overflow": "drop-head" }, "priority": 2,
        "apply-to": "queues",
    });
    assert_eq!(broker.status("PUT", "policies/%2F/p", &wanted).await, 201);
    assert_eq!(broker.status("PUT", "policies/%2F/p", &wanted).await, 204);
    let bound = json!({ "pattern": ".*", "definition": { "max-length": 3 } });
    assert_eq!(broker.status("PUT", "operator-policies/%2F/o", &bound).await, 201);
    let shown = broker.get("policies/%2F/p").await;
    let mut all = wanted.clone();
    all["vhost"] = json!("/");
    all["name"] = json!("p");
    assert_eq!(shown, all);
    assert_eq!(broker.get("policies").await, json!([all]));
    assert_eq!(broker.get("operator-policies/%2F").await[0]["apply-to"], "all");
    assert_eq!(broker.get("policies/other").await, json!([]));
    let queue = broker.get("queues/%2F/q").await;
    assert_eq!((&queue["policy"], &queue["operator_policy"]), (&json!("p"), &json!("o")));
    let effective = json!({ "max-length": 3, "overflow": "drop-head" });
    assert_eq!(queue["effective_policy_definition"], effective);
    let kept = broker.get("definitions").await;
    for (path, kind) in [("policies/%2F/p", "policies"), ("operator-policies/%2F/o", "parameters")]
    {
        assert_eq!(kept[kind].as_array().unwrap().len(), 1, "{kind}: {kept}");
        assert_eq!(broker.status("DELETE", path, &json!({})).await, 204);
        assert_eq!(broker.status("DELETE", path, &json!({})).await, 404);
    }
    assert_eq!(broker.get("queues/%2F/q").await["policy"], json!(null));
    assert_eq!(broker.status("POST", "definitions", &kept).await, 204);
    assert_eq!(broker.get("definitions").await, kept);
    assert_eq!(broker.get("queues/%2F/q").await["operator_policy"], "o");
    let (status, refused) = broker
        .ask("PUT", "policies/%2F/x", Some(&json!({ "pattern": "", "definition": {} })))
        .await;
    assert_eq!(status, 400);
    assert_eq!(refused["reason"], "Validation failed\n\nno policy provided\n");
    assert_eq!(broker.status("PUT", "policies/%2F/x", &json!({ "pattern": "" })).await, 400);
    assert_eq!(broker.status("PUT", "policies/none/x", &wanted).await, 404);
    broker.status("PUT", "vhosts/v", &json!({})).await;
    broker.status("PUT", "policies/v/p", &wanted).await;
    broker.status("DELETE", "vhosts/v", &json!({})).await;
    broker.status("PUT", "vhosts/v", &json!({})).await;
    assert_eq!(broker.get("policies/v").await, json!([]), "they go with their virtual host");
}

#[tokio::test]
async fn a_queue_is_paused_and_looked_into() {
    let broker = Managed::start().await;
    broker.status("PUT", "queues/%2F/q", &json!({ "durable": true })).await;
    for payload in ["one", "two"] {
        let sent = json!({ "routing_key": "q", "payload": payload, "properties": { "type": "t" } });
        broker.ask("POST", "exchanges/%2F/amq.default/publish", Some(&sent)).await;
    }
    assert_eq!(broker.status("PUT", "queues/%2F/q/pause", &json!({})).await, 204);
    assert_eq!(broker.get("queues/%2F/q").await["state"], "paused");
    let look = json!({ "count": 5, "ackmode": "ack_requeue_true", "encoding": "auto" });
    assert_eq!(broker.ask("POST", "queues/%2F/q/get", Some(&look)).await.1, json!([]));
    let seen = broker.get("queues/%2F/q/peek").await;
    assert_eq!((&seen[0]["payload"], &seen[1]["payload"]), (&json!("one"), &json!("two")));
    assert_eq!(seen[0]["properties"], json!({ "type": "t" }));
    assert_eq!((&seen[0]["message_count"], &seen[0]["redelivered"]), (&json!(1), &json!(false)));
    let less = broker.get("queues/%2F/q/peek?count=1&truncate=2").await;
    assert_eq!((less.as_array().unwrap().len(), &less[0]["payload"]), (1, &json!("on")));
    assert_eq!(broker.ask("GET", "queues/%2F/q/peek?count=x", None).await.0, 400);
    assert_eq!(broker.status("PUT", "queues/%2F/q/resume", &json!({})).await, 204);
    assert_eq!(broker.get("queues/%2F/q").await["state"], "running");
    let (_, got) = broker.ask("POST", "queues/%2F/q/get", Some(&look)).await;
    assert_eq!((&got[0]["payload"], &got[0]["redelivered"]), (&json!("one"), &json!(false)));
    assert_eq!(broker.status("PUT", "queues/%2F/none/pause", &json!({})).await, 404);
}

#[tokio::test]
async fn a_user_is_made_changed_and_deleted() {
    let broker = Managed::start().await;
    let path = "users/alice";
    assert_eq!(broker.status("PUT", path, &json!({ "tags": "management" })).await, 400);
    let wanted = json!({ "password": "secret", "tags": "administrator" });
    assert_eq!(broker.status("PUT", path, &wanted).await, 201);
    assert_eq!(broker.status("PUT", path, &json!({ "tags": [] })).await, 204);
    assert_eq!(broker.get(path).await["name"], "alice");
    let all = json!({ "configure": "^a.*$", "write": ".*", "read": "" });
    // Nobody enforces rules here, so that everybody may do everything: they are kept all the same.
    assert_eq!(broker.status("PUT", "permissions/%2F/alice", &all).await, 204);
    let odd = json!({ "configure": "[ab]", "write": "", "read": "" });
    assert_eq!(broker.status("PUT", "permissions/%2F/alice", &odd).await, 400);
    assert_eq!(broker.status("DELETE", path, &json!({})).await, 204);
    assert_eq!(broker.ask("GET", path, None).await.0, 404);
}

#[tokio::test]
async fn what_nobody_should_ask_is_refused() {
    let broker = Managed::start().await;
    assert_eq!(broker.ask("GET", "nothing", None).await.0, 404);
    assert_eq!(broker.status("PATCH", "queues/%2F/q", &json!({})).await, 405);
    assert_eq!(broker.ask("PUT", "queues/none/q", None).await.0, 404);
    assert_eq!(broker.ask("PUT", "queues/%2F/q", Some(&json!([1]))).await.0, 400);
    let cross = "PUT /api/queues/%2F/q HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(broker.raw(cross).await.0, 403);
    assert!(broker.get("queues").await.as_array().unwrap().is_empty());
    assert_eq!(broker.get("whoami").await["name"], "guest");
    assert_eq!(broker.get("health/checks/alarms").await["status"], "ok");
    assert_eq!(broker.get("aliveness-test/%2F").await["status"], "ok");
}
