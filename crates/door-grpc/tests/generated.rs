//! What is checked in is what the `.proto` files say. `ENTREPOT_GENERATE=1` writes it anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::path::Path;

use prost::Message;

const FILES: [&str; 6] = ["message", "publish", "subscribe", "request", "admin", "discover"];

#[test]
fn the_generated_code_is_that_of_the_proto_files() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (root, kept) = (here.join("../../proto"), here.join("generated"));
    let made = tempfile::tempdir().unwrap();
    generate(&root, made.path());
    for name in ["entrepot.v1.in", "descriptors.bin"] {
        let fresh = std::fs::read(made.path().join(name)).unwrap();
        if std::env::var_os("ENTREPOT_GENERATE").is_some() {
            std::fs::write(kept.join(name), &fresh).unwrap();
        }
        let is_same = std::fs::read(kept.join(name)).unwrap() == fresh;
        assert!(
            is_same,
            "{name} is old: ENTREPOT_GENERATE=1 cargo test -p door-grpc --test generated"
        );
    }
}

fn generate(root: &Path, to: &Path) {
    let files = FILES.map(|name| root.join(format!("entrepot/v1/{name}.proto")));
    let mut described = protox::compile(files, [root]).unwrap();
    for file in &mut described.file {
        // Comments are for readers of the files.
        file.source_code_info = None;
    }
    std::fs::write(to.join("descriptors.bin"), described.encode_to_vec()).unwrap();
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    let generated = tonic_prost_build::configure()
        .out_dir(to)
        .bytes(".")
        .btree_map(".")
        .disable_comments(["."])
        .build_transport(false)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .codec_path("crate::codec::BoundedCodec")
        .compile_fds_with_config(described, config);
    generated.unwrap();
    let mut text = std::fs::read_to_string(to.join("entrepot.v1.rs")).unwrap();
    for taker in ["tonic::Streaming", "tonic::server::StreamingService"] {
        // The server takes these as they came.
        let (unpacked, packed) = ("<super::PublishStreamRequest>", "<crate::packed::Packed>");
        let (from, to) = (format!("{taker}{unpacked}"), format!("{taker}{packed}"));
        assert!(text.contains(&from), "there is no '{from}'");
        text = text.replace(&from, &to);
    }
    std::fs::write(to.join("entrepot.v1.in"), text).unwrap();
}
