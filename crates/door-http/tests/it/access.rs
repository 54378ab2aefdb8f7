//! Who may do what.

use broker::access::AccessOptions;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::Fixture;

#[tokio::test]
async fn who_has_no_rights_sees_nothing_and_changes_nothing() {
    let fixture = Fixture::with(|options| {
        options.access =
            AccessOptions { enforce: true, super_users: Vec::new(), allow_if_no_rule: false };
    })
    .await;
    fixture
        .broker
        .create_topic(broker::NewTopic { name: "t".into(), ..Default::default() })
        .await
        .unwrap();
    for (path, status) in [
        ("/livez", 200),
        ("/openapi.json", 200),
        ("/metrics", 403),
        ("/metrics/detailed", 403),
        ("/api/v1/state", 403),
        ("/api/v1/history?family=entrepot_topics", 403),
        ("/api/v1/events", 403),
        ("/api/v1/diagnosis", 403),
        ("/api/v1/topics/t", 404),
        ("/api/v1/topics/t/messages", 404),
        ("/api/v1/groups/g", 404),
    ] {
        assert_eq!(fixture.raw("GET", path, "", "").await.status, status, "{path}");
    }
    assert_eq!(
        fixture.get("/api/v1/topics").await,
        json!({ "nodes": [], "edges": [], "totals": { "topic": 0 } })
    );
    let new = json!({ "name": "mine" });
    assert_eq!(fixture.send("POST", "/api/v1/topics", &new).await.status, 403);
    let message = json!({ "messages": [{ "value": "a" }] });
    assert_eq!(fixture.send("POST", "/api/v1/topics/t/messages", &message).await.status, 404);
    assert_eq!(fixture.raw("DELETE", "/api/v1/topics/t", "", "").await.status, 404);
}

#[tokio::test]
async fn a_page_that_a_made_up_name_led_here_reads_nothing() {
    let fixture = Fixture::start().await;
    let ask = async |host: &str, more: &str| {
        let mut stream = fixture.connect().await;
        let request = format!(
            "GET /api/v1/state HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let page = "Sec-Fetch-Site: same-origin\r\n";
    for host in ["evil.example:8080", "1.2.3.4.evil.example", ""] {
        assert_eq!(ask(host, page).await, "HTTP/1.1 403", "{host}");
    }
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "broker"] {
        assert_eq!(ask(host, page).await, "HTTP/1.1 200", "{host}");
    }
    // Prometheus is no page.
    assert_eq!(ask("broker.example:8080", "").await, "HTTP/1.1 200");
}
