//! Runs the fictional cloud: `cargo run -p provider-template --example nimbus [ADDRESS]`, by default on 127.0.0.1:4700, for
//! the token that `conformance.toml` has.

mod server;

use std::{io::Write as _, time::Duration};

use server::{Options, router};

const ADDRESS: &str = "127.0.0.1:4700";

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| ADDRESS.into());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    writeln!(std::io::stdout(), "nimbus listens on http://{}", listener.local_addr()?)?;
    let options = Options {
        token: "nimbus-token-5d0f82b1".into(),
        making: Duration::from_millis(50),
        deleting: Duration::from_millis(30),
    };
    axum::serve(listener, router(options)).await
}
