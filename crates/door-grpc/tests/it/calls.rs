//! What all calls have in common.

use door_grpc::pb::publisher_client::PublisherClient;
use door_grpc::{GrpcDoorOptions, pb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Fixture, subject};

fn publish(payload: &str) -> pb::PublishRequest {
    pb::PublishRequest { message: Some(subject("a", payload)), mandatory: false }
}

#[tokio::test]
async fn health_is_told_of_services_that_there_are() {
    let fixture = Fixture::start().await;
    let mut client = HealthClient::new(fixture.connect().await);
    let check = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "entrepot.v1.Publisher", "entrepot.v1.Subscriptions"] {
        let told = client.check(check(service)).await.unwrap().into_inner();
        assert_eq!(told.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = client.check(check("none")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let mut watch = client.watch(check("")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let mut unknown = client.watch(check("none")).await.unwrap().into_inner();
    let told = unknown.message().await.unwrap().unwrap().status();
    assert_eq!(told, ServingStatus::ServiceUnknown);
    let stopping = tokio::spawn(fixture.listener.stop(std::time::Duration::from_secs(10)));
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(stopping.await.unwrap().aborted, 0);
}

#[tokio::test]
async fn packed_messages_are_understood_and_answered_so() {
    let fixture = Fixture::start().await;
    let mut live = fixture.live(&["a"]).await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let client = PublisherClient::new(fixture.connect().await);
        let mut client = client.send_compressed(encoding).accept_compressed(encoding);
        let large = "x".repeat(100_000);
        let told = client.publish(publish(&large)).await.unwrap();
        let name =
            told.metadata().get("grpc-encoding").map(|name| name.to_str().unwrap().to_owned());
        assert!(name.is_some(), "{encoding:?}");
        assert_eq!(live.payload().await, large);
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_and_after_it_is_unpacked() {
    let options = GrpcDoorOptions { message_bytes_max: 1000, ..GrpcDoorOptions::default() };
    let fixture = Fixture::with(options).await;
    let plain = PublisherClient::new(fixture.connect().await);
    let packed = plain.clone().send_compressed(CompressionEncoding::Gzip);
    for mut client in [plain, packed] {
        let refused = client.publish(publish(&"x".repeat(10_000))).await.unwrap_err();
        let code = refused.code();
        assert!(matches!(code, Code::OutOfRange | Code::ResourceExhausted), "{refused}");
        client.publish(publish("small")).await.unwrap();
    }
}

async fn exchange(fixture: &Fixture, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(fixture.listener.local_address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A call as a browser sends it: HTTP/1.1, and the message with its prefix in the body.
fn web(origin: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /entrepot.v1.Publisher/Publish HTTP/1.1\r\nhost: h\r\norigin: {origin}\r\n\
         content-type: {kind}\r\nx-grpc-web: 1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn web_pages_call_if_they_may() {
    let web_origins = vec!["https://good.example".to_owned()];
    let fixture = Fixture::with(GrpcDoorOptions { web_origins, ..Default::default() }).await;
    let message = prost::Message::encode_to_vec(&publish("x"));
    let prefix = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
    let body = [prefix, message].concat();
    let good = "https://good.example";
    let told = exchange(&fixture, &web(good, "application/grpc-web+proto", &body)).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(told.contains("access-control-allow-origin: https://good.example"), "{told}");
    assert!(told.contains("grpc-status:0"), "the trailers are in the body: {told}");
    let told = exchange(&fixture, &web("https://bad.example", "application/grpc-web", &body)).await;
    assert!(told.starts_with("HTTP/1.1 403"), "{told}");
    let told = exchange(&fixture, &web(good, "text/plain", &body)).await;
    assert!(told.starts_with("HTTP/1.1 4"), "{told}");
    let preflight = b"OPTIONS /entrepot.v1.Publisher/Publish HTTP/1.1\r\nhost: h\r\n\
        origin: https://good.example\r\naccess-control-request-method: POST\r\n\
        access-control-request-headers: content-type,x-grpc-web\r\nconnection: close\r\n\r\n";
    let told = exchange(&fixture, preflight).await;
    assert!(told.starts_with("HTTP/1.1 204"), "{told}");
    assert!(told.contains("access-control-allow-headers: content-type,x-grpc-web"), "{told}");
}

#[tokio::test]
async fn a_service_that_there_is_not_is_unimplemented() {
    let fixture = Fixture::start().await;
    let mut grpc = tonic::client::Grpc::new(fixture.connect().await);
    for path in ["/none.Service/Call", "/entrepot.v1.Publisher/None"] {
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<pb::PublishRequest, pb::PublishResponse>::default();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
        let refused = grpc.unary(tonic::Request::new(publish("x")), path, codec).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented);
    }
}
