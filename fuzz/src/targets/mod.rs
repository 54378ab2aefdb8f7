//! The targets on one page.

mod batches;
mod config;
mod disk;
mod logins;
mod wire;

use base::limits::{BATCH_UNPACKED_BYTES_MAX, REQUEST_ELEMENTS_MAX};

use crate::Target;

/// Longest input of most targets: a few structures, so that thousands are tried a second.
const INPUT: usize = 4096;
/// What a case may take whatever its input: buffers of fixed size, and texts of errors.
const MORE: usize = 256 << 10;
/// Of a message: an array's element takes a byte of the frame and up to some hundred of memory,
/// which may double while the array grows, and what was read is written again.
const PER_WIRE_BYTE: usize = 2048;
/// Of a batch that is unpacked, rewritten and packed again: its records several times over.
const UNPACKED: usize = 6 * BATCH_UNPACKED_BYTES_MAX;
/// Of rules with patterns, each of which may compile to 10 MB and be tried in pieces: they come from
/// the operator.
const PATTERNS: usize = 64 << 20;
/// Of a data folder: the readers' buffers, of which each segment and file has some of a megabyte.
const FOLDER: usize = 64 << 20;

const _: () = assert!(INPUT < REQUEST_ELEMENTS_MAX, "the budget of elements is tested elsewhere");

macro_rules! targets {
    ($($name:literal $run:path, $input:expr, $per:expr, $more:expr, $about:literal;)*) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target {
            name: $name,
            about: $about,
            input_bytes_max: $input,
            bytes_per_byte: $per,
            bytes_more: $more,
            run: $run,
        },)*];
    };
}

targets! {
    "kafka-request" wire::kafka_request, INPUT, PER_WIRE_BYTE, MORE,
        "Kafka's requests, from their header on";
    "kafka-message" wire::kafka_message, INPUT, PER_WIRE_BYTE, MORE,
        "every message of Kafka's, responses too, in every version: read, written, read again";
    "kafka-group" wire::kafka_group, INPUT, PER_WIRE_BYTE, MORE,
        "what members of a group tell each other";
    "pattern" wire::pattern, 512, 64, 8 << 20,
        "patterns of topic names (each may compile to 1 MiB, and what is on the way is several times that)";
    "zookeeper" wire::zookeeper, INPUT, 64, MORE,
        "ZooKeeper's requests, access lists and four-letter words";
    "amqp" wire::amqp, INPUT, 64, MORE,
        "AMQP's frames, methods, headers and tables: read, written, read again";
    "coap" wire::coap, INPUT, 64, MORE,
        "CoAP's messages in datagrams, streams and WebSockets, and properties of topics: read, written, read again";
    "grpc" wire::grpc, INPUT, PER_WIRE_BYTE, MORE,
        "gRPC's messages that clients send, looked through and read; bodies of calls in pieces, timeouts";
    "mqtt" wire::mqtt, INPUT, 64, MORE,
        "MQTT's packets in every version; messages are written and read again";
    "nats" wire::nats, INPUT, 64, MORE,
        "what NATS clients send: control lines, payloads, headers, options";
    "stomp" wire::stomp, INPUT, 64, MORE,
        "STOMP's frames in every version, destinations, arguments; what is kept is read again";
    "batch" batches::batch, INPUT, 64, UNPACKED,
        "record batches: checked, unpacked, packed anew, compacted, converted to the old formats";
    "message-set" batches::message_set, INPUT, 64, UNPACKED,
        "message sets of the formats v0 and v1, with wrappers, converted to batches";
    "codec" batches::codec_bytes, INPUT, 64, UNPACKED,
        "compressed bytes of each codec";
    "properties" config::properties, INPUT, 4096, PATTERNS,
        "server.properties, JAAS lines in it";
    "toml" config::toml, INPUT, 4096, PATTERNS,
        "our own configuration file";
    "subject-rules" config::subject_rules, 512, 4096, PATTERNS,
        "rules from a certificate's subject to a name";
    "login" logins::login, INPUT, 64, MORE,
        "PLAIN, SCRAM and OAUTHBEARER messages";
    "token" logins::token, INPUT, 256, MORE,
        "a token's header and claims (JWT)";
    "key-set" logins::key_set, INPUT, 256, MORE,
        "an issuer's key set (JWKS)";
    "disk-block" disk::block, INPUT, 64, MORE,
        "a frame of the write-ahead log, a checkpoint";
    "disk-folder" disk::folder, 64 << 10, 64, FOLDER,
        "a data folder: write-ahead log, checkpoint, segments, indexes";
    "journal" disk::journal, INPUT, 256, 8 << 20,
        "records of the journal of groups, queues and transactions (patterns in them may compile to 1 MiB)";
    "metadata" disk::metadata, INPUT, 256, 8 << 20,
        "keys and values of the metadata store (patterns in them may compile to 1 MiB)";
}
