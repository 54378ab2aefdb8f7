use super::*;
use broker::queues::{Overflow, RetryWhen};

fn name(layer: PolicyLayer) -> PolicyName {
    PolicyName { space: Bytes::new(), layer, name: Bytes::from_static(b"p") }
}

fn read_for(layer: PolicyLayer, definition: &Json, apply_to: &str) -> Result<Policy, String> {
    let apply_to = json!(apply_to);
    let said = Said { pattern: "^q", definition, priority: None, apply_to: Some(&apply_to) };
    read(name(layer), &said)
}

fn refused(definition: &Json) -> String {
    read_for(PolicyLayer::User, definition, "all").unwrap_err()
}

#[test]
fn every_key_is_understood() {
    let definition = json!({
        "alternate-exchange": "a", "consumer-timeout": 1, "dead-letter-exchange": "",
        "dead-letter-routing-key": "k", "expires": 2, "max-length": 3, "max-length-bytes": 4,
        "message-ttl": 0, "overflow": "reject-publish",
    });
    let policy = read_for(PolicyLayer::User, &definition, "all").unwrap();
    let bytes = Bytes::from_static;
    let wanted = PolicySettings {
        message_ttl: Some(0),
        expires: Some(2),
        length_max: Some(3),
        bytes_max: Some(4),
        overflow: Some(Overflow::Reject),
        dead_letter_exchange: Some(Bytes::new()),
        dead_letter_key: Some(bytes(b"k")),
        consumer_timeout: Some(1),
        alternate: Some(bytes(b"a")),
        ..PolicySettings::default()
    };
    assert_eq!(policy.settings, wanted);
    assert_eq!((&policy.queues[..], policy.exchanges, policy.priority), (TAKEN, true, 0));
    assert_eq!(written(&policy), (json!("all"), definition));
    let retry = json!({
        "delayed-retry-type": "returned", "delayed-retry-min": 1, "delayed-retry-max": 2,
    });
    let policy = read_for(PolicyLayer::User, &retry, "queues").unwrap();
    let wanted = PolicySettings {
        retry_when: Some(RetryWhen::Returned),
        retry_min: Some(1),
        retry_max: Some(2),
        ..PolicySettings::default()
    };
    assert_eq!((&policy.settings, &policy.queues[..]), (&wanted, QUORUM));
    assert_eq!(written(&policy), (json!("queues"), retry.clone()));
    let own = Policy { arguments: Bytes::new(), ..policy };
    assert_eq!(written(&own), (json!("queues"), retry), "one that was set by no door");
    let stream = json!({
        "max-age": "1h", "stream-max-segment-size-bytes": 100_000, "stream-filter-size-bytes": 32,
        "initial-cluster-size": 3, "queue-leader-locator": "balanced",
    });
    let policy = read_for(PolicyLayer::User, &stream, "queues").unwrap();
    let wanted = PolicySettings {
        age_max: Some(3_600_000),
        segment_bytes: Some(100_000),
        ..PolicySettings::default()
    };
    assert_eq!(policy.settings, wanted);
    assert_eq!((&policy.queues[..], policy.exchanges), (STREAMS, false));
}

#[test]
fn a_policy_is_for_the_kinds_of_queues_that_know_all_its_keys() {
    let kinds = |definition: &Json, to: &str| {
        let policy = read_for(PolicyLayer::User, definition, to).unwrap();
        (policy.queues, policy.exchanges)
    };
    let limit = json!({ "delivery-limit": -1 });
    assert_eq!(kinds(&limit, "all"), (QUORUM.to_vec(), true));
    assert_eq!(kinds(&limit, "classic_queues"), (vec![], false));
    assert_eq!(kinds(&json!({ "max-length-bytes": 1 }), "queues"), (ALL.to_vec(), false));
    assert_eq!(kinds(&json!({ "max-length": 1 }), "quorum_queues"), (QUORUM.to_vec(), false));
    assert_eq!(kinds(&json!({ "alternate-exchange": "" }), "exchanges"), (vec![], true));
    let policy = read_for(PolicyLayer::Operator, &limit, "queues").unwrap();
    assert_eq!(policy.settings.deliveries_max, Some(DeliveryLimit::Any));
}

#[test]
fn what_a_policy_cannot_be_is_said_in_known_words() {
    let failed = |text: &str| format!("Validation failed\n\n{text}\n");
    let unknown =
        "[{<<\"ha-mode\">>,<<\"all\">>},{<<\"x\">>,[1,true]}] are not recognised policy settings";
    assert_eq!(
        refused(&json!({ "ha-mode": "all", "x": [1, true], "max-length": 1 })),
        failed(unknown)
    );
    assert_eq!(refused(&json!({})), failed("no policy provided"));
    assert_eq!(refused(&json!([1])), failed("definition must be a dictionary: [1]"));
    for (definition, text) in [
        (json!({ "max-length": -1 }), "-1 is not a valid maximum length"),
        (json!({ "max-length": "5" }), "<<\"5\">> is not a valid maximum length"),
        (json!({ "message-ttl": 1.5 }), "1.5 is not a valid message TTL"),
        (json!({ "expires": 0 }), "0 is not a valid queue expiry"),
        (json!({ "overflow": "odd" }), "<<\"odd\">> is not a valid overflow value"),
        (json!({ "delayed-retry-type": "x" }), "<<\"x\">> is not a valid delayed retry type"),
        (json!({ "delayed-retry-min": -1 }), "-1 is not a valid delayed retry min"),
        (json!({ "max-age": "1x" }), "<<\"1x\">> is not a valid max age"),
        (json!({ "dead-letter-exchange": 1 }), "1 is not a valid dead letter exchange name"),
    ] {
        assert_eq!(refused(&definition), failed(text));
    }
    let to = read_for(PolicyLayer::Operator, &json!({ "overflow": "drop-head" }), "odd");
    let to = to.unwrap_err();
    assert!(to.contains("[{<<\"overflow\">>,<<\"drop-head\">>}] are not recognised"), "{to}");
    assert!(to.contains("apply-to 'odd' unrecognised"), "{to}");
    let (definition, priority) = (json!({ "max-length": 1 }), json!("high"));
    let said =
        Said { pattern: "(", definition: &definition, priority: Some(&priority), apply_to: None };
    let both = read(name(PolicyLayer::User), &said).unwrap_err();
    assert!(both.contains("pattern should be regular expression but is invalid: "), "{both}");
    assert!(both.contains("priority should be a number, actually was <<\"high\">>"), "{both}");
}

#[test]
fn what_holds_of_two_is_shown_as_one() {
    let of = |layer, definition: &Json| {
        Some(std::sync::Arc::new(read_for(layer, definition, "queues").unwrap()))
    };
    let user = json!({ "max-length": 5, "delivery-limit": -1, "overflow": "reject-publish" });
    let operator = json!({ "max-length": 3, "delivery-limit": 7, "expires": 9 });
    let governing = Governing {
        user: of(PolicyLayer::User, &user),
        operator: of(PolicyLayer::Operator, &operator),
    };
    let wanted = json!({
        "max-length": 3, "delivery-limit": 7, "overflow": "reject-publish", "expires": 9,
    });
    assert_eq!(effective(&governing), wanted);
    assert_eq!(effective(&Governing::default()), json!({}));
}
