//! A PostgreSQL server for tests: Debian's programs, data in a folder of its own, a socket that nobody else reaches.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

/// Where Debian keeps a folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// PostgreSQL refuses to run as root; its package brings this user.
const USER: &str = "postgres";
/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(60);
const FOLDERS: &str = "landlord-postgres-";

/// A running server. It ends with this process, or when it is stopped.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    databases: AtomicU32,
}

impl Server {
    /// One server for all tests of a process.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start("shared"))
    }

    /// A server of its own, for a test that stops it.
    ///
    /// # Panics
    /// As [`Server::shared`].
    pub fn start(name: &str) -> Self {
        remove_leftovers();
        let server = Self::empty(programs(), name);
        let made = server.run("initdb", &["-D", &server.data(), "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8"]);
        assert!(made.status.success(), "{made:?}");
        server.up();
        server
    }

    /// Starts it, and waits until it takes connections.
    ///
    /// # Panics
    /// If it does not start.
    pub fn up(&self) {
        let mut command = as_user(&self.programs.join("postgres"));
        let socket = self.folder.display().to_string();
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        command
            .args(["-D", &self.data(), "-k", &socket, "-c", "listen_addresses=", "-c", "max_connections=300"])
            .args(["-c", "fsync=off", "-c", "shared_buffers=32MB"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        // The kernel ends it with the thread that started it, so that thread waits for it.
        let (started, is_started) = mpsc::channel();
        std::thread::spawn(move || {
            let child = command.spawn();
            let _ = started.send(child.as_ref().map(drop).map_err(ToString::to_string));
            if let Ok(mut child) = child {
                let _ = child.wait();
            }
        });
        is_started.recv().unwrap().unwrap();
        let deadline = Instant::now() + TIMEOUT;
        while !self.run("pg_isready", &["-h", &socket, "-U", USER]).status.success() {
            assert!(Instant::now() < deadline, "{}", fs::read_to_string(self.folder.join("log")).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A server that follows this one, with its settings: it has what this one had a moment ago.
    ///
    /// # Panics
    /// If it does not start.
    pub fn standby(&self, name: &str) -> Self {
        let standby = Self::empty(self.programs.clone(), name);
        let socket = self.folder.display().to_string();
        let from = ["-h", &socket, "-U", USER, "-D", &standby.data()];
        let copied = self.run("pg_basebackup", &[&from[..], &["-R", "-c", "fast", "--no-sync"]].concat());
        assert!(copied.status.success(), "{copied:?}");
        standby.up();
        standby
    }

    /// Has a user show a password from now on; all others need none.
    ///
    /// # Panics
    /// If the server's rules can't be changed.
    pub fn ask_password_of(&self, user: &str) {
        let rules = self.folder.join("data/pg_hba.conf");
        let before = fs::read_to_string(&rules).unwrap();
        fs::write(&rules, format!("local all {user} scram-sha-256\n{before}")).unwrap();
        let reloaded = self.run("pg_ctl", &["-D", &self.data(), "reload"]);
        assert!(reloaded.status.success(), "{reloaded:?}");
        // It reads them when it comes to it.
        let socket = self.folder.display().to_string();
        let without = ["-w", "-h", &socket, "-U", user, "-d", "postgres", "-c", "SELECT 1"];
        let deadline = Instant::now() + TIMEOUT;
        while self.run("psql", &without).status.success() {
            assert!(Instant::now() < deadline, "{user} needs no password");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a standby the server that writes.
    ///
    /// # Panics
    /// If it is none.
    pub fn promote(&self) {
        let promoted = self.run("pg_ctl", &["-D", &self.data(), "-w", "promote"]);
        assert!(promoted.status.success(), "{promoted:?}");
    }

    fn empty(programs: PathBuf, name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{FOLDERS}{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        own(&folder);
        Self { programs, folder, databases: AtomicU32::new(0) }
    }

    /// Stops it as a machine that fails does: no client gets a response.
    ///
    /// # Panics
    /// If it does not run.
    pub fn crash(&self) {
        let stopped = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
        assert!(stopped.status.success(), "{stopped:?}");
    }

    /// An empty database; its URL.
    ///
    /// # Panics
    /// If it can't be made.
    pub fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let socket = self.folder.display().to_string();
        let made = self.run("createdb", &["-h", &socket, "-U", USER, &name]);
        assert!(made.status.success(), "{made:?}");
        format!("postgres://{USER}@localhost/{name}?host={socket}")
    }

    /// What a query of one value gives, in a database of [`Server::database`].
    ///
    /// # Panics
    /// If it fails.
    pub fn query(&self, url: &str, sql: &str) -> String {
        let name = url.rsplit('/').find_map(|part| part.split_once("?host=")).map_or(url, |(name, _)| name);
        let socket = self.folder.display().to_string();
        let asked = self.run("psql", &["-h", &socket, "-U", USER, "-d", name, "-At", "-c", sql]);
        assert!(asked.status.success(), "{asked:?}");
        String::from_utf8_lossy(&asked.stdout).trim().to_owned()
    }

    /// Where its socket is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The socket that it listens at.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }

    fn data(&self) -> String {
        self.folder.join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        as_user(&self.programs.join(program)).args(arguments).output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Newest version that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .map(|version| Path::new(VERSIONS).join(version.to_string()).join("bin"));
    newest.expect("PostgreSQL is not installed: apt-get install postgresql")
}

/// Whom the server runs as, if this process is root.
fn other_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').next() == Some(USER));
    let mut fields = line.expect("PostgreSQL's package brings the user postgres").split(':').skip(2);
    let mut number = || fields.next().unwrap().parse().unwrap();
    Some((number(), number()))
}

/// Gives a file or folder to whom the server runs as.
pub(crate) fn own(path: &Path) {
    if let Some((uid, gid)) = other_user() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

pub(crate) fn as_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if let Some((uid, gid)) = other_user() {
        command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).current_dir("/").env("LC_ALL", "C");
    command
}

/// Folders of servers whose process is gone.
fn remove_leftovers() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let pid = name.strip_prefix(FOLDERS).and_then(|rest| rest.split('-').next()).map(str::to_owned);
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
