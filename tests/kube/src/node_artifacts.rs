//! What a real node is made of: built from Go modules and taken from Debian packages, once a machine.
//!
//! Knows nothing about running it. Two modules, so that a change of one leaves the other's build: `nodebox` (kubelet,
//! kube-proxy, CoreDNS) shares what the control plane's build has compiled; `runtimebox` is containerd, runc and the
//! network plugins, `policybox` enforces network policies, `acmebox` is an ACME server, which stands for one on the Internet.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{
    artifacts::{cache_folder, go_version},
    build::{flags, go_with},
    debian,
    error::{Error, Result},
};

const NODEBOX: [(&str, &str); 7] = [
    ("go.mod", include_str!("../nodebox/go.mod")),
    ("go.sum", include_str!("../nodebox/go.sum")),
    ("main.go", include_str!("../nodebox/main.go")),
    ("init.go", include_str!("../nodebox/init.go")),
    ("reap.go", include_str!("../nodebox/reap.go")),
    ("relay.go", include_str!("../nodebox/relay.go")),
    ("dns/main.go", include_str!("../nodebox/dns/main.go")),
];
const NODEBOX_COMMANDS: [&str; 2] = [".", "./dns"];
const ACMEBOX: [(&str, &str); 3] = [
    ("go.mod", include_str!("../acmebox/go.mod")),
    ("go.sum", include_str!("../acmebox/go.sum")),
    ("tools.go", include_str!("../acmebox/tools.go")),
];
const ACMEBOX_COMMANDS: [&str; 1] = ["github.com/letsencrypt/pebble/v2/cmd/pebble"];
const POLICYBOX: [(&str, &str); 3] = [
    ("go.mod", include_str!("../policybox/go.mod")),
    ("go.sum", include_str!("../policybox/go.sum")),
    ("main.go", include_str!("../policybox/main.go")),
];
const POLICYBOX_COMMANDS: [&str; 1] = ["."];
const RUNTIMEBOX: [(&str, &str); 3] = [
    ("go.mod", include_str!("../runtimebox/go.mod")),
    ("go.sum", include_str!("../runtimebox/go.sum")),
    ("tools.go", include_str!("../runtimebox/tools.go")),
];
const RUNTIMEBOX_COMMANDS: [&str; 6] = [
    "github.com/containerd/containerd/v2/cmd/containerd",
    "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    "github.com/containerd/containerd/v2/cmd/ctr",
    "github.com/containernetworking/plugins/plugins/ipam/host-local",
    "github.com/containernetworking/plugins/plugins/main/bridge",
    "github.com/containernetworking/plugins/plugins/main/loopback",
];
/// Built apart: it is the only one that needs C, for the profile that Pod Security `restricted` demands.
const RUNC: &str = "github.com/opencontainers/runc";
/// What runc is linked with, and what kube-proxy writes its rules by.
const SECCOMP_PACKAGES: [&str; 2] = ["libseccomp-dev", "libseccomp2"];
const NFT_PACKAGES: [&str; 12] = [
    "nftables",
    "libnftables1",
    "libnftnl11",
    "libmnl0",
    "libjansson4",
    "libxtables12",
    "libedit2",
    "libgmp10",
    "libbsd0",
    "libmd0",
    "libtinfo6",
    "libc6",
];
/// What network policies are enforced by, and what those programs load.
const IPTABLES_PACKAGES: [&str; 11] = [
    "iptables",
    "ipset",
    "libip4tc2",
    "libip6tc2",
    "libipset13",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libxtables12",
    "libc6",
];
/// Names by which the program that speaks the kernel's older interface is called.
const IPTABLES_NAMES: [&str; 3] = ["iptables", "iptables-save", "iptables-restore"];
/// Raised when the build itself changes in a way that the sources do not show.
const BUILD_REVISION: &str = "1";
/// Hexadecimal digits of the key that name its folder.
const KEY_DIGITS: usize = 16;

/// The built programs of a node. Cheap to clone; the files stay as they are for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeArtifacts {
    folder: PathBuf,
}

impl NodeArtifacts {
    /// The programs, built first if they are missing: 7 minutes of processor time beside the control plane's, which
    /// must be built before. Several callers build once: the others wait.
    ///
    /// # Errors
    /// [`Error::GoMissing`], [`Error::Build`], [`Error::Debian`], [`Error::NoCacheFolder`], unusable cache folder.
    pub fn ensure(progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let folder = cache_folder()?.join("node").join(key(&go_version()?));
        let done = folder.join("done");
        if !done.is_file() {
            std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
            let lock_path = folder.join("lock");
            let lock = std::fs::File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
            lock.lock().map_err(Error::file("lock", &lock_path))?;
            if !done.is_file() {
                build(&folder, progress)?;
                // Last: a folder without it is built again.
                std::fs::write(&done, "").map_err(Error::file("write", &done))?;
            }
        }
        Ok(Self { folder })
    }

    /// One of the programs: `nodebox`, `dns`, `pebble`, `policybox`, `containerd`, `containerd-shim-runc-v2`, `ctr`, `runc`, and the network
    /// plugins `bridge`, `host-local` and `loopback`.
    #[cfg(feature = "cluster")]
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// Where all of them are.
    #[cfg(feature = "cluster")]
    pub(crate) fn programs(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Root of the unpacked Debian packages around `nft`.
    #[cfg(feature = "cluster")]
    pub(crate) fn nft_root(&self) -> PathBuf {
        self.folder.join("nft")
    }

    /// Root of the unpacked Debian packages around `iptables` and `ipset`.
    #[cfg(feature = "cluster")]
    pub(crate) fn iptables_root(&self) -> PathBuf {
        self.folder.join("iptables")
    }
}

fn build(folder: &Path, progress: &mut dyn FnMut(&str)) -> Result<()> {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).map_err(Error::file("create", &bin))?;
    let output = format!("{}/", bin.display());
    let static_only = [("CGO_ENABLED", "0".to_owned())];
    let nodebox = sources(folder, "nodebox", &NODEBOX)?;
    compile(&nodebox, &output, &NODEBOX_COMMANDS, &flags(), &static_only, progress)?;
    let runtimebox = sources(folder, "runtimebox", &RUNTIMEBOX)?;
    let plain: Vec<String> =
        ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w"].map(str::to_owned).into();
    compile(&runtimebox, &output, &RUNTIMEBOX_COMMANDS, &plain, &static_only, progress)?;

    let acmebox = sources(folder, "acmebox", &ACMEBOX)?;
    compile(&acmebox, &output, &ACMEBOX_COMMANDS, &plain, &static_only, progress)?;

    let policybox = sources(folder, "policybox", &POLICYBOX)?;
    compile(&policybox, &output, &POLICYBOX_COMMANDS, &plain, &static_only, progress)?;

    let seccomp = folder.join("seccomp");
    debian::unpack(&SECCOMP_PACKAGES, &seccomp)?;
    let usr = seccomp.join("usr");
    let libraries = usr.join("lib").join(debian::TRIPLET);
    let with_seccomp = [
        ("CGO_ENABLED", "1".to_owned()),
        ("PKG_CONFIG_PATH", libraries.join("pkgconfig").display().to_string()),
        ("CGO_CFLAGS", format!("-I{}", usr.join("include").display())),
        ("CGO_LDFLAGS", format!("-L{}", libraries.display())),
    ];
    let mut static_c = plain;
    static_c.pop();
    static_c.extend(["-tags=seccomp netgo osusergo", "-ldflags=-s -w -extldflags=-static"].map(str::to_owned));
    compile(&runtimebox, &output, &[RUNC], &static_c, &with_seccomp, progress)?;
    debian::unpack(&NFT_PACKAGES, &folder.join("nft"))?;
    iptables(&folder.join("iptables"))
}

/// The older of two programs under the names that callers know: the newer one needs a kernel with more parts.
fn iptables(root: &Path) -> Result<()> {
    debian::unpack(&IPTABLES_PACKAGES, root)?;
    for name in IPTABLES_NAMES {
        let link = root.join("usr/sbin").join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink("xtables-legacy-multi", &link).map_err(Error::file("link", link))?;
    }
    Ok(())
}

fn sources(folder: &Path, name: &str, files: &[(&str, &str)]) -> Result<PathBuf> {
    let module = folder.join(name);
    for (name, text) in files {
        let path = module.join(name);
        let parent = path.parent().unwrap_or(&module);
        std::fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
        std::fs::write(&path, text).map_err(Error::file("write", path))?;
    }
    Ok(module)
}

fn compile(
    module: &Path,
    output: &str,
    commands: &[&str],
    flags: &[String],
    environment: &[(&str, String)],
    progress: &mut dyn FnMut(&str),
) -> Result<()> {
    let mut arguments: Vec<&str> = flags.iter().map(String::as_str).collect();
    arguments.extend(["-v", "-o", output]);
    arguments.extend(commands);
    let mut compiled = 0;
    go_with(module, "build", &arguments, environment, &mut |line| {
        compiled += usize::from(line.is_some());
        progress(&format!("{compiled} Go packages of the node compiled"));
    })?;
    Ok(())
}

fn key(go_version: &str) -> String {
    let mut digest = Sha256::new();
    let inputs =
        NODEBOX.iter().chain(&ACMEBOX).chain(&POLICYBOX).chain(&RUNTIMEBOX).flat_map(|(name, text)| [*name, *text]);
    for input in inputs.chain([go_version, BUILD_REVISION]) {
        digest.update(input.len().to_le_bytes());
        digest.update(input.as_bytes());
    }
    hex::encode(digest.finalize())[..KEY_DIGITS].to_owned()
}

/// Whether this machine can run a node.
///
/// # Errors
/// [`Error::NodeUnsupported`] with what is missing: root, a program, the right to make namespaces or control groups.
pub fn node_supported() -> Result<()> {
    let missing = |what: &str| Error::NodeUnsupported { missing: what.to_owned() };
    let own = std::fs::metadata("/proc/self").map_err(Error::file("read", "/proc/self"))?;
    if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
        return Err(missing("root: namespaces, mounts and control groups need it"));
    }
    for (program, package) in [("unshare", "util-linux"), ("ip", "iproute2"), ("mount", "mount")] {
        if Command::new(program).arg("--help").output().is_err() {
            return Err(missing(&format!("the program {program} (Debian: {package})")));
        }
    }
    // Root of a container often may not.
    let tried = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child=KILL"])
        .args(["sh", "-c", "mount -t tmpfs node /run && ip link add node0 type bridge"])
        .output()
        .map_err(|source| Error::Spawn { part: "unshare", source })?;
    if !tried.status.success() {
        let said = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
        return Err(missing(&format!("the right to make namespaces, mounts and bridges: {said}")));
    }
    let group = control_groups().join(format!("landlord-trial-{}", std::process::id()));
    let made = std::fs::create_dir(&group).and_then(|()| std::fs::remove_dir(&group));
    made.map_err(|error| missing(&format!("the right to make control groups: {}: {error}", group.display())))
}

/// One hierarchy of this machine's control groups.
fn control_groups() -> PathBuf {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").is_file() { root.to_owned() } else { root.join("memory") }
}
