//! The tables of `docs/doors/kafka.md`, made from the tables of the code; a test compares them, and
//! what is offered with what Apache Kafka offers.

use std::fmt::Write;

use broker::group_config::GROUP_KEYS;
use broker::settings::BROKER_KEYS;
use broker::topic_config::{ConfigKey, TOPIC_KEYS};

use super::OFFERED;

/// A request that a broker of Apache Kafka 4.4 offers to clients.
struct Theirs {
    key: i16,
    name: &'static str,
    low: i16,
    high: i16,
    /// Why it is not offered here, or not in all versions; empty where it is.
    missing: &'static str,
}

const fn theirs(key: i16, name: &'static str, low: i16, high: i16) -> Theirs {
    Theirs { key, name, low, high, missing: "" }
}

const fn lacks(key: i16, name: &'static str, low: i16, high: i16, missing: &'static str) -> Theirs {
    Theirs { key, name, low, high, missing }
}

const STREAMS: &str = "the streams group protocol (KIP-1071) is not served; Kafka Streams uses \
                       consumer groups then";
const NO_QUORUM: &str = "for a quorum of controllers and its brokers; there is one broker, which \
                         cannot be taken out of its cluster";
const BETWEEN: &str = "between brokers: where a share group's state is kept is the broker's affair";

/// What Apache Kafka 4.4 lists on a client's listener. Its unstable versions are not among them:
/// InitProducerId 6 (two-phase commit, KIP-939) is one.
#[rustfmt::skip]
const KAFKA: &[Theirs] = &[
    theirs(0, "Produce", 0, 13),
    theirs(1, "Fetch", 4, 18),
    theirs(2, "ListOffsets", 1, 11),
    theirs(3, "Metadata", 0, 13),
    theirs(8, "OffsetCommit", 2, 10),
    theirs(9, "OffsetFetch", 1, 10),
    theirs(10, "FindCoordinator", 0, 6),
    theirs(11, "JoinGroup", 0, 9),
    theirs(12, "Heartbeat", 0, 4),
    theirs(13, "LeaveGroup", 0, 5),
    theirs(14, "SyncGroup", 0, 5),
    theirs(15, "DescribeGroups", 0, 6),
    theirs(16, "ListGroups", 0, 5),
    theirs(17, "SaslHandshake", 0, 1),
    theirs(18, "ApiVersions", 0, 5),
    theirs(19, "CreateTopics", 2, 7),
    theirs(20, "DeleteTopics", 1, 6),
    theirs(21, "DeleteRecords", 0, 2),
    theirs(22, "InitProducerId", 0, 5),
    theirs(23, "OffsetForLeaderEpoch", 2, 4),
    lacks(24, "AddPartitionsToTxn", 0, 5, "versions 4 and 5 are between brokers; clients send 3"),
    theirs(25, "AddOffsetsToTxn", 0, 4),
    theirs(26, "EndTxn", 0, 5),
    theirs(27, "WriteTxnMarkers", 1, 2),
    theirs(28, "TxnOffsetCommit", 0, 6),
    theirs(29, "DescribeAcls", 1, 3),
    theirs(30, "CreateAcls", 1, 3),
    theirs(31, "DeleteAcls", 1, 3),
    theirs(32, "DescribeConfigs", 1, 4),
    theirs(33, "AlterConfigs", 0, 2),
    theirs(34, "AlterReplicaLogDirs", 1, 2),
    theirs(35, "DescribeLogDirs", 1, 5),
    theirs(36, "SaslAuthenticate", 0, 2),
    theirs(37, "CreatePartitions", 0, 3),
    theirs(38, "CreateDelegationToken", 1, 3),
    theirs(39, "RenewDelegationToken", 1, 2),
    theirs(40, "ExpireDelegationToken", 1, 2),
    theirs(41, "DescribeDelegationToken", 1, 3),
    theirs(42, "DeleteGroups", 0, 3),
    theirs(43, "ElectLeaders", 0, 2),
    theirs(44, "IncrementalAlterConfigs", 0, 1),
    theirs(45, "AlterPartitionReassignments", 0, 1),
    theirs(46, "ListPartitionReassignments", 0, 0),
    theirs(47, "OffsetDelete", 0, 0),
    theirs(48, "DescribeClientQuotas", 0, 1),
    theirs(49, "AlterClientQuotas", 0, 1),
    theirs(50, "DescribeUserScramCredentials", 0, 0),
    theirs(51, "AlterUserScramCredentials", 0, 0),
    theirs(55, "DescribeQuorum", 0, 2),
    theirs(57, "UpdateFeatures", 0, 2),
    theirs(60, "DescribeCluster", 0, 2),
    theirs(61, "DescribeProducers", 0, 0),
    lacks(64, "UnregisterBroker", 0, 0, NO_QUORUM),
    theirs(65, "DescribeTransactions", 0, 0),
    theirs(66, "ListTransactions", 0, 2),
    theirs(68, "ConsumerGroupHeartbeat", 0, 1),
    theirs(69, "ConsumerGroupDescribe", 0, 1),
    theirs(71, "GetTelemetrySubscriptions", 0, 0),
    theirs(72, "PushTelemetry", 0, 0),
    theirs(74, "ListConfigResources", 0, 1),
    theirs(75, "DescribeTopicPartitions", 0, 0),
    theirs(76, "ShareGroupHeartbeat", 1, 1),
    theirs(77, "ShareGroupDescribe", 1, 1),
    theirs(78, "ShareFetch", 1, 2),
    theirs(79, "ShareAcknowledge", 1, 2),
    lacks(80, "AddRaftVoter", 0, 1, NO_QUORUM),
    lacks(81, "RemoveRaftVoter", 0, 0, NO_QUORUM),
    lacks(83, "InitializeShareGroupState", 0, 0, BETWEEN),
    lacks(84, "ReadShareGroupState", 0, 0, BETWEEN),
    lacks(85, "WriteShareGroupState", 0, 1, BETWEEN),
    lacks(86, "DeleteShareGroupState", 0, 0, BETWEEN),
    lacks(87, "ReadShareGroupStateSummary", 0, 1, BETWEEN),
    lacks(88, "StreamsGroupHeartbeat", 0, 1, STREAMS),
    lacks(89, "StreamsGroupDescribe", 0, 1, STREAMS),
    theirs(90, "DescribeShareGroupOffsets", 0, 1),
    theirs(91, "AlterShareGroupOffsets", 0, 0),
    theirs(92, "DeleteShareGroupOffsets", 0, 0),
    lacks(93, "StreamsGroupTopologyDescriptionUpdate", 0, 0, STREAMS),
    lacks(94, "UnregisterController", 0, 0, NO_QUORUM),
];

/// Versions as a page says them.
fn range(low: i16, high: i16) -> String {
    if low == high { low.to_string() } else { format!("{low}–{high}") }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn requests_table() -> String {
    let mut text = String::from("| key | request | versions | notes |\n|---|---|---|---|\n");
    for offer in OFFERED {
        let (key, name) = (offer.api.number(), offer.api.name());
        let versions = range(offer.low, offer.high);
        let _ = writeln!(text, "| {key} | {name} | {versions} | {} |", cell(offer.notes));
    }
    text
}

fn missing_table() -> String {
    let mut text = String::from("| key | request | versions | why |\n|---|---|---|---|\n");
    for theirs in KAFKA.iter().filter(|theirs| !theirs.missing.is_empty()) {
        let ours = OFFERED.iter().find(|offer| offer.api.number() == theirs.key);
        let low = ours.map_or(theirs.low, |offer| offer.high + 1);
        let versions = range(low, theirs.high);
        let Theirs { key, name, missing, .. } = theirs;
        let _ = writeln!(text, "| {key} | {name} | {versions} | {} |", cell(missing));
    }
    text
}

fn keys_table(keys: &[ConfigKey]) -> String {
    let mut text = String::from("| key | values | default | what it does |\n|---|---|---|---|\n");
    for key in keys {
        let default =
            if key.default.is_empty() { "-".into() } else { format!("`{}`", key.default) };
        let (allowed, doc) = (cell(&key.kind.allowed()), cell(key.doc));
        let _ = writeln!(text, "| `{}` | {allowed} | {default} | {doc} |", key.name);
    }
    text
}

fn broker_table() -> String {
    let mut text = String::from(
        "| key | of topics | values | default | what it does |\n|---|---|---|---|---|\n",
    );
    for key in BROKER_KEYS {
        let code = |text: &str| if text.is_empty() { "-".into() } else { format!("`{text}`") };
        let (name, of) = (key.name, code(key.topic_key().unwrap_or_default()));
        let (allowed, default) = (cell(&key.kind().allowed()), code(key.default()));
        let _ = writeln!(text, "| `{name}` | {of} | {allowed} | {default} | {} |", cell(key.doc()));
    }
    text
}

/// The page with the text between two markers replaced.
fn with_section(page: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    format!("{before}{begin}\n{section}\n{end}{after}")
}

#[test]
fn the_page_has_the_tables_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doors/kafka.md");
    let page = std::fs::read_to_string(path).unwrap();
    let wanted = with_section(&page, "requests", &requests_table());
    let wanted = with_section(&wanted, "not offered", &missing_table());
    let wanted = with_section(&wanted, "topic keys", &keys_table(TOPIC_KEYS));
    let wanted = with_section(&wanted, "broker keys", &broker_table());
    let wanted = with_section(&wanted, "group keys", &keys_table(GROUP_KEYS));
    if std::env::var_os("ENTREPOT_UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    } else {
        assert!(
            page == wanted,
            "docs/doors/kafka.md is not what the tables say; run\n\
             ENTREPOT_UPDATE_DOCS=1 cargo test -p door-kafka the_page_has_the_tables"
        );
    }
}

#[test]
fn what_kafka_offers_is_offered_or_it_is_said_why_not() {
    for offer in OFFERED {
        let name = offer.api.name();
        let theirs = KAFKA.iter().find(|theirs| theirs.key == offer.api.number());
        let theirs = theirs.unwrap_or_else(|| panic!("Kafka does not offer {name}"));
        assert_eq!(theirs.name, name);
        assert!(offer.low <= theirs.low, "{name}: Kafka's clients begin at {}", theirs.low);
        assert!(offer.high <= theirs.high, "{name}: Kafka's clients know {}", theirs.high);
    }
    for theirs in KAFKA {
        let ours = OFFERED.iter().find(|offer| offer.api.number() == theirs.key);
        let is_whole = ours.is_some_and(|offer| offer.high == theirs.high);
        let why = theirs.missing;
        assert_eq!(is_whole, why.is_empty(), "{}: whole {is_whole}, missing {why:?}", theirs.name);
    }
    assert!(KAFKA.windows(2).all(|two| two[0].key < two[1].key), "sorted by key");
    assert!(OFFERED.windows(2).all(|two| two[0].api < two[1].api), "sorted by key");
}
