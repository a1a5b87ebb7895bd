//! What a plugin's process may reach: decided by the daemon's configuration, enforced by the kernel before a byte of the
//! plugin is loaded. It holds for every thread that the plugin starts and can't be undone.
//!
//! - Files by Landlock (<https://docs.kernel.org/userspace-api/landlock.html>): what TLS, name resolution, time zones and
//!   the dynamic loader read, and what the configuration adds. Nothing can be written but what it names.
//! - System calls by seccomp (<https://docs.kernel.org/userspace-api/seccomp_filter.html>): no other program, no observation into
//!   other processes, no mounts, no entering of namespaces (`unshare`, `setns`; the flags of `clone` are not inspected),
//!   no kernel interfaces that a client of a cloud never needs. They return EPERM.
//! - TCP connections to the ports of the configuration only, and no listening TCP socket (Linux 6.7 or newer); no signal to
//!   other processes (6.12). An older kernel leaves these open. Landlock knows ports and no addresses: which hosts may be
//!   reached is for the firewall of the machine or the network policy of the pod.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use serde::{Deserialize, Serialize};
use url::Url;

/// The newest Landlock that this code knows the rights of; an older kernel enforces those that it has.
const NEWEST: ABI = ABI::V6;

/// Folders and files that a client of a cloud reads. Those that a machine does not have are left out.
const READABLE: [&str; 22] = [
    // Certificate authorities, as distributions lay them.
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    // Name resolution.
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    // Time zones.
    "/etc/localtime",
    "/usr/share/zoneinfo",
    // The dynamic loader, for the libraries that a plugin links to.
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/dev/urandom",
    "/dev/random",
];

/// TCP ports that clients of clouds connect to: DNS where a response is too long for UDP, the metadata services of machines
/// and pods, and HTTPS.
const CONNECT_PORTS: [u16; 3] = [53, 80, 443];

/// What a plugin's process may do beyond computing and talking to the network. The form is the configuration's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandbox {
    /// Whether there is one. Without it the process may do whatever the daemon's user may.
    pub enabled: bool,
    /// Go on where the kernel enforces no Landlock or refuses the filter of system calls.
    pub best_effort: bool,
    /// Further files and folders that may be read, such as a token that the platform rotates.
    pub read_paths: Vec<PathBuf>,
    /// Files and folders that may be written.
    pub write_paths: Vec<PathBuf>,
    /// TCP ports that may be connected to, on any host; none if empty. Default: 53, 80 and 443. UDP is open.
    pub connect_ports: Vec<u16>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            enabled: true,
            best_effort: false,
            read_paths: Vec::new(),
            write_paths: Vec::new(),
            connect_ports: CONNECT_PORTS.to_vec(),
        }
    }
}

impl Sandbox {
    /// Lets the process connect to the port of `url`. An empty one, or one that can't be read, grants nothing: the plugin
    /// says then what it thinks of it.
    pub(crate) fn grant_endpoint(&mut self, url: &str) {
        if let Some(port) = Url::parse(url).ok().and_then(|url| url.port_or_known_default()) {
            self.connect_ports.push(port);
        }
    }
}

/// Encloses this thread and all that come from it. Called with no other thread running.
///
/// # Errors
/// What could not be enforced, in words for the operator. Nothing may be loaded then.
pub(crate) fn enter(sandbox: &Sandbox) -> Result<(), String> {
    if !sandbox.enabled {
        return Ok(());
    }
    let weaker = "set providers.NAME.sandbox.best_effort = true to go on with less, or sandbox.enabled = false";
    let status = landlock(sandbox).map_err(|error| format!("the sandbox can't be set up: {error}"))?;
    if status == RulesetStatus::NotEnforced && !sandbox.best_effort {
        return Err(format!("this kernel enforces no Landlock (Linux 5.13 or newer with it switched on); {weaker}"));
    }
    let enclosed = calls().and_then(|filter| seccompiler::apply_filter(&filter).map_err(|error| error.to_string()));
    match enclosed {
        Err(error) if !sandbox.best_effort => Err(format!("seccomp refused the filter: {error}; {weaker}")),
        _ => Ok(()),
    }
}

fn landlock(sandbox: &Sandbox) -> Result<RulesetStatus, String> {
    let text = |error: landlock::RulesetError| error.to_string();
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.create())
        .map_err(text)?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut ruleset = ruleset;
    for path in READABLE {
        ruleset = allow(ruleset, Path::new(path), read, true)?;
    }
    // A pool of output that nobody wants; every runtime opens it.
    ruleset = allow(ruleset, Path::new("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile, true)?;
    for path in &sandbox.read_paths {
        ruleset = allow(ruleset, path, read, false)?;
    }
    for path in &sandbox.write_paths {
        ruleset = allow(ruleset, path, AccessFs::from_all(NEWEST) & !AccessFs::Execute, false)?;
    }
    for port in &sandbox.connect_ports {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp)).map_err(text)?;
    }
    ruleset.restrict_self().map(|status| status.ruleset).map_err(text)
}

/// Allows `access` at and below `path`. One that the configuration names must be there: a missing one is a typing error.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    may_be_absent: bool,
) -> Result<RulesetCreated, String> {
    let opened = match PathFd::new(path) {
        Ok(opened) => opened,
        Err(_) if may_be_absent => return Ok(ruleset),
        Err(error) => {
            let remedy = "make it exist, or take it out of providers.NAME.sandbox";
            return Err(format!("{}: {error}; {remedy}", path.display()));
        }
    };
    // Rights of folders mean nothing on a file, and strict kernels refuse them there.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    ruleset.add_rule(PathBeneath::new(opened, access)).map_err(|error| format!("{}: {error}", path.display()))
}

/// Refuses the calls of [`REFUSED`] and lets all others pass.
fn calls() -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(|error| error.to_string())?;
    filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())
}

/// Calls that a client of a cloud never makes and an attacker likes.
const REFUSED: &[i64] = &[
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    // The kernel: its keys, programs, modules, images, tracing, and interfaces with a history of holes.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_personality,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];
