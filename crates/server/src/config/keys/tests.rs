use super::*;

#[test]
fn every_default_is_allowed_and_is_read_back_as_written() {
    let mut config = Config::defaults();
    for key in KEYS.iter().filter(|key| key.name != "storage.dir") {
        assert_eq!(key.set(&mut config, key.default), Ok(()), "{}", key.name);
        assert_eq!(key.get(&mut config), key.default, "{}", key.name);
    }
}

#[test]
fn names_are_unique_and_have_one_section() {
    for (index, key) in KEYS.iter().enumerate() {
        assert_eq!(key.name.matches('.').count(), 1, "{}", key.name);
        assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{}", key.name);
    }
}

#[test]
fn a_value_out_of_range_is_refused_with_the_range() {
    let mut config = Config::defaults();
    let mut refused = |name: &str, text: &str| find(name).unwrap().set(&mut config, text);
    let ports = "a whole number from 0 to 65535".to_owned();
    for bad in ["65536", "-1", "", "9092x", "0x10", "1e3", " 9 2"] {
        assert_eq!(refused("kafka.port", bad), Err(ports.clone()), "{bad:?}");
    }
    assert_eq!(refused("kafka.port", " 19092 "), Ok(()));
    assert_eq!(refused("topic.retention_ms", "0"), Err(LIMIT.to_owned()));
    assert_eq!(refused("topic.retention_ms", "-2"), Err(LIMIT.to_owned()));
    assert_eq!(refused("topic.retention_ms", "-1"), Ok(()));
    assert_eq!(refused("topic.auto_create", "yes"), Err("true or false".to_owned()));
    assert_eq!(refused("topic.partitioner", "range:m,f"), Err(PARTITIONER.to_owned()));
    assert_eq!(refused("topic.partitioner", "list:red=0,green=1"), Ok(()));
    assert_eq!(refused("topic.segment_ms", "0"), Err("a whole number from 1 up".to_owned()));
    assert_eq!(refused("topic.durability", "never"), Err(DURABILITY.to_owned()));
}

#[test]
fn defaults_that_other_crates_also_state_agree() {
    let config = Config::defaults();
    let topic = config.topic.as_topic_config();
    assert_eq!(broker::topic_config::check(&topic, &std::collections::BTreeMap::new()), Ok(()));
    for (name, value) in &topic {
        let key = ConfigKey::find(name).unwrap();
        assert_eq!(value, key.default, "{name}");
    }
    assert_eq!(config.topic.max_message_bytes, limits::BATCH_BYTES_MAX);
    assert_eq!(config.network.request_max_bytes, limits::REQUEST_BYTES_MAX);
    let queued = config.network.queued_request_bytes;
    assert_eq!(queued, Some(limits::QUEUED_REQUEST_BYTES_MAX));
    assert_eq!(config.network.max_connections, limits::CONNECTIONS_MAX);
}
