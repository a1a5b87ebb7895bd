//! pgbouncer before a PostgreSQL server, in transaction mode: a connection of ours has another one of the server's for each
//! transaction.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::postgres::{Server, as_user, own};

/// The program to run instead of the installed one.
const PROGRAM: &str = "LANDLORD_PGBOUNCER";
const INSTALLED: &str = "/usr/sbin/pgbouncer";
/// The first that knows prepared statements in transaction mode.
const VERSION_MIN: (u32, u32) = (1, 21);
const TIMEOUT: Duration = Duration::from_secs(30);
const PORT: u16 = 6432;

/// A running pooler. It ends with this process, or when it is dropped.
#[derive(Debug)]
pub struct Pooler {
    folder: PathBuf,
    pid: u32,
}

impl Pooler {
    /// The program, or why there is none that is fit.
    ///
    /// # Errors
    /// What is missing.
    pub fn program() -> Result<PathBuf, String> {
        let program = std::env::var_os(PROGRAM).map_or_else(|| PathBuf::from(INSTALLED), PathBuf::from);
        let output = Command::new(&program).arg("--version").output().map_err(|error| {
            format!("{} can't be run ({error}): install pgbouncer, or name it in {PROGRAM}", program.display())
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().nth(1).unwrap_or_default();
        let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
        match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) if (major, minor) >= VERSION_MIN => Ok(program),
            _ => Err(format!("pgbouncer {version} knows no prepared statements in transaction mode; 1.21 does")),
        }
    }

    /// A pooler before a server, with so few connections to it that its clients must take turns.
    ///
    /// # Panics
    /// If it does not start.
    pub fn before(server: &Server, program: &Path, connections_max: u32) -> Self {
        let folder = server.folder().join(format!("pooler-{connections_max}"));
        fs::create_dir_all(&folder).unwrap();
        let (shown, file) = (folder.display(), folder.join("pgbouncer.ini"));
        let settings = format!(
            "[databases]\n* = host={} port=5432 user=postgres\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {shown}\n\
             listen_port = {PORT}\nauth_type = any\npool_mode = transaction\nmax_prepared_statements = 200\n\
             default_pool_size = {connections_max}\nignore_startup_parameters = extra_float_digits\n\
             logfile = {shown}/log\npidfile = {shown}/pid\n",
            server.folder().display()
        );
        fs::write(&file, settings).unwrap();
        own(&folder);
        let mut command = as_user(program);
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // As with the server: the kernel ends it with the thread that started it.
        let (started, is_started) = mpsc::channel();
        std::thread::spawn(move || {
            let child = command.spawn();
            let _ = started.send(child.as_ref().map(std::process::Child::id).map_err(ToString::to_string));
            if let Ok(mut child) = child {
                let _ = child.wait();
            }
        });
        let pid = is_started.recv().unwrap().unwrap();
        let pooler = Self { folder, pid };
        let deadline = Instant::now() + TIMEOUT;
        while std::os::unix::net::UnixStream::connect(pooler.folder.join(format!(".s.PGSQL.{PORT}"))).is_err() {
            let log = fs::read_to_string(pooler.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    /// The URL of a database of that server, through the pooler.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let (url, _) = url.split_once('?').unwrap();
        format!("{url}?host={}&port={PORT}", self.folder.display())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.pid.to_string()).status();
    }
}
