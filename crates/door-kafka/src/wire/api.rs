//! Every API key on one page: its number, the versions we can read, and when it became flexible.
//! Which of them the door offers to clients is the door's own table.

macro_rules! api_keys {
    ($($name:ident = $key:literal, $min:literal..=$max:literal, $flexible:expr;)*) => {
        /// A kind of request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ApiKey {
            $(#[doc = concat!("`", stringify!($name), "`, key ", $key, ", versions ", $min, "-", $max, ".")]
            $name = $key,)*
        }

        impl ApiKey {
            /// All of them by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The kind with this number.
            pub fn from_number(number: i16) -> Option<Self> {
                match number {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its name in the protocol's definition, without `Request`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Lowest version that we can read.
            pub fn min_version(self) -> i16 {
                match self { $(Self::$name => $min,)* }
            }

            /// Highest version that we can read.
            pub fn max_version(self) -> i16 {
                match self { $(Self::$name => $max,)* }
            }

            /// First version with varint lengths and tagged fields (KIP-482).
            pub fn flexible_from(self) -> Option<i16> {
                match self { $(Self::$name => $flexible,)* }
            }
        }
    };
}

api_keys! {
    Produce = 0, 0..=13, Some(9);
    Fetch = 1, 0..=18, Some(12);
    ListOffsets = 2, 0..=11, Some(6);
    Metadata = 3, 0..=13, Some(9);
    OffsetCommit = 8, 0..=10, Some(8);
    OffsetFetch = 9, 0..=10, Some(6);
    FindCoordinator = 10, 0..=6, Some(3);
    JoinGroup = 11, 0..=9, Some(6);
    Heartbeat = 12, 0..=4, Some(4);
    LeaveGroup = 13, 0..=5, Some(4);
    SyncGroup = 14, 0..=5, Some(4);
    DescribeGroups = 15, 0..=6, Some(5);
    ListGroups = 16, 0..=5, Some(3);
    SaslHandshake = 17, 0..=1, None;
    ApiVersions = 18, 0..=5, Some(3);
    CreateTopics = 19, 0..=7, Some(5);
    DeleteTopics = 20, 0..=6, Some(4);
    DeleteRecords = 21, 0..=2, Some(2);
    InitProducerId = 22, 0..=6, Some(2);
    OffsetForLeaderEpoch = 23, 2..=4, Some(4);
    AddPartitionsToTxn = 24, 0..=5, Some(3);
    AddOffsetsToTxn = 25, 0..=4, Some(3);
    EndTxn = 26, 0..=5, Some(3);
    WriteTxnMarkers = 27, 1..=2, Some(1);
    TxnOffsetCommit = 28, 0..=6, Some(3);
    DescribeAcls = 29, 1..=3, Some(2);
    CreateAcls = 30, 1..=3, Some(2);
    DeleteAcls = 31, 1..=3, Some(2);
    DescribeConfigs = 32, 1..=4, Some(4);
    AlterConfigs = 33, 0..=2, Some(2);
    AlterReplicaLogDirs = 34, 1..=2, Some(2);
    DescribeLogDirs = 35, 1..=5, Some(2);
    SaslAuthenticate = 36, 0..=2, Some(2);
    CreatePartitions = 37, 0..=3, Some(2);
    CreateDelegationToken = 38, 1..=3, Some(2);
    RenewDelegationToken = 39, 1..=2, Some(2);
    ExpireDelegationToken = 40, 1..=2, Some(2);
    DescribeDelegationToken = 41, 1..=3, Some(2);
    DeleteGroups = 42, 0..=3, Some(2);
    ElectLeaders = 43, 0..=2, Some(2);
    IncrementalAlterConfigs = 44, 0..=1, Some(1);
    AlterPartitionReassignments = 45, 0..=1, Some(0);
    ListPartitionReassignments = 46, 0..=0, Some(0);
    OffsetDelete = 47, 0..=0, None;
    DescribeClientQuotas = 48, 0..=1, Some(1);
    AlterClientQuotas = 49, 0..=1, Some(1);
    DescribeUserScramCredentials = 50, 0..=0, Some(0);
    AlterUserScramCredentials = 51, 0..=0, Some(0);
    DescribeQuorum = 55, 0..=2, Some(0);
    UpdateFeatures = 57, 0..=2, Some(0);
    DescribeCluster = 60, 0..=2, Some(0);
    DescribeProducers = 61, 0..=0, Some(0);
    DescribeTransactions = 65, 0..=0, Some(0);
    ListTransactions = 66, 0..=2, Some(0);
    ConsumerGroupHeartbeat = 68, 0..=1, Some(0);
    ConsumerGroupDescribe = 69, 0..=1, Some(0);
    GetTelemetrySubscriptions = 71, 0..=0, Some(0);
    PushTelemetry = 72, 0..=0, Some(0);
    ListConfigResources = 74, 0..=1, Some(0);
    DescribeTopicPartitions = 75, 0..=0, Some(0);
    ShareGroupHeartbeat = 76, 1..=1, Some(0);
    ShareGroupDescribe = 77, 1..=1, Some(0);
    ShareFetch = 78, 1..=2, Some(0);
    ShareAcknowledge = 79, 1..=2, Some(0);
    DescribeShareGroupOffsets = 90, 0..=1, Some(0);
    AlterShareGroupOffsets = 91, 0..=0, Some(0);
    DeleteShareGroupOffsets = 92, 0..=0, Some(0);
}

impl ApiKey {
    /// Its number on the wire.
    pub fn number(self) -> i16 {
        self as i16
    }

    /// Whether we can read this version.
    pub fn has_version(self, version: i16) -> bool {
        (self.min_version()..=self.max_version()).contains(&version)
    }

    /// Whether this version has varint lengths and tagged fields.
    pub fn is_flexible(self, version: i16) -> bool {
        self.flexible_from().is_some_and(|from| version >= from)
    }

    /// The version of the request header that goes before this version of the request.
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the response header. A client that asks for the versions does not know
    /// them yet, so that answer has the oldest header always (KIP-511).
    pub fn response_header_version(self, version: i16) -> i16 {
        i16::from(self != Self::ApiVersions && self.is_flexible(version))
    }
}
