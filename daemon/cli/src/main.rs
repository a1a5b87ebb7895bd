//! The program `landlord`; see the library.

// The connection has a thread of its own: it responds to the daemon's pings while the output waits for `less`.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> std::process::ExitCode {
    landlord_cli::run().await
}
