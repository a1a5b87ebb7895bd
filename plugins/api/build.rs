//! Compiles the provider contract's protobuf files; protox, so no protoc is needed. `proto` here is the repository's own file,
//! by a link that a package holds as a file.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["landlord/provider/v1/provider.proto"], ["proto"])?;
    prost_build::Config::new()
        // These hold secrets: their Debug is written by hand.
        .skip_debug(["ConfigureRequest", "KubeAccess"])
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto/landlord/provider/v1/provider.proto");
    Ok(())
}
