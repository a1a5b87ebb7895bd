//! Compiles the public API's protobuf files; protox, so no protoc is needed.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const FILES: [&str; 17] = [
    "landlord/v1/access.proto",
    "landlord/v1/diff.proto",
    "landlord/v1/logs.proto",
    "landlord/v1/audit.proto",
    "landlord/v1/auth.proto",
    "landlord/v1/tenant.proto",
    "landlord/v1/tenant_class.proto",
    "landlord/v1/host_cluster.proto",
    "landlord/v1/operation.proto",
    "landlord/v1/customer.proto",
    "landlord/v1/daemon.proto",
    "landlord/v1/provider.proto",
    "landlord/v1/orphan.proto",
    "landlord/v1/verify.proto",
    "landlord/v1/webhook.proto",
    "google/longrunning/operations.proto",
    "google/rpc/error_details.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    // Encoded by the compiler, not by prost, so that options (annotations) are kept.
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    fs::write(&out, compiler.encode_file_descriptor_set())?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    // Encoding must be deterministic: a replayed request is known by the hash of its bytes.
    config.btree_map(["."]);
    tonic_prost_build::configure()
        .build_server(true)
        .build_client(true)
        .compile_fds_with_config(descriptors, config)?;
    for folder in ["landlord/v1", "google"] {
        watch(Path::new(folder))?;
    }
    Ok(())
}

/// Each file, and no folder: one in which something else is put for a moment would have everything compiled again.
fn watch(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            watch(&path)?;
        } else {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    Ok(())
}
