//! Kubernetes versions on offer, and which of them an order means.
//!
//! <https://cloud.google.com/kubernetes-engine/versioning#specifying_cluster_version>: `latest`, `1.X`, `1.X.Y` and whole
//! versions; `-` or nothing is the default. A control plane goes up one minor version at a time
//! (<https://cloud.google.com/kubernetes-engine/docs/how-to/upgrading-a-cluster>).

use crate::error::invalid;
use cloudsim_core::call::Result;
use serde_json::{Value, json};

/// Versions, newest first; patch and build numbers are plausible, not current.
pub(crate) const VERSIONS: [&str; 7] = [
    "1.37.2-gke.1104000",
    "1.36.4-gke.1310000",
    "1.36.3-gke.1205000",
    "1.35.7-gke.1189000",
    "1.34.9-gke.1066000",
    "1.33.12-gke.1021000",
    "1.32.14-gke.1052000",
];
/// The default of the regular channel.
pub(crate) const DEFAULT: &str = "1.36.3-gke.1205000";

/// The version that an order means.
///
/// # Errors
/// badRequest if there is none.
pub(crate) fn resolve(wanted: &str) -> Result<&'static str> {
    if matches!(wanted, "" | "-") {
        return Ok(DEFAULT);
    }
    if wanted == "latest" {
        return Ok(VERSIONS[0]);
    }
    let fits =
        |v: &&&str| **v == wanted || v.starts_with(&format!("{wanted}.")) || v.starts_with(&format!("{wanted}-"));
    let found = VERSIONS.iter().find(fits);
    found.copied().ok_or_else(|| invalid(format!("Master version \"{wanted}\" is unsupported.")))
}

/// The minor version: 36 of `1.36.3-gke.1`.
#[must_use]
pub(crate) fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|m| m.parse().ok()).unwrap_or(0)
}

/// Refuses an upgrade of the control plane that cannot be done.
///
/// # Errors
/// badRequest.
pub(crate) fn check_upgrade(present: &str, wanted: &str) -> Result<()> {
    if minor(wanted) < minor(present) {
        return Err(invalid(format!("Master cannot be downgraded from \"{present}\" to \"{wanted}\".")));
    }
    if minor(wanted) > minor(present) + 1 {
        return Err(invalid(format!(
            "Master cannot be upgraded to \"{wanted}\": cannot upgrade the master more than a minor version at a time."
        )));
    }
    Ok(())
}

/// GetServerConfig.
#[must_use]
pub(crate) fn server_config() -> Value {
    let channel =
        |name: &str, default: &str| json!({ "channel": name, "defaultVersion": default, "validVersions": VERSIONS });
    json!({
        "defaultClusterVersion": DEFAULT,
        "validMasterVersions": VERSIONS,
        "validNodeVersions": VERSIONS,
        "defaultImageType": "COS_CONTAINERD",
        "validImageTypes": ["COS_CONTAINERD", "UBUNTU_CONTAINERD"],
        "channels": [channel("RAPID", VERSIONS[0]), channel("REGULAR", DEFAULT), channel("STABLE", VERSIONS[3])],
    })
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT, VERSIONS, check_upgrade, resolve};

    #[test]
    fn orders_mean_versions() {
        for (wanted, version) in [
            ("", DEFAULT),
            ("-", DEFAULT),
            ("latest", VERSIONS[0]),
            ("1.36", VERSIONS[1]),
            ("1.36.3", VERSIONS[2]),
            (VERSIONS[4], VERSIONS[4]),
        ] {
            assert_eq!(resolve(wanted).expect(wanted), version);
        }
        assert!(resolve("1.3").is_err() && resolve("9.9").is_err());
        assert!(check_upgrade(VERSIONS[3], VERSIONS[1]).is_ok());
        assert!(check_upgrade(VERSIONS[3], VERSIONS[0]).is_err() && check_upgrade(VERSIONS[0], VERSIONS[1]).is_err());
    }
}
