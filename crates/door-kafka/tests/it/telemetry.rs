//! Clients push their metrics (KIP-714).

use bytes::Bytes;
use door_kafka::wire::ErrorCode;
use door_kafka::wire::messages::describe_configs_request::DescribeConfigsResource;
use door_kafka::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use door_kafka::wire::messages::*;

use crate::support::{Client, Fixture};

const CLIENT_METRICS: i8 = 16;

fn number(code: ErrorCode) -> i16 {
    code.number()
}

/// Sets keys of a subscription; an empty value deletes.
async fn set(client: &mut Client, name: &str, keys: &[(&str, &str)]) -> i16 {
    let config = |(name, value): &(&str, &str)| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: i8::from(value.is_empty()),
        value: Some((*value).to_owned()).filter(|value| !value.is_empty()),
    };
    let resource = AlterConfigsResource {
        resource_type: CLIENT_METRICS,
        resource_name: name.to_owned(),
        configs: keys.iter().map(config).collect(),
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    client.call(&request, 1).await.responses[0].error_code
}

async fn get(client: &mut Client, id: [u8; 16]) -> GetTelemetrySubscriptionsResponse {
    client.call(&GetTelemetrySubscriptionsRequest { client_instance_id: id }, 0).await
}

fn push(subscription: &GetTelemetrySubscriptionsResponse, metrics: &str) -> PushTelemetryRequest {
    PushTelemetryRequest {
        client_instance_id: subscription.client_instance_id,
        subscription_id: subscription.subscription_id,
        terminating: false,
        compression_type: 0,
        metrics: Bytes::copy_from_slice(metrics.as_bytes()),
    }
}

async fn named(fixture: &Fixture, software: &str) -> Client {
    let mut client = fixture.client().await;
    let hello = ApiVersionsRequest {
        client_software_name: software.into(),
        client_software_version: "1".into(),
        ..ApiVersionsRequest::default()
    };
    assert_eq!(client.call(&hello, 3).await.error_code, 0);
    client
}

#[tokio::test]
async fn without_a_subscription_nothing_is_asked_for_and_no_list_is_null() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let told = get(&mut client, [0; 16]).await;
    assert_eq!((told.error_code, told.push_interval_ms), (0, 300_000));
    assert_ne!(told.client_instance_id, [0; 16]);
    assert_eq!((told.requested_metrics.len(), told.telemetry_max_bytes), (0, 1 << 20));
    assert_eq!(told.accepted_compression_types, [4, 3, 1, 2]);
    let again = get(&mut client, told.client_instance_id).await;
    assert_eq!(again.error_code, number(ErrorCode::ThrottlingQuotaExceeded), "too early");
}

#[tokio::test]
async fn subscriptions_are_for_clients_that_match_and_survive_a_restart() {
    let fixture = Fixture::start().await;
    let mut admin = fixture.client().await;
    let java = [
        ("metrics", "org.a, org.b"),
        ("interval.ms", "1000"),
        ("match", "client_software_name=java.*,client_source_address=127\\.0\\.0\\.1"),
    ];
    assert_eq!(set(&mut admin, "java", &java).await, 0);
    assert_eq!(set(&mut admin, "all", &[("metrics", "org.c")]).await, 0);
    for wrong in
        [("interval.ms", "99"), ("match", "colour=red"), ("match", "client_id=("), ("x", "y")]
    {
        assert_eq!(set(&mut admin, "wrong", &[wrong]).await, number(ErrorCode::InvalidConfig));
    }
    drop(admin);
    let fixture = fixture.restart().await;
    let mut admin = fixture.client().await;
    let told = get(&mut named(&fixture, "java-client").await, [0; 16]).await;
    assert_eq!(
        (told.push_interval_ms, told.requested_metrics),
        (1000, vec!["org.a".to_owned(), "org.b".into(), "org.c".into()])
    );
    let told = get(&mut named(&fixture, "other").await, [0; 16]).await;
    assert_eq!(
        (told.push_interval_ms, told.requested_metrics),
        (300_000, vec!["org.c".to_owned()])
    );

    let describe = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: CLIENT_METRICS,
            resource_name: "all".into(),
            configuration_keys: None,
        }],
        ..DescribeConfigsRequest::default()
    };
    let response = client_configs(&mut admin, &describe).await;
    let expected = [("interval.ms", "300000", 5), ("match", "", 5), ("metrics", "org.c", 7)];
    assert!(response.iter().map(|(n, v, s)| (n.as_str(), v.as_str(), *s)).eq(expected));
    let listed = client_resources(&mut admin).await;
    assert_eq!(listed, ["all", "java"]);
    // One on which nothing is set is none.
    assert_eq!(set(&mut admin, "all", &[("metrics", "")]).await, 0);
    assert_eq!(client_resources(&mut admin).await, ["java"]);
    assert!(client_configs(&mut admin, &describe).await.is_empty());
}

async fn client_configs(
    client: &mut Client,
    request: &DescribeConfigsRequest,
) -> Vec<(String, String, i8)> {
    let mut response = client.call(request, 4).await;
    let configs = response.results.remove(0).configs.into_iter();
    configs.map(|c| (c.name, c.value.unwrap_or_default(), c.config_source)).collect()
}

async fn client_resources(client: &mut Client) -> Vec<String> {
    let response = client.call(&ListConfigResourcesRequest::default(), 0).await;
    assert!(response.config_resources.iter().all(|r| r.resource_type == CLIENT_METRICS));
    response.config_resources.into_iter().map(|resource| resource.resource_name).collect()
}

#[tokio::test]
async fn resources_of_all_kinds_are_listed() {
    let fixture = Fixture::start().await;
    fixture.topic("t", 1).await;
    let mut client = fixture.client().await;
    let response = client.call(&ListConfigResourcesRequest::default(), 1).await;
    let listed: Vec<_> = response
        .config_resources
        .iter()
        .map(|resource| (resource.resource_type, resource.resource_name.as_str()))
        .collect();
    assert_eq!(listed, [(2, "t"), (4, "0"), (8, "0")]);
    let request = ListConfigResourcesRequest { resource_types: vec![2] };
    assert_eq!(client.call(&request, 1).await.config_resources.len(), 1);
    let request = ListConfigResourcesRequest { resource_types: vec![99] };
    let code = client.call(&request, 1).await.error_code;
    assert_eq!(code, number(ErrorCode::UnsupportedVersion));
}

#[tokio::test]
async fn a_push_is_checked_and_the_last_is_kept() {
    let fixture = Fixture::start().await;
    let mut admin = fixture.client().await;
    assert_eq!(set(&mut admin, "all", &[("metrics", "*")]).await, 0);
    let mut client = named(&fixture, "java").await;
    let told = get(&mut client, [0; 16]).await;
    assert_eq!(told.requested_metrics, ["*"]);
    assert_eq!(client.call(&push(&told, "first"), 0).await.error_code, 0);
    let early = client.call(&push(&told, "early"), 0).await;
    assert_eq!(early.error_code, number(ErrorCode::ThrottlingQuotaExceeded));
    let kept = fixture.door.client_metrics();
    let [kept] = &kept[..] else { panic!("one client: {kept:?}") };
    assert_eq!((kept.pushes, kept.bytes), (1, 5));
    assert_eq!(kept.last, (0, Bytes::from_static(b"first")));
    let labels = (kept.labels.software_name.as_str(), kept.labels.address.as_str());
    assert_eq!(labels, ("java", "127.0.0.1"));

    // The last push of a client that goes may come early; after it there is none.
    let last = PushTelemetryRequest { terminating: true, ..push(&told, "last") };
    assert_eq!(client.call(&last, 0).await.error_code, 0);
    let code = client.call(&last, 0).await.error_code;
    assert_eq!(code, number(ErrorCode::InvalidRequest));
    let nobody = PushTelemetryRequest { client_instance_id: [0; 16], ..last };
    let code = client.call(&nobody, 0).await.error_code;
    assert_eq!(code, number(ErrorCode::InvalidRequest));
}

#[tokio::test]
async fn what_is_wrong_with_a_push_is_said() {
    let fixture = Fixture::start().await;
    let mut admin = fixture.client().await;
    assert_eq!(set(&mut admin, "all", &[("metrics", "*")]).await, 0);
    let mut client = fixture.client().await;
    for (wrong, code) in [
        (0, ErrorCode::UnknownSubscriptionId),
        (1, ErrorCode::UnsupportedCompressionType),
        (2, ErrorCode::TelemetryTooLarge),
    ] {
        let told = get(&mut client, [0; 16]).await;
        let mut request = push(&told, "metrics");
        match wrong {
            0 => request.subscription_id ^= 1,
            1 => request.compression_type = 9,
            _ => request.metrics = Bytes::from(vec![0; (1 << 20) + 1]),
        }
        assert_eq!(client.call(&request, 0).await.error_code, number(code));
        // Whose subscription or codec was wrong asks again at once.
        let again = get(&mut client, told.client_instance_id).await.error_code;
        let early = number(ErrorCode::ThrottlingQuotaExceeded);
        assert_eq!(again, if wrong == 2 { early } else { 0 });
    }
    // A subscription that was changed is another.
    let told = get(&mut client, [0; 16]).await;
    assert_eq!(set(&mut admin, "all", &[("metrics", "org.a")]).await, 0);
    let code = client.call(&push(&told, "metrics"), 0).await.error_code;
    assert_eq!(code, number(ErrorCode::UnknownSubscriptionId));
}
