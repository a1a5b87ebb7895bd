//! The program `landlord`; see the library.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    landlord_cli::run().await
}
