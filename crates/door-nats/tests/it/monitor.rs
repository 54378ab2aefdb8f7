//! The monitoring endpoints.

use std::sync::Arc;

use door::ListenerHandle;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Fixture;

fn listen(fixture: &Fixture) -> ListenerHandle {
    door::testing::listen("NATS", Arc::new(fixture.door.monitor()))
}

async fn get(listener: &ListenerHandle, path: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(listener.local_address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap().to_owned();
    (status, serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn the_pages_show_clients_and_what_they_did() {
    let fixture = Fixture::start().await;
    let listener = listen(&fixture);
    let mut client =
        fixture.client(r#"{"verbose":false,"name":"me","lang":"x","version":"1"}"#).await;
    client.say("SUB a 1\r\nSUB b q 2\r\nPUB a 3\r\nabc\r\nPUB none 2\r\nab\r\n").await;
    client.expect("MSG a 1 3\r\nabc\r\n").await;
    client.expect_nothing().await;
    let (status, varz) = get(&listener, "/varz").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!((&varz["in_msgs"], &varz["in_bytes"]), (&2.into(), &5.into()));
    assert_eq!((&varz["out_msgs"], &varz["out_bytes"]), (&1.into(), &3.into()));
    assert_eq!((&varz["connections"], &varz["subscriptions"]), (&1.into(), &2.into()));
    let (_, connz) = get(&listener, "/connz?subs=detail&auth=1").await;
    let shown = &connz["connections"][0];
    assert_eq!((&shown["name"], &shown["lang"]), (&"me".into(), &"x".into()));
    assert_eq!(shown["authorized_user"], "ANONYMOUS");
    assert_eq!(shown["subscriptions_list_detail"].as_array().map(Vec::len), Some(2));
    let (_, subsz) = get(&listener, "/subsz?subs=1&limit=1&offset=1").await;
    assert_eq!(subsz["num_subscriptions"], 2);
    assert_eq!(subsz["subscriptions_list"].as_array().map(Vec::len), Some(1));
    let (status, healthz) = get(&listener, "/healthz").await;
    assert_eq!((status.as_str(), &healthz["status"]), ("HTTP/1.1 200 OK", &"ok".into()));
    assert_eq!(get(&listener, "/nothing").await.0, "HTTP/1.1 404 Not Found");
    // What one did who is gone is still counted.
    client.stream.shutdown().await.unwrap();
    client.expect_end("").await;
    loop {
        let (_, varz) = get(&listener, "/varz").await;
        if varz["connections"] == 0 {
            assert_eq!((&varz["in_msgs"], &varz["out_msgs"]), (&2.into(), &1.into()));
            assert_eq!(varz["total_connections"], 1);
            break;
        }
    }
}

#[tokio::test]
async fn what_is_no_get_is_refused() {
    let fixture = Fixture::start().await;
    let listener = listen(&fixture);
    for (request, status) in [
        ("POST /varz HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
        ("nonsense\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /varz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 "),
    ] {
        let mut stream = TcpStream::connect(listener.local_address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with(status), "{request}: {response}");
    }
}
