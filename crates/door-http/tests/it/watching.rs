//! Metrics, health, state, history, events.

use broker::observe::{Said, kinds};
use broker::observing::ObserveOptions;
use tokio::time::timeout;

use crate::support::{Fixture, HANG, Stream};

#[tokio::test]
async fn probes_say_that_all_is_well_until_the_broker_stops() {
    let fixture = Fixture::start().await;
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(fixture.get(path).await["status"], "ok", "{path}");
    }
    let head = fixture.raw("HEAD", "/livez", "", "").await;
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads_and_those_of_topics_are_details() {
    let fixture = Fixture::start().await;
    let body = serde_json::json!({ "name": "t\\".replace('\\', "-") });
    assert_eq!(fixture.send("POST", "/api/v1/topics", &body).await.status, 200);
    let plain = fixture.raw("GET", "/metrics", "", "").await;
    assert!(plain.head.contains("content-type: text/plain; version=0.0.4"), "{}", plain.head);
    for line in [
        "# TYPE entrepot_connections gauge",
        "entrepot_connections{door=\"http\",listener=\"HTTP\"} 1",
        "entrepot_topics 1",
        "entrepot_requests_total{door=\"http\",request=\"topics_create\"} 1",
    ] {
        assert!(plain.body.lines().any(|known| known == line), "{line}\n{}", plain.body);
    }
    assert!(!plain.body.contains("entrepot_partition_end_offset"));
    let accept = "Accept: application/openmetrics-text; version=1.0.0\r\n";
    let open = fixture.raw("GET", "/metrics", accept, "").await;
    assert!(open.head.contains("content-type: application/openmetrics-text"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n"));
    let path = "/metrics/detailed?family=entrepot_partition&topic=t-";
    let detailed = fixture.raw("GET", path, "", "").await;
    let line = "entrepot_partition_end_offset{topic=\"t-\",partition=\"0\"} 0";
    assert!(detailed.body.lines().any(|known| known == line), "{}", detailed.body);
    assert!(!detailed.body.contains("process_"), "{}", detailed.body);
    assert_eq!(fixture.raw("GET", "/metrics/detailed?family=nothing", "", "").await.status, 404);
}

#[tokio::test]
async fn the_state_is_shown_in_pages() {
    let fixture = Fixture::start().await;
    for name in ["a", "b", "c"] {
        let body = serde_json::json!({ "name": name, "partitions": 2 });
        fixture.send("POST", "/api/v1/topics", &body).await;
    }
    let state = fixture.get("/api/v1/state").await;
    assert_eq!((&state["totals"]["topic"], &state["totals"]["partition"]), (&3.into(), &6.into()));
    let listener = state["nodes"].as_array().unwrap().iter();
    let mut listener = listener.filter(|node| node["id"] == "listener/HTTP");
    assert_eq!(listener.next().unwrap()["facts"]["door"], "http");
    let page = fixture.get("/api/v1/topics?offset=1&limit=1").await;
    assert_eq!(page["nodes"][0]["id"], "topic/b");
    assert_eq!((page["nodes"].as_array().unwrap().len(), &page["totals"]["topic"]), (1, &3.into()));
    assert_eq!(fixture.get("/api/v1/topics?name=c").await["totals"]["topic"], 1);
    let sorted = fixture.get("/api/v1/topics?sort=name&order=desc&limit=1").await;
    assert_eq!(
        (&sorted["nodes"][0]["id"], &sorted["totals"]["topic"]),
        (&"topic/c".into(), &3.into())
    );
    assert_eq!(fixture.get("/api/v1/topics?text=B").await["totals"]["topic"], 1);
    for wrong in ["order=up", "kinds=nothing", "limit=0", "limit=x", "offset=-1"] {
        let answered = fixture.raw("GET", &format!("/api/v1/state?{wrong}"), "", "").await;
        assert_eq!(answered.status, 400, "{wrong}");
        assert!(answered.head.contains("application/problem+json"), "{}", answered.head);
    }
}

#[tokio::test]
async fn what_was_is_remembered() {
    let fixture = Fixture::start().await;
    fixture.broker.begin_observing(ObserveOptions {
        watch: true,
        events_topic: false,
        ..Default::default()
    });
    let path = "/api/v1/history?family=entrepot_topics";
    let shown = timeout(HANG, async {
        loop {
            let shown = fixture.get(path).await;
            if !shown["series"].as_array().unwrap().is_empty() {
                return shown;
            }
            // poll: until somebody has looked, bounded by HANG
        }
    });
    let shown = shown.await.unwrap();
    assert_eq!(shown["series"][0]["points"][0][1], 0);
    assert_eq!(fixture.get("/api/v1/diagnosis").await["incidents"], serde_json::json!([]));
    let part = "/api/v1/history?family=entrepot_store_sync_duration_seconds&part=p99";
    assert_eq!(fixture.get(part).await["unit"], "seconds");
    for (path, status) in
        [("", 400), ("?family=nothing", 404), ("?family=entrepot_topics&part=p99", 400)]
    {
        let answered = fixture.raw("GET", &format!("/api/v1/history{path}"), "", "").await;
        assert_eq!(answered.status, status, "{path}");
    }
}

#[tokio::test]
async fn events_are_listed_and_sent_as_they_happen() {
    let fixture = Fixture::start().await;
    let events = &fixture.broker.observe().events;
    events.tell(&kinds::STARTED, None, || Said::new("one"));
    let listed = fixture.get("/api/v1/events").await;
    assert_eq!(listed["events"][0]["kind"], "broker.started");
    let next = &listed["next"];
    let mut stream = Stream::open(&fixture, &format!("/api/v1/events?from={next}"), "").await;
    stream.until("text/event-stream").await;
    events.tell(&kinds::STARTED, None, || Said::new("two"));
    let seen = stream.until("\"text\":\"two\"").await;
    assert!(!seen.contains("\"text\":\"one\""), "{seen}");
    assert!(seen.contains(&format!("event: event\nid: {next}\n")), "{seen}");
    // A browser that comes again goes on where it was.
    let mut again = Stream::open(&fixture, "/api/v1/events", "Last-Event-ID: 0\r\n").await;
    again.until("\"text\":\"two\"").await;
    // When the broker stops, streams end.
    let ended = tokio::spawn(again.end());
    fixture.listener.stop(HANG).await;
    timeout(HANG, ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_document_is_there_and_other_paths_are_not() {
    let fixture = Fixture::start().await;
    let document = fixture.get("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(fixture.raw("GET", "/nothing", "", "").await.status, 404);
    let wrong = fixture.raw("DELETE", "/metrics", "", "").await;
    assert_eq!(wrong.status, 405);
    assert!(wrong.head.contains("allow: get, head"), "{}", wrong.head);
}

#[tokio::test]
async fn connections_are_shown_while_they_are_open() {
    let fixture = Fixture::start().await;
    let stream = fixture.connect().await;
    let local = stream.local_addr().unwrap().to_string();
    let path = "/api/v1/state?kinds=connection";
    let is_shown = async |wanted: bool| {
        let seen = async {
            loop {
                let state = fixture.get(path).await;
                let nodes = state["nodes"].as_array().unwrap();
                if nodes.iter().any(|node| node["facts"]["peer"] == *local) == wanted {
                    return state;
                }
                // poll: until the listener has noticed, bounded by HANG
            }
        };
        timeout(HANG, seen).await.unwrap()
    };
    let state = is_shown(true).await;
    let edges = state["edges"].as_array().unwrap().iter();
    assert!(edges.clone().all(|edge| edge["to"] == "listener/HTTP"), "{state}");
    drop(stream);
    is_shown(false).await;
}

#[tokio::test]
async fn remedies_are_listed_and_only_what_is_suggested_can_be_done() {
    let fixture = Fixture::start().await;
    let none = serde_json::json!({ "mode": "observe", "remedies": [] });
    assert_eq!(fixture.get("/api/v1/remedies").await, none);
    let nothing = serde_json::json!({});
    for path in ["/api/v1/remedies/1/apply", "/api/v1/remedies/x/undo"] {
        assert_eq!(fixture.send("POST", path, &nothing).await.status, 404, "{path}");
        let more = serde_json::json!({ "force": true });
        assert_eq!(fixture.send("POST", path, &more).await.status, 400, "{path}");
        let form = "Content-Type: text/plain\r\n";
        assert_eq!(
            fixture.raw("POST", path, form, "{}").await.status,
            415,
            "other sites send that"
        );
    }
}
