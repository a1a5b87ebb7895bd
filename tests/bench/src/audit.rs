//! Who called an API server for what, from its audit log: exact, and by whom, which its own metrics do not show.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Account that apps are deployed with.
const DEPLOYER: &str = ":landlord-deployer";
/// What users of the simulated AWS are called in a cluster; the daemon is the only one.
const DAEMON: &str = "arn:aws:";

/// Whose request it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The daemon's, with its own rights.
    Daemon,
    /// The daemon's, as a tenant's deployer.
    DaemonAsDeployer,
    /// A Helm's that the daemon ran.
    Helm,
    /// The cluster's own controllers', scheduler's and nodes', and of whoever measures.
    Cluster,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Daemon => "daemon",
            Self::DaemonAsDeployer => "daemon as deployer",
            Self::Helm => "Helm",
            Self::Cluster => "the cluster itself",
        })
    }
}

/// Requests by whose, verb and resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<(Who, String), usize>);

impl Counts {
    /// Of the lines of a log from `offset` on.
    pub(crate) fn read(path: &Path, offset: u64) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut counts = Self::default();
        for line in BufReader::new(file).lines() {
            // The last line may be half written.
            if let Ok(event) = serde_json::from_str(&line?) {
                counts.add(&event);
            }
        }
        Ok(counts)
    }

    fn add(&mut self, event: &Value) {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let user = text("/user/username");
        let who = if text("/impersonatedUser/username").ends_with(DEPLOYER) {
            Who::DaemonAsDeployer
        } else if user.ends_with(DEPLOYER) {
            Who::Helm
        } else if user.starts_with(DAEMON) {
            Who::Daemon
        } else {
            Who::Cluster
        };
        let mut what = match text("/objectRef/resource") {
            "" => text("/requestURI").split('?').next().unwrap_or_default().to_owned(),
            resource => resource.to_owned(),
        };
        let subresource = text("/objectRef/subresource");
        if !subresource.is_empty() {
            what = format!("{what}/{subresource}");
        }
        if text("/requestURI").contains("dryRun=") {
            what += " (dry run)";
        }
        *self.0.entry((who, format!("{} {what}", text("/verb")))).or_default() += 1;
    }

    /// Requests of one party.
    pub(crate) fn of(&self, who: Who) -> usize {
        self.0.iter().filter(|((by, _), _)| *by == who).map(|(_, count)| count).sum()
    }

    /// Whose, what and how many, the most first, without the cluster's own.
    pub(crate) fn ours(&self) -> Vec<(Who, &str, usize)> {
        let ours = self.0.iter().filter(|((who, _), _)| *who != Who::Cluster);
        let mut lines: Vec<_> = ours.map(|((who, what), count)| (*who, what.as_str(), *count)).collect();
        lines.sort_by_key(|(who, what, count)| (std::cmp::Reverse(*count), *who, *what));
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use anyhow::Result;

    use super::*;

    #[test]
    fn requests_are_distinguished() -> Result<()> {
        let mut file = tempfile::NamedTempFile::new()?;
        let lines = [
            r#"{"verb":"get","user":{"username":"arn:aws:iam::1:user/x"},"requestURI":"/apis/a","objectRef":{}}"#,
            r#"{"verb":"create","user":{"username":"arn:aws:iam::1:user/x"},"requestURI":"/p?dryRun=All","objectRef":{"resource":"pods"}}"#,
            r#"{"verb":"get","user":{"username":"arn:aws:iam::1:user/x"},"impersonatedUser":{"username":"system:serviceaccount:n:landlord-deployer"},"requestURI":"/s","objectRef":{"resource":"secrets"}}"#,
            r#"{"verb":"create","user":{"username":"system:serviceaccount:n:landlord-deployer"},"requestURI":"/s","objectRef":{"resource":"serviceaccounts","subresource":"token"}}"#,
            r#"{"verb":"list","user":{"username":"admin"},"requestURI":"/s","objectRef":{"resource":"secrets"}}"#,
            r#"{"verb":"half"#,
        ];
        write!(file, "skipped\n{}", lines.join("\n"))?;
        let counts = Counts::read(file.path(), 8)?;
        let expected = [
            (Who::Daemon, "create pods (dry run)", 1),
            (Who::Daemon, "get /apis/a", 1),
            (Who::DaemonAsDeployer, "get secrets", 1),
            (Who::Helm, "create serviceaccounts/token", 1),
        ];
        assert_eq!(counts.ours(), expected);
        assert_eq!(counts.of(Who::Cluster), 1);
        Ok(())
    }
}
