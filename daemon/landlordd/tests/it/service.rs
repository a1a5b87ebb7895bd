//! The daemon as a service of systemd: what it says, what a reload does, sockets that are passed to it, and the units that are
//! shipped.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixDatagram, UnixListener, UnixStream},
            process::ExitStatusExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a client of HTTP/2 says first: the preface, and settings that are empty.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A folder with a configuration, and what daemons in it say.
struct Place {
    notify: UnixDatagram,
    folder: tempfile::TempDir,
}

struct Daemon(Child);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let notify = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        notify.set_read_timeout(Some(TIMEOUT)).unwrap();
        let place = Self { notify, folder };
        place.configure("[log]\nfilter = 'info'\n");
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, more: &str) {
        let (socket, store) = (self.at("landlord.sock"), self.at("landlord.db"));
        let places = format!("[server]\nsocket = '{}'\n[store]\npath = '{}'\n", socket.display(), store.display());
        fs::write(self.at("landlord.toml"), format!("{places}{more}")).unwrap();
    }

    /// A daemon; `passed` as systemd passes a socket: the third descriptor, and variables for this process alone.
    fn start(&self, passed: Option<&UnixListener>) -> Daemon {
        let mut command = match passed {
            None => Command::new(env!("CARGO_BIN_EXE_landlordd")),
            Some(socket) => {
                let mut shell = Command::new("sh");
                let line = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
                shell.args(["-c", line, env!("CARGO_BIN_EXE_landlordd")]);
                shell.stdin(OwnedFd::from(socket.try_clone().unwrap()));
                shell
            }
        };
        command
            .args(["--create-store", "--config"])
            .arg(self.at("landlord.toml"))
            .env("NOTIFY_SOCKET", self.at("notify"))
            .env("WATCHDOG_USEC", "400000")
            .stderr(fs::File::create(self.at("log")).unwrap());
        Daemon(command.spawn().unwrap())
    }

    /// Waits for a message, over signs of life.
    fn says(&self, expected: &str) {
        let deadline = Instant::now() + TIMEOUT;
        let mut buffer = [0; 256];
        loop {
            let length =
                self.notify.recv(&mut buffer).unwrap_or_else(|error| panic!("{expected}: {error}: {}", self.log()));
            let text = String::from_utf8_lossy(&buffer[..length]);
            if text.lines().any(|line| line == expected) {
                return;
            }
            let is_on_its_way = text.starts_with("WATCHDOG=1") || text.starts_with("EXTEND_TIMEOUT_USEC=");
            assert!(is_on_its_way && Instant::now() < deadline, "{text}: no {expected}: {}", self.log());
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap()
    }

    fn reload(&self, daemon: &Daemon, more: &str) {
        self.configure(more);
        daemon.signal("-HUP");
        self.says("RELOADING=1");
        self.says("READY=1");
    }
}

impl Daemon {
    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }

    fn end(mut self, place: &Place) {
        self.signal("-TERM");
        place.says("STOPPING=1");
        assert!(self.0.wait().unwrap().success(), "{}", place.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const CLASS: &str = "[classes.small]\nlevel = 'CLUSTER'\nprovider = 'none'\ncredentials = 'a'\nregions = ['x-1']\n\
    machine_type = 'small'\nnode_count = 1\n";

#[test]
fn it_says_how_it_is_and_reloads_whole_or_not_at_all() {
    let place = Place::new();
    let daemon = place.start(None);
    place.says("READY=1");
    place.says("WATCHDOG=1");
    // What can be changed is; what can't is named.
    place.reload(
        &daemon,
        "[log]\nfilter = 'debug'\n[domains]\nreserved_parents = ['example.com']\n[engine]\npasses_max = 3\n",
    );
    let log = place.log();
    let line = log.lines().find(|line| line.contains("needs a restart")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("waiting=\"engine.passes_max\""), "{line}");
    assert!(line.contains("in_force=\"domains.reserved_parents, log.filter\""), "{line}");
    // A mistake anywhere, or a class that nothing can build: nothing of it is used.
    let wrong = ["[log]\nfilter = 'error'\n[engine]\nno_such_key = 3\n", &format!("[log]\nfilter = 'error'\n{CLASS}")];
    for (before, wrong) in wrong.into_iter().enumerate() {
        place.reload(&daemon, wrong);
        // Whatever else it logs at this level meanwhile.
        assert_eq!(place.log().matches("that of before goes on").count(), before + 1, "{}", place.log());
    }
    place.reload(&daemon, "[log]\nfilter = 'debug'\n[domains]\nreserved_parents = ['example.com']\n");
    assert!(place.log().contains("is in force"), "{}", place.log());
    daemon.end(&place);
}

#[test]
fn a_start_that_waits_for_its_store_is_given_time() {
    let place = Place::new();
    // A database of which nothing is heard.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    place.configure(&format!("url = 'postgres://landlord@127.0.0.1:{port}/landlord'\n"));
    let _daemon = place.start(None);
    place.says("EXTEND_TIMEOUT_USEC=60000000");
}

#[test]
fn a_passed_socket_stays_open_over_a_restart() {
    let place = Place::new();
    let path = place.at("landlord.sock");
    let socket = UnixListener::bind(&path).unwrap();
    for _ in 0..2 {
        // While no daemon runs: the connection waits for the next one.
        let mut waiting = UnixStream::connect(&path).unwrap();
        waiting.set_read_timeout(Some(TIMEOUT)).unwrap();
        waiting.write_all(PREFACE).unwrap();
        let daemon = place.start(Some(&socket));
        place.says("READY=1");
        let mut answer = [0; 9];
        waiting.read_exact(&mut answer).unwrap();
        assert_eq!(answer[3], 4, "not settings of HTTP/2: {answer:?}");
        daemon.end(&place);
    }
    // One that nothing is configured for.
    let other = UnixListener::bind(place.at("other.sock")).unwrap();
    let mut daemon = place.start(Some(&other));
    assert!(!daemon.0.wait().unwrap().success());
    assert!(place.log().contains("other.sock; name them in server.socket"), "{}", place.log());
}

/// Whether a program that aborts with no limit on cores leaves one.
fn leaves_a_core(place: &Place, line: &str) -> bool {
    let mut shell = Command::new("sh");
    shell.current_dir(place.folder.path()).args(["-c", &format!("ulimit -c unlimited; {line}")]);
    shell.arg(env!("CARGO_BIN_EXE_landlordd")).arg(place.at("landlord.toml")).env("NOTIFY_SOCKET", place.at("notify"));
    let mut daemon = Daemon(shell.stderr(fs::File::create(place.at("log")).unwrap()).spawn().unwrap());
    if line.starts_with("exec") {
        place.says("READY=1");
        daemon.signal("-ABRT");
    }
    daemon.0.wait().unwrap().core_dumped()
}

#[test]
#[expect(clippy::print_stdout, reason = "whoever reads the result shall see what was not tried")]
fn credentials_in_its_memory_are_in_no_core() {
    let place = Place::new();
    if !leaves_a_core(&place, "kill -ABRT $$") {
        println!("SKIPPED: cores of landlordd: this machine keeps those of no program");
        return;
    }
    assert!(!leaves_a_core(&place, "exec \"$0\" --create-store --config \"$1\""));
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("config/packaging/systemd")
}

#[test]
#[allow(clippy::print_stdout, reason = "a skip is shown")]
fn the_units_are_sound_and_shut_the_daemon_in() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("SKIPPED: the units: systemd-analyze is not installed");
        return;
    }
    // As they would be installed: a root with the programs that they name.
    let root = tempfile::tempdir().unwrap();
    for program in ["usr/bin/landlordd", "bin/kill"] {
        let program = root.path().join(program);
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let installed = root.path().join("etc/systemd/system");
    fs::create_dir_all(&installed).unwrap();
    for unit in ["landlordd.service", "landlordd.socket"] {
        fs::copy(packaging().join(unit), installed.join(unit)).unwrap();
    }
    let verified = Command::new("systemd-analyze")
        .arg(format!("--root={}", root.path().display()))
        .args(["--man=no", "verify", "landlordd.service", "landlordd.socket"])
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&verified.stderr).into_owned();
    // One line is for a systemd that knows the type, and is left out by one that does not.
    let ours = |line: &&str| {
        line.contains("landlordd.")
            && !line.contains("service type, ignoring: notify-reload")
            && !line.contains(".target not found")
    };
    let complaints: Vec<&str> = reported.lines().filter(ours).collect();
    assert!(complaints.is_empty(), "{reported}");
    // 0 is shut in entirely, 100 not at all.
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(packaging().join("landlordd.service"))
        .output()
        .unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}

/// What a word of `SystemCallFilter=` stands for, groups within groups included.
fn calls(word: &str) -> Vec<String> {
    if !word.starts_with('@') {
        return vec![word.to_owned()];
    }
    let shown = Command::new("systemd-analyze").args(["--no-pager", "syscall-filter", word]).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let words = shown.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    words.flat_map(calls).collect()
}

/// Each plugin's process limits itself when it starts, by calls that the daemon itself does not make: it would be refused, and no
/// provider be there.
#[test]
#[allow(clippy::print_stdout, reason = "a skip is shown")]
fn the_unit_lets_processes_of_plugins_limit_themselves() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("SKIPPED: the unit's calls: systemd-analyze is not installed");
        return;
    }
    let unit = fs::read_to_string(packaging().join("landlordd.service")).unwrap();
    let filter = unit.lines().find_map(|line| line.strip_prefix("SystemCallFilter=")).unwrap();
    let allowed: Vec<String> = filter.split(' ').flat_map(calls).collect();
    assert!(allowed.len() > 200, "{allowed:?}");
    for call in ["prctl", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
        assert!(allowed.iter().any(|own| own == call), "{call} is refused");
    }
}
