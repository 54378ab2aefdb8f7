use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use bytes::Bytes;
use door_kafka::wire::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use door_kafka::wire::messages::metadata_response::MetadataResponsePartition;
use door_kafka::wire::messages::{ListGroupsRequest, MetadataRequest};
use door_kafka::wire::{ApiKey, Message, Reader, RequestHeader, encode_response};

use super::*;

const SOON: Duration = Duration::from_millis(200);
const PATIENT: Duration = Duration::from_secs(20);

/// A broker that does what a test says, once.
fn fake(
    script: impl FnOnce(&mut TcpStream, &TcpListener) + Send + 'static,
) -> (Vec<String>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        script(&mut stream, &listener);
    });
    (vec![address], thread)
}

/// Reads a request: its header and what follows.
fn read(stream: &mut TcpStream) -> (RequestHeader, Reader) {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).unwrap();
    let mut reader = Reader::new(Bytes::from(frame));
    (RequestHeader::decode(&mut reader).unwrap(), reader)
}

fn answer<M: Message>(stream: &mut TcpStream, to: &RequestHeader, version: i16, response: &M) {
    let frame =
        encode_response(to.api, version, to.correlation_id, |w| response.encode(w, version));
    stream.write_all(&frame.unwrap()).unwrap();
}

fn versions(keys: &[(ApiKey, i16, i16)]) -> ApiVersionsResponse {
    let key = |(api, min, max): &(ApiKey, i16, i16)| ApiVersion {
        api_key: api.number(),
        min_version: *min,
        max_version: *max,
    };
    ApiVersionsResponse {
        api_keys: keys.iter().map(key).collect(),
        ..ApiVersionsResponse::default()
    }
}

/// Answers the first request of every connection.
fn agree(stream: &mut TcpStream, keys: &[(ApiKey, i16, i16)]) {
    let (header, _) = read(stream);
    assert_eq!(header.api, ApiKey::ApiVersions);
    answer(stream, &header, header.version, &versions(keys));
}

fn cli_error(error: ClientError) -> String {
    crate::CliError::from(error).to_string()
}

#[test]
fn nobody_at_the_address_is_said_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = cli_error(
        Client::connect(std::slice::from_ref(&address), SOON, Security::default()).unwrap_err(),
    );
    assert!(error.starts_with(&format!("cannot connect to {address}: ")), "{error}");
    assert!(error.contains("entrepot serve"), "{error}");
    let unknown =
        Client::connect(&["no such host:1".to_owned()], SOON, Security::default()).unwrap_err();
    assert!(matches!(unknown, ClientError::Unreachable { .. }), "{unknown}");
}

#[test]
fn the_next_server_is_tried() {
    let (servers, thread) = fake(|stream, _| agree(stream, &[]));
    let mut all = vec!["127.0.0.1:1".to_owned()];
    all.extend(servers);
    Client::connect(&all, PATIENT, Security::default()).unwrap();
    thread.join().unwrap();
}

#[test]
fn something_that_is_not_kafka_is_told_from_a_broker() {
    for reply in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"\xff\xff\xff\xff",
    ] {
        let (servers, thread) = fake(move |stream, _| {
            read(stream);
            stream.write_all(reply).unwrap();
        });
        let error = Client::connect(&servers, PATIENT, Security::default()).unwrap_err();
        assert!(matches!(error, ClientError::Garbage { .. }), "{reply:?}: {error}");
        assert!(cli_error(error).contains("without TLS"));
        thread.join().unwrap();
    }
}

#[test]
fn an_answer_to_another_request_is_not_believed() {
    let (servers, thread) = fake(|stream, _| {
        let (mut header, _) = read(stream);
        header.correlation_id += 1;
        answer(stream, &header, header.version, &versions(&[]));
    });
    let error = Client::connect(&servers, PATIENT, Security::default()).unwrap_err();
    assert!(matches!(error, ClientError::Garbage { .. }), "{error}");
    thread.join().unwrap();
}

#[test]
fn a_broker_that_says_nothing_is_given_up() {
    let (servers, thread) = fake(|stream, _| {
        // Until the client hangs up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = Client::connect(&servers, SOON, Security::default()).unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    assert!(cli_error(error).contains("--timeout"));
    thread.join().unwrap();
}

#[test]
fn a_connection_that_ends_within_an_answer_is_told_from_garbage() {
    let (servers, thread) = fake(|stream, _| {
        read(stream);
        stream.write_all(&[0, 0x0b, 0, 0, 1, 2, 3]).unwrap();
    });
    let error = Client::connect(&servers, PATIENT, Security::default()).unwrap_err();
    assert!(matches!(error, ClientError::Closed { .. }), "{error}");
    thread.join().unwrap();
}

#[test]
fn an_old_broker_is_asked_for_its_versions_again_in_the_oldest_way() {
    let (servers, thread) = fake(|stream, _| {
        let (header, _) = read(stream);
        assert_eq!(header.version, 3);
        let refusal = ApiVersionsResponse {
            error_code: ErrorCode::UnsupportedVersion.number(),
            ..versions(&[(ApiKey::ApiVersions, 0, 0)])
        };
        answer(stream, &header, 0, &refusal);
        let (header, _) = read(stream);
        assert_eq!(header.version, 0);
        answer(stream, &header, 0, &versions(&[(ApiKey::Metadata, 0, 1)]));
        let (header, _) = read(stream);
        assert_eq!((header.api, header.version), (ApiKey::Metadata, 1), "the newest in common");
        answer(stream, &header, 1, &MetadataResponse { controller_id: 4, ..Default::default() });
    });
    let mut client = Client::connect(&servers, PATIENT, Security::default()).unwrap();
    let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
    assert_eq!(client.call(&request, NEWEST).unwrap().controller_id, 4);
    thread.join().unwrap();
}

#[test]
fn a_request_that_the_broker_does_not_serve_is_not_sent() {
    let (servers, thread) = fake(|stream, _| {
        agree(stream, &[(ApiKey::ListGroups, 90, 99)]);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "nothing is sent");
    });
    let mut client = Client::connect(&servers, PATIENT, Security::default()).unwrap();
    let error = client.call(&ListGroupsRequest::default(), NEWEST).unwrap_err();
    assert!(error.to_string().contains("it serves 90 to 99"), "{error}");
    let error = client.metadata(None).unwrap_err();
    assert!(error.to_string().contains("does not serve it at all"), "{error}");
    drop(client);
    thread.join().unwrap();
}

fn topic(code: ErrorCode, partitions: &[i32]) -> MetadataResponseTopic {
    MetadataResponseTopic {
        name: Some("flights".to_owned()),
        error_code: code.number(),
        partitions: partitions
            .iter()
            .map(|index| MetadataResponsePartition {
                partition_index: *index,
                ..MetadataResponsePartition::default()
            })
            .collect(),
        ..MetadataResponseTopic::default()
    }
}

/// A broker that answers requests for metadata with these, one after the other.
fn serve_topics(answers: Vec<MetadataResponseTopic>) -> (Vec<String>, JoinHandle<()>) {
    fake(move |stream, _| {
        agree(stream, &[(ApiKey::Metadata, 0, 13)]);
        for topic in answers {
            let (header, _) = read(stream);
            let response = MetadataResponse { topics: vec![topic], ..Default::default() };
            answer(stream, &header, header.version, &response);
        }
    })
}

#[test]
fn a_topic_that_is_being_made_is_waited_for_and_its_partitions_come_in_order() {
    let (servers, thread) = serve_topics(vec![
        topic(ErrorCode::UnknownTopicOrPartition, &[]),
        topic(ErrorCode::LeaderNotAvailable, &[]),
        topic(ErrorCode::None, &[2, 0, 1]),
    ]);
    let mut client = Client::connect(&servers, PATIENT, Security::default()).unwrap();
    let topic = client.topic("flights", true).unwrap();
    let numbers: Vec<_> = topic.partitions.iter().map(|p| p.partition_index).collect();
    assert_eq!(numbers, [0, 1, 2]);
    thread.join().unwrap();
}

#[test]
fn a_topic_that_is_not_there_is_not_waited_for() {
    let (servers, thread) = serve_topics(vec![topic(ErrorCode::UnknownTopicOrPartition, &[])]);
    let mut client = Client::connect(&servers, PATIENT, Security::default()).unwrap();
    let error = client.topic("flights", false).unwrap_err();
    assert!(error.is(ErrorCode::UnknownTopicOrPartition), "{error}");
    let said = cli_error(error);
    assert!(said.contains("topic flights") && said.contains("entrepot topic create"), "{said}");
    thread.join().unwrap();
}

#[test]
fn a_broker_that_advertises_an_address_where_nobody_is_is_explained() {
    let (servers, thread) = fake(|stream, _| {
        agree(stream, &[(ApiKey::Metadata, 0, 13), (ApiKey::ListGroups, 0, 5)]);
        let (header, _) = read(stream);
        let broker = MetadataResponseBroker {
            node_id: 7,
            host: "127.0.0.1".to_owned(),
            port: 1,
            rack: None,
        };
        let response = MetadataResponse { brokers: vec![broker], ..Default::default() };
        answer(stream, &header, header.version, &response);
    });
    let mut client = Client::connect(&servers, PATIENT, Security::default()).unwrap();
    client.metadata(Some(&[])).unwrap();
    let error = client.call_on(7, &ListGroupsRequest::default(), NEWEST).unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:1, where {} says that broker 7 is", servers[0])));
    let error = client.call_on(8, &ListGroupsRequest::default(), NEWEST).unwrap_err().to_string();
    assert!(error.contains("broker 8"), "{error}");
    thread.join().unwrap();
}

#[test]
fn a_refusal_has_the_brokers_words_or_ours_and_the_code() {
    let with = ClientError::check("topic t", 37, Some("must be larger".into())).unwrap_err();
    assert_eq!(with.to_string(), "topic t: must be larger (INVALID_PARTITIONS)");
    let without = ClientError::check("topic t", 36, Some(String::new())).unwrap_err();
    assert_eq!(
        without.to_string(),
        "topic t: There is a topic of that name (TOPIC_ALREADY_EXISTS)"
    );
    let unknown = ClientError::check("topic t", 9999, None).unwrap_err();
    assert_eq!(unknown.to_string(), "topic t: the broker answered with error 9999");
    assert!(ClientError::check("topic t", 0, None).is_ok());
}
