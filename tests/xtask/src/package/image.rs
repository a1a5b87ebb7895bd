//! The OCI image: an image layout (<https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>) in a tar archive,
//! as every engine and registry client loads it. No shell and no package manager are in it: the programs, the libraries that they are
//! linked with, certificates of CAs, Helm.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use landlord_test_kube::Artifacts;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Programs, architecture, content, layer, sbom, tree::Tree};

/// User and group of the daemon in a container; no user of a machine has it, and Kubernetes's `runAsNonRoot` accepts it.
const USER: u64 = 65_532;
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const FAST_LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Makes the archive and the list of what is in it; gives their files.
pub(crate) fn make(
    programs: &Programs,
    helm: Option<&Path>,
    out: &Path,
    (time, is_fast): (u64, bool),
) -> Result<Vec<PathBuf>> {
    let helm = match helm {
        Some(helm) => helm.to_owned(),
        None => Artifacts::ensure(&mut |_| {})?.helm,
    };
    let mut app = content::common(programs)?;
    app.copy("usr/bin/helm", 0o755, &helm)?;
    let base = base(programs)?;
    let listed = serde_json::to_vec_pretty(&sbom::of(&[&base, &app], time)?)?;
    app.file("usr/share/doc/landlord/sbom.spdx.json", 0o644, listed.clone());
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("landlord_{version}_{}", architecture()?);
    let archive = out.join(format!("{name}.oci.tar"));
    fs::write(&archive, layer::archive(&layout(&[base, app], version, (time, is_fast))?, time)?)?;
    let beside = out.join(format!("{name}.spdx.json"));
    fs::write(&beside, listed)?;
    Ok(vec![archive, beside])
}

/// What programs find on any machine: the C library, certificates, users, places to write.
fn base(programs: &Programs) -> Result<Tree> {
    let mut tree = Tree::default();
    // As Debian lays them out, so that the loader finds libraries by the paths that are built into it.
    for (link, target) in [("lib", "usr/lib"), ("lib64", "usr/lib64"), ("bin", "usr/bin")] {
        tree.link(link, target);
    }
    let mut needed = BTreeSet::new();
    for program in [&programs.landlordd, &programs.landlord].into_iter().chain(&programs.plugins) {
        needed.extend(libraries(program)?);
    }
    for library in needed {
        let shown = library.to_string_lossy().into_owned();
        let at = shown.strip_prefix("/usr/").unwrap_or(shown.trim_start_matches('/'));
        tree.copy(&format!("usr/{at}"), 0o755, &library)?;
    }
    tree.copy(CERTIFICATES.trim_start_matches('/'), 0o644, Path::new(CERTIFICATES))?;
    tree.file(
        "etc/passwd",
        0o644,
        format!("root:x:0:0:root:/:/sbin/nologin\nlandlord:x:{USER}:{USER}:landlord:/var/lib/landlord:/sbin/nologin\n"),
    );
    tree.file("etc/group", 0o644, format!("root:x:0:\nlandlord:x:{USER}:\n"));
    tree.file("etc/nsswitch.conf", 0o644, "hosts: files dns\n");
    for folder in ["run/landlord", "var/lib/landlord"] {
        tree.folder(folder, 0o700, USER);
    }
    tree.folder("tmp", 0o1777, 0);
    Ok(tree)
}

/// What the loader would load, and the loader.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("can't run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if let Some(missing) = text.lines().find(|line| line.contains("not found")) {
        bail!("{}: {}", program.display(), missing.trim());
    }
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(text.lines().filter_map(path).collect())
}

/// The layout: blobs by their digests, and what leads to them.
fn layout(layers: &[Tree], version: &str, (time, is_fast): (u64, bool)) -> Result<Tree> {
    let mut tree = Tree::default();
    let (mut descriptors, mut uncompressed) = (Vec::new(), Vec::new());
    for layer in layers {
        let archive = layer::archive(layer, time)?;
        uncompressed.push(digest(&archive));
        descriptors.push(match is_fast {
            true => blob(&mut tree, FAST_LAYER_TYPE, archive),
            false => blob(&mut tree, LAYER_TYPE, layer::gzip(archive)?),
        });
    }
    let config = blob(&mut tree, CONFIG_TYPE, serde_json::to_vec(&configuration(&uncompressed, version, time)?)?);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": descriptors,
    });
    let mut manifest = blob(&mut tree, MANIFEST_TYPE, serde_json::to_vec(&manifest)?);
    manifest["annotations"] = json!({
        "org.opencontainers.image.ref.name": version,
        // By which containerd names it (`ctr image import`).
        "io.containerd.image.name": format!("landlord.dev/landlord:{version}"),
    });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    tree.file("index.json", 0o644, serde_json::to_vec(&index)?);
    tree.file("oci-layout", 0o644, r#"{"imageLayoutVersion":"1.0.0"}"#);
    Ok(tree)
}

fn configuration(layers: &[String], version: &str, time: u64) -> Result<Value> {
    let created = sbom::date(time)?;
    Ok(json!({
        "created": created, "architecture": architecture()?, "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": ["/usr/bin/landlordd"],
            "WorkingDir": "/var/lib/landlord",
            "Env": ["PATH=/usr/bin", "HOME=/var/lib/landlord", format!("SSL_CERT_FILE={CERTIFICATES}")],
            "ExposedPorts": { "7443/tcp": {} },
            "Volumes": { "/var/lib/landlord": {} },
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "landlord",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.source": "https://landlord.dev/landlord",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": layers },
        "history": layers.iter().map(|_| json!({ "created": created, "created_by": "cargo xtask package oci" }))
            .collect::<Vec<_>>(),
    }))
}

fn blob(tree: &mut Tree, kind: &str, bytes: Vec<u8>) -> Value {
    let digest = digest(&bytes);
    let descriptor = json!({ "mediaType": kind, "digest": digest, "size": bytes.len() });
    tree.file(&format!("blobs/{}", digest.replace(':', "/")), 0o644, bytes);
    descriptor
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
