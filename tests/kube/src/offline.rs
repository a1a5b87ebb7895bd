//! A machine without network, for tests: namespaces with nothing but a loopback interface of their own, in which the kernel counts
//! whoever tries to leave.
//!
//! Knows nothing of the programs that run there.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::error::{Error, Result};

/// Whom names are asked of there: an address of nobody (RFC 5737). So a name that is looked up is an attempt to leave as well,
/// also where the machine's own resolver listens on its loopback interface.
const RESOLVER: &str = "nameserver 192.0.2.53\noptions timeout:1 attempts:1\n";
/// Makes the network, says so, and holds it until its input ends: with this process, however that ends.
const HOLD: &str = "set -e
ip link set lo up
if [ -e /etc/resolv.conf ]; then mount --bind \"$0\" /etc/resolv.conf; fi
echo ready
exec cat";
/// Enters where it was, since who enters a mount namespace begins at its root.
const ENTER: &str = "cd \"$0\" && exec \"$@\"";
/// Kernel's name of what is counted: packets that no route leads anywhere, each a connection or a datagram that was tried
/// (`IPSTATS_MIB_OUTNOROUTES`, <https://docs.kernel.org/networking/snmp_counter.html>).
const COUNTER: &str = "OutNoRoutes";

/// Namespaces without a way out. Dropping it ends what holds them; programs that run in them go on.
#[derive(Debug)]
pub struct Offline {
    holder: Child,
}

impl Offline {
    /// New ones, of which nobody knows.
    ///
    /// # Errors
    /// [`Error::OfflineUnsupported`]: it takes root on Linux, `unshare`, `nsenter`, `mount` and `ip`.
    pub fn begin() -> Result<Self> {
        let unsupported = |reported: String| Error::OfflineUnsupported { reported };
        let resolver = resolver()?;
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", HOLD]).arg(&resolver);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = command.spawn().map_err(|error| unsupported(format!("unshare (Debian: util-linux): {error}")));
        let held = begun.map(|holder| Self { holder }).and_then(|mut offline| {
            let mut line = String::new();
            if let Some(stdout) = offline.holder.stdout.take() {
                let _ = BufReader::new(stdout).read_line(&mut line);
            }
            if line.trim() == "ready" {
                return Ok(offline);
            }
            let mut reported = String::new();
            if let Some(mut stderr) = offline.holder.stderr.take() {
                let _ = stderr.read_to_string(&mut reported);
            }
            Err(unsupported(reported.trim().to_owned()))
        });
        // It is mounted by now, or never will be.
        let _ = fs::remove_file(resolver);
        held
    }

    /// What has a program run there, in `folder`: these words stand before the program and its arguments.
    #[must_use]
    pub fn words(&self, folder: &Path) -> Vec<String> {
        let pid = self.holder.id().to_string();
        let mut words: Vec<String> =
            ["nsenter", "--target", &pid, "--net", "--mount", "--", "sh", "-c", ENTER].map(str::to_owned).into();
        words.push(folder.display().to_string());
        words
    }

    /// How often something tried to leave until now, by IPv4 and IPv6.
    ///
    /// # Errors
    /// A kernel that does not count.
    pub fn attempts(&self) -> Result<u64> {
        let path = |name: &str| PathBuf::from(format!("/proc/{}/net/{name}", self.holder.id()));
        let snmp = path("snmp");
        let text = fs::read_to_string(&snmp).map_err(Error::file("read", &snmp))?;
        let v4 = of_version_4(&text).ok_or(Error::Damaged { what: "the kernel's count", path: snmp })?;
        // Where there is no IPv6, nobody leaves by it.
        Ok(v4 + of_version_6(&fs::read_to_string(path("snmp6")).unwrap_or_default()))
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A file of this moment that names [`RESOLVER`].
fn resolver() -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("landlord-resolver-{}-{number}", std::process::id()));
    fs::write(&path, RESOLVER).map_err(Error::file("write", &path))?;
    Ok(path)
}

/// Two lines begin with `Ip:`, the names and the values.
fn of_version_4(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(name, _)| *name == COUNTER)?.1.parse().ok()
}

/// A line for each value.
fn of_version_6(snmp6: &str) -> u64 {
    let value = |line: &str| line.strip_prefix("Ip6")?.strip_prefix(COUNTER)?.trim().parse().ok();
    snmp6.lines().find_map(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries to leave in every way, and says how often it was refused; its own loopback interface works.
    const DIALS: &str = "
import socket
def refused(dial):
    try: dial()
    except OSError: return 1
    return 0
def name(): socket.getaddrinfo('name.example.com', 80)
def tcp4(): socket.create_connection(('192.0.2.1', 80), 5)
def udp4(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))
def tcp6(): socket.create_connection(('2001:db8::1', 80), 5)
listener = socket.create_server(('127.0.0.1', 0))
socket.create_connection(listener.getsockname(), 5)
print(sum(map(refused, [name, tcp4, udp4, tcp6])))
";

    #[test]
    #[expect(clippy::print_stdout, reason = "a skip is shown")]
    fn who_tries_to_leave_is_refused_and_counted() {
        let offline = match Offline::begin() {
            Ok(offline) => offline,
            Err(error) => return println!("SKIPPED: a machine without network: {error}"),
        };
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let words = offline.words(&folder);
        let run = |program: &[&str]| {
            let output = Command::new(&words[0]).args(&words[1..]).args(program).output().unwrap();
            assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        assert_eq!(run(&["pwd"]), folder.display().to_string());
        assert_eq!(run(&["ip", "-brief", "link"]).lines().count(), 1, "only the loopback interface is there");
        assert_eq!(offline.attempts().unwrap(), 0);
        assert_eq!(run(&["python3", "-c", DIALS]), "4");
        let attempts = offline.attempts().unwrap();
        // A kernel without IPv6 refuses before it looks for a way.
        let ways = if Path::new("/proc/net/snmp6").exists() { 4 } else { 3 };
        assert!(attempts >= ways, "{attempts} attempts were counted");
    }

    #[test]
    fn both_forms_of_the_kernels_counts_are_read() {
        let snmp = "Ip: Forwarding OutNoRoutes ReasmTimeout\nIp: 2 7 0\nIcmp: InMsgs\nIcmp: 0\n";
        assert_eq!(of_version_4(snmp), Some(7));
        assert_eq!(of_version_4("Ip: Forwarding\nIp: 2\n"), None);
        assert_eq!(of_version_6("Ip6InNoRoutes                   \t3\nIp6OutNoRoutes                  \t5\n"), 5);
        assert_eq!(of_version_6(""), 0);
    }
}
