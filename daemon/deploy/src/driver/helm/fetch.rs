//! Charts that lie elsewhere: brought into a run's own folder, and held against the digest that is pinned, before anything reads them.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::process::{DEADLINE, Helm, PULL};
use crate::{
    chart::ChartRef,
    error::{Error, Result},
};

/// Charts have some 100 KiB, with the definitions of a controller's kinds some MiB.
const ARCHIVE_BYTES_MAX: u64 = 32 * 1024 * 1024;

impl Helm {
    /// Where a run reads a chart from: where it lies, or the archive in the run's folder that was fetched. One whose digest is pinned has
    /// it.
    pub(super) async fn fetched(
        &self,
        folder: &tempfile::TempDir,
        environment: &str,
        chart: &ChartRef,
    ) -> Result<String> {
        let archive = match (&chart.version, &chart.pinned) {
            (Some(version), _) => self.pulled(folder, environment, (&chart.location, version)).await?,
            (None, Some(_)) => copied(folder.path(), chart)?,
            (None, None) => return Ok(chart.location.clone()),
        };
        if let Some(pinned) = &chart.pinned {
            let length = std::fs::metadata(&archive).map_err(Error::file("read", &archive))?.len();
            if length > ARCHIVE_BYTES_MAX {
                let problem = format!("it has {length} bytes, more than {ARCHIVE_BYTES_MAX}: it is not used");
                return Err(Error::ChartDigest { chart: chart.location.clone(), problem });
            }
            let bytes = std::fs::read(&archive).map_err(Error::file("read", &archive))?;
            let found = hex::encode(Sha256::digest(&bytes));
            if found != *pinned {
                let problem =
                    format!("it has the digest sha256:{found}, and sha256:{pinned} is pinned: it is not used");
                return Err(Error::ChartDigest { chart: chart.location.clone(), problem });
            }
        }
        Ok(archive.display().to_string())
    }

    /// The archive of a reference, from its registry.
    async fn pulled(
        &self,
        folder: &tempfile::TempDir,
        environment: &str,
        (location, version): (&str, &str),
    ) -> Result<PathBuf> {
        let into = folder.path().join("chart");
        std::fs::create_dir(&into).map_err(Error::file("make", &into))?;
        let destination = into.display().to_string();
        let arguments = [PULL, location, "--version", version, "--destination", destination.as_str()];
        let what = format!("{PULL} {location}");
        self.run(folder, environment, &what, &arguments, DEADLINE).await?;
        let entries = std::fs::read_dir(&into).map_err(Error::file("read", &into))?;
        let archive = entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| is_archive(path));
        archive.ok_or_else(|| Error::helm(what, "Helm wrote no archive"))
    }
}

fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tgz")
}

/// A copy of an archive that stands for a reference: what is checked is what is read.
fn copied(folder: &Path, chart: &ChartRef) -> Result<PathBuf> {
    let source = Path::new(&chart.location);
    let found = std::fs::metadata(source).map_err(Error::file("read", source))?;
    if !found.is_file() || found.len() > ARCHIVE_BYTES_MAX {
        let problem = format!(
            "its digest is pinned, so what stands for it in deploy.chart_mirrors must be an archive of at most {ARCHIVE_BYTES_MAX} bytes"
        );
        return Err(Error::ChartDigest { chart: chart.location.clone(), problem });
    }
    let copy = folder.join("chart.tgz");
    std::fs::copy(source, &copy).map_err(Error::file("copy a chart to", &copy))?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::{chart::ChartMirrors, driver::helm::process::Registries};

    /// A program in Helm's place that says its version, and writes what it is to pull.
    const HELM: &str = "#!/bin/sh\nif [ \"$1\" = version ]; then echo v4.3.1; exit; fi\n\
                        [ \"$1 $2 $3 $4 $5\" = 'pull oci://a/b --version 1.0.0 --destination' ] || exit 1\n\
                        printf chart > \"$6/b-1.0.0.tgz\"\n";

    #[tokio::test]
    async fn a_chart_that_is_not_the_one_pinned_is_not_used_wherever_it_comes_from() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("helm");
        fs::write(&path, HELM).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let helm = Helm::open(&path, "*", &home.path().join("state"), (1, Registries::default())).await.unwrap();
        let pinned = |content: &str| format!("sha256:{}", hex::encode(Sha256::digest(content)));
        let archive = home.path().join("mirrored.tgz");
        fs::write(&archive, "chart").unwrap();
        let mirror = |to: &Path| -> ChartMirrors { [("oci://a/b".to_owned(), to.display().to_string())].into() };
        for mirrors in [ChartMirrors::new(), mirror(&archive)] {
            let fetched = async |pinned: &str| {
                let run = tempfile::tempdir().unwrap();
                let chart = ChartRef::referenced("oci://a/b", "1.0.0", pinned, &mirrors);
                let found = helm.fetched(&run, "x", &chart).await;
                found.map(|path| {
                    (path.starts_with(&run.path().display().to_string()), fs::read_to_string(path).unwrap())
                })
            };
            assert_eq!(fetched(&pinned("chart")).await.unwrap(), (true, "chart".to_owned()));
            let refused = fetched(&pinned("reviewed")).await.unwrap_err().to_string();
            assert!(refused.contains("it is not used") && refused.contains(&pinned("chart")), "{refused}");
            assert_eq!(fetched("").await.unwrap().1, "chart", "whatever the registry gives");
        }
        let run = tempfile::tempdir().unwrap();
        let folder = ChartRef::referenced("oci://a/b", "1.0.0", &pinned("chart"), &mirror(home.path()));
        assert!(helm.fetched(&run, "x", &folder).await.unwrap_err().to_string().contains("must be an archive"));
    }
}
