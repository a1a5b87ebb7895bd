//! Measures a call through a child process: `call_latency PLUGIN.so [SETTINGS_JSON]` prints the
//! latency of Describe. Run it as `landlord-plugin-child` would be found beside it, that is from
//! cargo's target folder.

use std::{error::Error, io::Write as _, path::PathBuf, time::Instant};

use landlord_core::ports::ProviderKey;
use landlord_plugin_host::{Plugin, PluginFile, PluginOptions, Sandbox};
use landlord_provider_api::{Provider as _, v1};

const WARM_UP_CALLS: usize = 200;
const CALLS: usize = 5_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some(landlord_plugin_host::child::CHILD_ARGUMENT) {
        landlord_plugin_host::run_child();
    }
    let mut arguments = std::env::args().skip(1);
    let library: PathBuf = arguments.next().ok_or("usage: call_latency PLUGIN.so [JSON]")?.into();
    let key = ProviderKey { provider: "measured".parse()?, credentials: "default".into() };
    let configure = v1::ConfigureRequest {
        installation: "bench".into(),
        config_json: arguments.next().unwrap_or_else(|| "{}".into()),
        credential_json: b"{}".to_vec(),
        endpoint_override: String::new(),
    };
    let options = PluginOptions {
        program: std::env::current_exe()?,
        call_deadline: std::time::Duration::from_secs(10),
        calls_max: 1,
        time_scale: 1.0,
        memory_max_mib: 0,
        sandbox: Sandbox { write_paths: vec![std::env::temp_dir()], ..Sandbox::default() },
        environment: Vec::new(),
    };
    let plugin = Plugin::new(key, PluginFile::check(&library, None)?, configure, options);
    plugin.start().await?;
    let mut micros = Vec::with_capacity(CALLS);
    for call in 0..WARM_UP_CALLS + CALLS {
        let started = Instant::now();
        plugin.describe(v1::DescribeRequest {}).await?;
        if call >= WARM_UP_CALLS {
            micros.push(started.elapsed().as_micros());
        }
    }
    micros.sort_unstable();
    let (p50, p99) = (micros[CALLS / 2], micros[CALLS * 99 / 100]);
    writeln!(std::io::stdout(), "Describe, {CALLS} calls: p50 {p50} µs, p99 {p99} µs")?;
    Ok(())
}
