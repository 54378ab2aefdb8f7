//! What is generated from `proto/entrepot/v1`, and compared with it by a test (`docs/decisions/0015-grpc.md`).

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::unwrap_used,
    clippy::large_futures,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    reason = "not written by hand; the comments of the .proto files are where readers of any language look"
)]

include!("../generated/entrepot.v1.in");

/// The `.proto` files as a `google.protobuf.FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("../generated/descriptors.bin");
