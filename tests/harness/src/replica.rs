//! Further daemons of a world's configuration, on the database that it names.

use std::{
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{Cli, Service, World, process::figures};

/// How long a daemon may take to listen, on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const START_POLL: Duration = Duration::from_millis(20);

/// One more daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Replica {
    /// Its process.
    pub service: Service,
    /// Its unix socket.
    pub socket: PathBuf,
    /// Client for it.
    pub cli: Cli,
}

impl Replica {
    /// Where the replica of a name listens.
    #[must_use]
    pub fn socket_of(world: &World, name: &str) -> PathBuf {
        world.folder().join(format!("{name}.sock"))
    }

    /// Starts one and waits until it listens. `sets`: more settings, `key=value`.
    ///
    /// # Errors
    /// A daemon that does not start, with the end of its log.
    pub fn start(world: &World, name: &str, sets: &[String]) -> Result<Self> {
        let (socket, log) = (Self::socket_of(world, name), world.folder().join(format!("{name}.log")));
        let mut arguments = vec!["--config".to_owned(), world.config().display().to_string()];
        let own = [
            format!("server.socket={}", socket.display()),
            format!("deploy.state_dir={}", world.folder().join(format!("deploy-{name}")).display()),
        ];
        arguments.extend(own.iter().chain(sets).flat_map(|set| ["--set".to_owned(), set.clone()]));
        let mut service = Service::start("landlordd", &world.binaries().landlordd, &arguments, &log)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while UnixStream::connect(&socket).is_err() {
            if let Some(status) = service.ended()? {
                bail!("replica {name} ended with {status}:\n{}", service.log_tail(20));
            }
            if Instant::now() > deadline {
                bail!("replica {name} does not listen:\n{}", service.log_tail(20));
            }
            std::thread::sleep(START_POLL);
        }
        Ok(Self { cli: Cli::new(&world.binaries().landlord, &socket), service, socket })
    }

    /// Its figures in OpenMetrics form.
    ///
    /// # Errors
    /// No response, or a log that does not report the address.
    pub fn metrics(&self) -> Result<String> {
        figures(self.service.log())
    }

    /// Whether it has called a plugin for anything that makes something.
    ///
    /// # Errors
    /// As [`Replica::metrics`].
    pub fn works(&self) -> Result<bool> {
        Ok(self.metrics()?.lines().any(|line| line.contains("method=\"Ensure")))
    }
}
