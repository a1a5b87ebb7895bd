//! Who may read a file that holds a secret: one rule for passwords, keys and credentials. Knows metadata, not what is in the file.

use std::{fs::Metadata, os::unix::fs::MetadataExt as _};

const OTHERS: u32 = 0o007;
const GROUP: u32 = 0o070;
const ROOT: u32 = 0;

/// Who beside its owner and the daemon's own groups can get at the file, and what its operator must do; `None`: nobody. Kubernetes
/// mounts secrets for the pod's group (`fsGroup`), which is one of the daemon's own.
#[must_use]
pub fn exposure(metadata: &Metadata) -> Option<String> {
    let supplementary = rustix::process::getgroups().unwrap_or_default();
    let own: Vec<u32> =
        supplementary.into_iter().chain([rustix::process::getegid()]).map(rustix::process::Gid::as_raw).collect();
    fault(metadata.mode(), metadata.gid(), &own)
}

fn fault(mode: u32, group: u32, own_groups: &[u32]) -> Option<String> {
    if mode & OTHERS != 0 {
        return Some("every user of this machine can get at it; run `chmod 600` on it".to_owned());
    }
    let foreign = mode & GROUP != 0 && group != ROOT && !own_groups.contains(&group);
    foreign.then(|| {
        format!("the group {group} can get at it, which is none of the daemon's {own_groups:?}; run `chmod 600` on it")
    })
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn the_daemons_own_groups_may_read_and_nobody_else() {
        let own = [65_532, 7];
        for (mode, group) in [(0o600, 1), (0o400, 1), (0o440, 65_532), (0o640, 7), (0o440, 0)] {
            assert_eq!(fault(mode, group, &own), None, "{mode:o} {group}");
        }
        for (mode, group) in [(0o440, 1), (0o460, 8), (0o444, 65_532), (0o604, 0), (0o601, 7)] {
            assert!(fault(mode, group, &own).is_some_and(|why| why.contains("chmod 600")), "{mode:o} {group}");
        }
    }
}
