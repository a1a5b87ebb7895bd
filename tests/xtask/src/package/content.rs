//! Which files are installed where, whatever the form of the package.

use anyhow::{Context as _, Result};
use landlord_test_kube::Artifacts;
use sha2::{Digest as _, Sha256};

use super::{Programs, documents, tree::Tree};
use crate::report::checkout;

/// Programs, plugins, stacks, platforms, the Gateway API's custom resources, the documented configuration, dashboards and alerts.
pub(crate) fn common(programs: &Programs) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.copy("usr/bin/landlordd", 0o755, &programs.landlordd)?;
    tree.copy("usr/bin/landlord", 0o755, &programs.landlord)?;
    let mut hashes = String::new();
    for plugin in &programs.plugins {
        let name = plugin.file_name().unwrap_or_default().to_string_lossy();
        let bytes = std::fs::read(plugin).with_context(|| format!("can't read {}", plugin.display()))?;
        hashes += &format!("{}  {name}\n", hex::encode(Sha256::digest(&bytes)));
        tree.file(&format!("usr/lib/landlord/{name}"), 0o644, bytes);
    }
    // What `sha256` of a provider pins.
    tree.file("usr/lib/landlord/SHA256SUMS", 0o644, hashes);
    let config = checkout().join("config");
    for folder in ["stacks", "platforms", "observability"] {
        tree.copy_all(&format!("usr/share/landlord/{folder}"), &config.join(folder))?;
    }
    // Those that the tests apply; which release they are of, the file itself says.
    let gateway_crds = Artifacts::ensure(&mut |_| {})?.gateway_crds;
    tree.copy("usr/share/landlord/gateway-api.yaml", 0o644, &gateway_crds)?;
    tree.copy("etc/landlord/landlord.toml", 0o644, &config.join("landlord.toml"))?;
    tree.folder("etc/landlord/conf.d", 0o755, 0);
    tree.copy("usr/share/doc/landlord/copyright", 0o644, &checkout().join("LICENSE"))?;
    Ok(tree)
}

/// Beside them, for a machine that people log in to: units, manual pages, completions, examples.
pub(crate) fn machine(programs: &Programs) -> Result<Tree> {
    let mut tree = common(programs)?;
    let packaging = checkout().join("config/packaging/systemd");
    for unit in ["landlordd.service", "landlordd.socket"] {
        tree.copy(&format!("lib/systemd/system/{unit}"), 0o644, &packaging.join(unit))?;
    }
    tree.copy("usr/lib/sysusers.d/landlord.conf", 0o644, &packaging.join("landlord.sysusers"))?;
    tree.copy_all("usr/share/doc/landlord/examples", &checkout().join("config/examples"))?;
    documents::add(&mut tree, programs)?;
    Ok(tree)
}
