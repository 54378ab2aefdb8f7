//! The console's files, and what it asks that others seldom do.

use serde_json::json;

use crate::support::Fixture;

#[tokio::test]
async fn the_page_comes_with_a_policy_and_is_not_sent_twice() {
    let fixture = Fixture::start().await;
    let page = fixture.raw("GET", "/", "", "").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("/console/app.js"), "{}", page.body);
    for line in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; script-src 'self';",
        "x-content-type-options: nosniff",
        "cache-control: no-cache",
    ] {
        assert!(page.head.contains(line), "{line}\n{}", page.head);
    }
    let tag = page.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = fixture.raw("GET", "/", &format!("If-None-Match: {tag}\r\n"), "").await;
    assert_eq!((again.status, &*again.body), (304, ""));
    let other = fixture.raw("GET", "/", "If-None-Match: \"other\"\r\n", "").await;
    assert_eq!(other.status, 200);
    let module = fixture.raw("GET", "/console/preact.mjs", "", "").await;
    assert!(module.head.contains("content-type: text/javascript"), "{}", module.head);
    for path in ["/console/nothing.js", "/console/..%2FCargo.toml", "/console/vendor/preact.mjs"] {
        assert_eq!(fixture.raw("GET", path, "", "").await.status, 404, "{path}");
    }
    assert_eq!(fixture.raw("POST", "/", "", "").await.status, 405);
}

#[tokio::test]
async fn messages_are_found_by_key_and_by_what_they_contain() {
    let fixture = Fixture::start().await;
    fixture.send("POST", "/api/v1/topics", &json!({ "name": "t", "partitions": 1 })).await;
    let one =
        |number: u32| json!({ "key": format!("k{}", number % 10), "value": format!("<{number}>") });
    let messages: Vec<_> = (0..2500).map(one).collect();
    let path = "/api/v1/topics/t/messages";
    let sent = fixture.send("POST", path, &json!({ "messages": messages })).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    let found = fixture.get(&format!("{path}?key=k7&limit=10000")).await;
    assert_eq!(found["messages"].as_array().unwrap().len(), 250);
    assert_eq!((&found["scanned"], &found["next"]), (&2500.into(), &2500.into()));
    let found = fixture.get(&format!("{path}?contains=%3C2499%3E")).await;
    assert_eq!(found["messages"][0]["offset"], 2499);
    let found = fixture.get(&format!("{path}?key=k7&contains=%3C1007%3E&offset=1000")).await;
    assert_eq!((&found["messages"][0]["offset"], &found["scanned"]), (&1007.into(), &1500.into()));
    // Who asks for few goes on from there, and misses none.
    let found = fixture.get(&format!("{path}?key=k7&limit=2")).await;
    assert_eq!((&found["messages"][1]["offset"], &found["next"]), (&17.into(), &18.into()));
    let none = fixture.get(&format!("{path}?key=none&offset=2500")).await;
    assert_eq!((&none["messages"], &none["next"]), (&json!([]), &2500.into()));
}

#[tokio::test]
async fn a_topic_says_which_groups_consume_it() {
    let fixture = Fixture::start().await;
    fixture.broker.begin_observing(broker::observing::ObserveOptions {
        watch: true,
        events_topic: false,
        ..Default::default()
    });
    fixture.send("POST", "/api/v1/topics", &json!({ "name": "t", "partitions": 2 })).await;
    let none = fixture.get("/api/v1/topics/t/groups").await;
    assert_eq!(none, json!({ "topic": "t", "groups": [] }));
    let offsets = json!({ "offsets": [{ "topic": "t", "partition": 1, "to": "latest" }] });
    let moved = fixture.send("PUT", "/api/v1/groups/g/offsets", &offsets).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    let seen = async {
        loop {
            let shown = fixture.get("/api/v1/topics/t/groups").await;
            if shown["groups"] != json!([]) {
                return shown;
            }
            // poll: until lags are looked at again, bounded by HANG
        }
    };
    let shown = tokio::time::timeout(crate::support::HANG, seen).await.unwrap();
    assert_eq!(
        (&shown["groups"][0]["group"], &shown["groups"][0]["messages"]),
        (&"g".into(), &0.into())
    );
    assert_eq!(shown["groups"][0]["partitions"][0]["partition"], 1);
    assert_eq!(fixture.raw("GET", "/api/v1/topics/missing/groups", "", "").await.status, 404);
}
