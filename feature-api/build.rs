//! Compiles the protos, without protoc: messages and clients for Rust, and the descriptor set with all options.

use std::path::PathBuf;
use std::{env, error::Error, fs};

use prost::Message;

const PROTO_ROOT: &str = "../proto";

/// Everything else is imported by these.
const FILES: [&str; 5] = [
    "zitadel/feature/v2/feature_service.proto",
    "feature/v1/definition_service.proto",
    "feature/v1/settings_service.proto",
    "feature/v1/history_service.proto",
    "feature/v1/watch_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO_ROOT}");
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new([PROTO_ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // Only the encoded form keeps custom options, such as google.api.http; the typed one drops them.
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out_dir.join("descriptors.bin"), &encoded)?;

    let descriptors = prost_types::FileDescriptorSet::decode(encoded.as_slice())?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .btree_map(".feature.v1")
        .include_file("generated.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
