//! The protocol's error codes.

macro_rules! error_codes {
    ($($variant:ident = $number:literal, $name:literal, $retriable:literal, $text:literal;)*) => {
        /// An error code: what a response says instead of, or beside, a result.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = concat!($text, " (`", $name, "`, ", $number, ").")]
            $variant = $number,)*
        }

        impl ErrorCode {
            /// All of them by number.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The error with this number.
            pub fn from_number(number: i16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its name in the protocol's definition.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What went wrong, without a full stop.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether the same request may succeed later.
            pub fn is_retriable(self) -> bool {
                match self { $(Self::$variant => $retriable,)* }
            }
        }
    };
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", false, "The broker failed in a way that it did not expect";
    None = 0, "NONE", false, "No error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", false, "The offset lies outside what the partition holds";
    CorruptMessage = 2, "CORRUPT_MESSAGE", true, "A record batch is malformed or its checksum does not match";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", true, "This broker has no such topic or partition";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", false, "The size asked for is not possible";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", true, "The partition has no leader at the moment";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", true, "This broker does not serve the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", true, "The request took longer than it allowed";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", false, "The broker is not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", true, "The replica is not available on this broker";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", false, "A record batch is larger than the topic accepts";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", false, "The controller that sent this has been replaced";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", false, "The note kept with an offset is too long";
    NetworkException = 13, "NETWORK_EXCEPTION", true, "The connection broke before the response came";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", true, "The coordinator is still reading its state";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", true, "There is no coordinator at the moment";
    NotCoordinator = 16, "NOT_COORDINATOR", true, "This broker is not the coordinator of the group or transaction";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", false, "The topic name is not allowed";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", false, "The batch is larger than a segment of the log";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", true, "Fewer replicas are in sync than the topic demands";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true, "It was appended, but to fewer replicas than the topic demands";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", false, "Acks must be -1, 0 or 1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", false, "The group has moved on to another generation";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", false, "The member has no assignment protocol in common with the group";
    InvalidGroupId = 24, "INVALID_GROUP_ID", false, "The group id is not allowed";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", false, "The group has no such member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", false, "The session timeout lies outside what the broker accepts";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", false, "The group is rebalancing, so the member must join again";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", false, "The offset could not be kept because of its size";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", false, "The user may not do this to the topic";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", false, "The user may not do this to the group";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", false, "The user may not do this to the cluster";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", false, "A record's time lies outside what the topic accepts";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", false, "The broker does not offer this way of logging in";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", false, "The request does not fit the state of the login";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", false, "The broker does not serve this version of the request";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", false, "There is a topic of that name";
    InvalidPartitions = 37, "INVALID_PARTITIONS", false, "The number of partitions is not possible";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", false, "The replication factor is not possible with these brokers";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", false, "The assignment of replicas is not possible";
    InvalidConfig = 40, "INVALID_CONFIG", false, "A setting has a value that is not possible";
    NotController = 41, "NOT_CONTROLLER", true, "This broker is not the controller";
    InvalidRequest = 42, "INVALID_REQUEST", false, "The request contradicts itself or lacks something";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", false, "The record format of the topic cannot do this";
    PolicyViolation = 44, "POLICY_VIOLATION", false, "A policy of the cluster forbids this";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", false, "The producer's sequence has a gap";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", false, "The batch was appended before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", false, "The producer's epoch is older than the newest";
    InvalidTxnState = 48, "INVALID_TXN_STATE", false, "The transaction cannot do this in its state";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", false, "The producer id does not belong to the transactional id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", false, "The transaction timeout is longer than the broker accepts";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", true, "The last transaction of this producer has not ended yet";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", false, "The coordinator that sent this has been replaced";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false, "The user may not use this transactional id";
    SecurityDisabled = 54, "SECURITY_DISABLED", false, "The broker has no access rules";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", false, "It was not tried because another part of the request failed";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", true, "The disk that holds the log failed";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", false, "The broker has no such log directory";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", false, "The login was refused";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", false, "The broker has forgotten this producer";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", false, "The partition is being moved";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", false, "Delegation tokens are not enabled";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", false, "The broker has no such delegation token";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", false, "The delegation token belongs to someone else";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false, "This connection may not ask for delegation tokens";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", false, "The user may not use this delegation token";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", false, "The delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", false, "This kind of user is not supported";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", false, "The group still has members";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", false, "There is no such group";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", true, "The broker has forgotten this fetch session";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", true, "The request is out of order in its fetch session";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", true, "The leader has no listener of the name that the client came through";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", false, "Topics cannot be deleted here";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", true, "The client's leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", true, "The client's leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", false, "The version of the request does not allow this compression";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", false, "The broker has registered again since";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", true, "The new leader does not know its high watermark yet";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", false, "The member must join again with the id that it was given";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", true, "The preferred leader cannot lead at the moment";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", false, "The group has as many members as it may have";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", false, "Another member has taken over this group instance id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", true, "None of the replicas that may lead is available";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", true, "The partition has the leader that it should have";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", false, "The partition is not being moved";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", false, "The group still reads the topic whose offsets were to be deleted";
    InvalidRecord = 87, "INVALID_RECORD", false, "A record does not satisfy the topic's rules";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", true, "An open transaction has offsets that are not committed yet";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", true, "The client has used up its quota for now";
    ProducerFenced = 90, "PRODUCER_FENCED", false, "A newer producer uses the same transactional id";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", false, "What the request names does not exist";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", false, "The request names the same thing twice";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", false, "The credential does not satisfy the rules";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", false, "The sender and receiver of a vote know different voters";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", false, "The update carries a wrong version";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", false, "The features could not be updated";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", false, "The user of a forwarded request could not be read";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", false, "There is no such snapshot";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", false, "The position lies outside the snapshot";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", true, "This broker has no topic of that id";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", false, "Another live broker uses the same id";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", false, "No broker of that id has registered";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", true, "The topic's id is not the one in the log";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", false, "The request was meant for another cluster";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", false, "There is no such transactional id";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", true, "A fetch session uses topic ids in some requests and not in others";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", false, "The replica cannot join those in sync";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", false, "The change led to another leader";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", false, "The offset has moved to the object store";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", false, "The member's epoch is older than the coordinator's";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", false, "Another member still holds this group instance id";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", false, "The coordinator does not offer this assignor";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", false, "The member must learn its new epoch and try again";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", false, "The request went to the wrong kind of endpoint";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", false, "This kind of endpoint is not known here";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", false, "There is no controller of that id";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", false, "The subscription to client metrics has changed";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", false, "The client sent more metrics than the broker accepts";
    InvalidRegistration = 119, "INVALID_REGISTRATION", false, "The registration of a controller is not valid";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", false, "The transaction failed and must be aborted";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", false, "The record is not in a state that can be acknowledged";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", true, "The broker has forgotten this share session";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", true, "The request is out of order in its share session";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", false, "The share group's state has a newer epoch";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", false, "The voter is not the one that its id names";
    DuplicateVoter = 126, "DUPLICATE_VOTER", false, "The voter is in the set already";
    VoterNotFound = 127, "VOTER_NOT_FOUND", false, "The voter is not in the set";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", false, "The regular expression cannot be read";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", false, "The client must start over from its bootstrap addresses";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", false, "The topology of a streams group is not valid";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", false, "The epoch of the topology is not valid";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", false, "The streams group has a newer topology";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", true, "The broker has as many share sessions as it may have";
}

impl ErrorCode {
    /// Its number on the wire.
    pub fn number(self) -> i16 {
        self as i16
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code.number()
    }
}
