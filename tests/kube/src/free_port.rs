//! Ports for programs that get their address as an argument, and listen there a moment later.
//!
//! The kernel's own choice (port 0) is free at that moment and from the range of which every connection that is opened takes its own
//! end: whoever calls somewhere may have it before the program does. These are from outside of that range, where a port is taken only
//! by who asks for that very one, and no two processes of tests are given the same.

use std::{
    fs,
    io::{Error, ErrorKind, Result},
    net::{Ipv4Addr, TcpListener},
    os::{linux::net::SocketAddrExt as _, unix::net},
    sync::{Mutex, PoisonError},
};

/// Those below what Kubernetes gives to Services of nodes (30000 to 32767), and above where programs like to listen.
const BELOW: std::ops::Range<u16> = 14_000..30_000;
/// Where the kernel is configured to take its own from all of them: those above its usual range.
const ABOVE: std::ops::Range<u16> = 61_000..65_500;
/// From which the kernel takes the ends of connections. <https://docs.kernel.org/networking/ip-sysctl.html>
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// A port of the loopback interface that nobody has. It is this process's until that ends: no other one is given it, also while
/// nobody listens there.
///
/// # Errors
/// None is left, or this is no Linux.
pub fn free_port() -> Result<u16> {
    static HELD: Mutex<Vec<net::UnixListener>> = Mutex::new(Vec::new());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let all = candidates(&fs::read_to_string(EPHEMERAL)?);
    // Processes that begin at the same moment begin at different ones.
    let first = (std::process::id() as usize).wrapping_mul(389) % all.len().max(1);
    for port in all.iter().cycle().skip(first + held.len()).take(all.len()).copied() {
        let Some(claim) = claimed(port)? else { continue };
        // Somebody else may listen there who knows nothing of claims.
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            held.push(claim);
            return Ok(port);
        }
    }
    Err(Error::new(ErrorKind::AddrInUse, "no port outside of the kernel's own range is free"))
}

/// Ports that no connection is given by itself.
fn candidates(ephemeral: &str) -> Vec<u16> {
    let mut bounds = ephemeral.split_whitespace().filter_map(|bound| bound.parse::<u16>().ok());
    let (low, high) = (bounds.next().unwrap_or(u16::MAX), bounds.next().unwrap_or(u16::MAX));
    BELOW.chain(ABOVE).filter(|port| !(low..=high).contains(port)).collect()
}

/// A name that only one process has, and only while it lives: the kernel forgets it then, whatever ended it, and no file is left. It
/// is known in one network namespace, as ports are. <https://man7.org/linux/man-pages/man7/unix.7.html> (abstract sockets)
fn claimed(port: u16) -> Result<Option<net::UnixListener>> {
    let name = net::SocketAddr::from_abstract_name(format!("landlord-test-port-{port}"))?;
    match net::UnixListener::bind_addr(&name) {
        Ok(claim) => Ok(Some(claim)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, process::Command};

    use super::*;

    const PRINT: &str = "LANDLORD_TEST_PRINT_PORT";

    #[test]
    fn ports_are_taken_outside_of_the_kernels_range() {
        let usual = candidates("32768\t60999\n");
        assert_eq!((usual.first(), usual.last()), (Some(&14_000), Some(&65_499)));
        assert_eq!(candidates("1024 65535"), [0_u16; 0]);
        assert_eq!(candidates("10000 60999").first(), Some(&61_000));
        assert_eq!(candidates("nonsense").len(), BELOW.chain(ABOVE).count());
    }

    #[test]
    fn whoever_listens_somewhere_is_left_alone() {
        let port = free_port().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        // As a process that knows nothing of claims.
        let all = candidates(&fs::read_to_string(EPHEMERAL).unwrap());
        let others: BTreeSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert!(others.len() == 50 && !others.contains(&port) && all.contains(&port));
        drop(listener);
        assert!(claimed(port).unwrap().is_none(), "it is this process's, though nobody listens");
    }

    /// The same test program, many times at once, as suites that run side by side.
    #[test]
    #[expect(clippy::print_stdout, reason = "its parent reads it")]
    fn no_two_processes_are_given_the_same() {
        if std::env::var_os(PRINT).is_some() {
            for _ in 0..20 {
                println!("port {}", free_port().unwrap());
            }
            // Held until all have theirs.
            let _ = std::io::stdin().read_line(&mut String::new());
            return;
        }
        let start = || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "free_port::tests::no_two_processes_are_given_the_same", "--nocapture"])
                .env(PRINT, "1")
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut children: Vec<_> = (0..8).map(|_| start()).collect();
        let mut ports = Vec::new();
        for child in &mut children {
            use std::io::BufRead as _;
            let lines = std::io::BufReader::new(child.stdout.as_mut().unwrap()).lines().map_while(|line| line.ok());
            let printed = lines.filter_map(|line| line.split_once("port ")?.1.trim().parse::<u16>().ok());
            ports.extend(printed.take(20));
        }
        for mut child in children {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        let different: BTreeSet<u16> = ports.iter().copied().collect();
        assert_eq!((ports.len(), different.len()), (160, 160));
    }
}
