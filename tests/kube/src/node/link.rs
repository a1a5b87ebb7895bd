//! The cable between the first node of a control plane and another one: addresses of each one's pods lead to it.

use std::{
    path::Path,
    process::{Command, Output},
};

use super::config::{Files, address, pods};
use crate::{
    connect,
    error::{Error, Result},
};

/// In a node's folder: the machine's id of its first process.
pub(super) const INIT: &str = "init.pid";

/// The only child of a process.
pub(super) fn child_of(process: u32) -> Result<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let none = || Error::file("find a process in", &path)(std::io::ErrorKind::NotFound.into());
    text.split_whitespace().next().and_then(|child| child.parse().ok()).ok_or_else(none)
}

/// Lays it between the first node of the control plane in `data_dir` and another one, whose first process is `init`. What was
/// there before went with the network of who had it.
pub(super) fn lay(data_dir: &Path, other: &Files, init: u32) -> Result<()> {
    let path = connect::node_folder(data_dir, 0).join(INIT);
    let first = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let (first, init) = (first.trim().to_owned(), init.to_string());
    let (here, there) = (address(0), address(other.number));
    let to_other = format!("node{}", other.number);
    ip(&first, &format!("link add {to_other} type veth peer name node0 netns {init}"))?;
    for (inside, device, to, pods) in
        [(&first, to_other.as_str(), there, pods(data_dir, other.number)), (&init, "node0", here, pods(data_dir, 0))]
    {
        ip(inside, &format!("link set {device} up"))?;
        ip(inside, &format!("route add {to}/32 dev {device}"))?;
        ip(inside, &format!("route add {pods} via {to} dev {device} onlink"))?;
    }
    Ok(())
}

/// `ip` in the network of a process.
fn ip(process: &str, arguments: &str) -> Result<()> {
    let mut command = Command::new("nsenter");
    command.args(["--target", process, "--net", "ip"]).args(arguments.split(' '));
    let output: Output = command.output().map_err(|source| Error::Spawn { part: "nsenter", source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Network { command: format!("ip {arguments}"), output: said })
}
