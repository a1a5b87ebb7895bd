//! The tokens of a context, in a file that only its user can read.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    user_files::{Lock, folder, replace},
};

/// What is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Who gave them.
    pub(super) issuer: String,
    /// Shown to the daemon.
    pub(super) token: String,
    /// For a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    /// Seconds since 1970; `None`: the issuer does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expire_time: Option<u64>,
}

/// Somebody who renews a token waits so long for another who does: an issuer is given up sooner.
const LOCK_TIMEOUT: Duration = Duration::from_secs(40);
/// Between two looks whether the other one has ended.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// Who may change the tokens of a file: one program at a time, since issuers take a refresh token once, and many end the whole login
/// when it is shown twice; and what one renews is no login that another has ended or begun meanwhile.
pub(super) struct Renewing<'a> {
    file: &'a Path,
    lock: Lock,
}

impl<'a> Renewing<'a> {
    /// Waits for whoever changes them now.
    pub(super) async fn begin(file: &'a Path) -> Result<Self, Error> {
        let until = std::time::Instant::now() + LOCK_TIMEOUT;
        loop {
            let taken = Lock::of(file);
            let taken = taken.map_err(|error| Error::Usage(format!("{} can't be locked: {error}", file.display())))?;
            match taken {
                Some(lock) => return Ok(Self { file, lock }),
                None if std::time::Instant::now() < until => tokio::time::sleep(LOCK_INTERVAL).await,
                None => {
                    let secs = LOCK_TIMEOUT.as_secs();
                    return Err(Error::TimedOut(format!("another landlord has been renewing the login for {secs} s")));
                }
            }
        }
    }

    pub(super) fn save(&self, kept: &Kept) -> Result<(), Error> {
        let text = serde_json::to_vec(kept).map_err(|error| Error::Usage(error.to_string()))?;
        replace(self.file, &self.lock, &text)
    }

    pub(super) fn forget(&self) -> Result<(), Error> {
        match std::fs::remove_file(self.file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Usage(format!("{} can't be removed: {error}", self.file.display())))
            }
            _ => Ok(()),
        }
    }
}

/// Seconds since 1970 after `left`.
pub(super) fn after(left: Duration) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(left).as_secs()
}

/// The file of a context's tokens; `None`: no home is known.
pub(crate) fn file_of(context: &str) -> Option<PathBuf> {
    let tokens = folder("XDG_STATE_HOME", ".local/state")?.join("landlord").join("tokens");
    Some(tokens.join(format!("{}.json", file_name(context))))
}

/// A context's name is the user's own; a file's has nothing that some system takes for more than a character. Two contexts have two.
fn file_name(context: &str) -> String {
    let special = |c: char| c.is_control() || r#"/\:*?"<>|%"#.contains(c);
    let written = |c: char| if special(c) { format!("%{:02X}", u32::from(c)) } else { c.to_string() };
    context.chars().map(written).collect()
}

impl Kept {
    /// `None`: nobody has logged in.
    pub(super) fn load(file: &Path) -> Result<Option<Self>, Error> {
        let wrong = |problem: &dyn std::fmt::Display| Error::Usage(format!("{}: {problem}", file.display()));
        match std::fs::read(file) {
            // What is in it is not repeated.
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| wrong(&"is damaged; log in again")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(&format!("can't be read: {error}"))),
        }
    }

    pub(super) fn ends_within(&self, left: Duration) -> bool {
        self.expire_time.is_some_and(|time| time <= after(left))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn of_two_who_renew_one_waits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prod.json");
        let first = Renewing::begin(&file).await.unwrap();
        let second = Renewing::begin(&file);
        tokio::pin!(second);
        assert!(tokio::time::timeout(LOCK_INTERVAL * 4, &mut second).await.is_err(), "two at the same moment");
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn tokens_are_their_users_alone_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/prod.json");
        assert!(Kept::load(&file).unwrap().is_none());
        let kept = |left: i64| Kept {
            issuer: "https://login.example.com".into(),
            token: "secret".into(),
            refresh_token: None,
            expire_time: Some(after(Duration::from_secs(1_000)).checked_add_signed(left - 1_000).unwrap()),
        };
        let renewing = Renewing::begin(&file).await.unwrap();
        renewing.save(&kept(30)).unwrap();
        renewing.save(&kept(300)).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        let read = Kept::load(&file).unwrap().unwrap();
        assert_eq!(read.token, "secret");
        assert!(!read.ends_within(Duration::from_secs(60)) && read.ends_within(Duration::from_secs(600)));
        assert!(kept(-5).ends_within(Duration::ZERO));
        std::fs::write(&file, "{\"token\": \"secret\"").unwrap();
        let damaged = Kept::load(&file).err().unwrap().to_string();
        assert!(damaged.contains("damaged") && !damaged.contains("secret"), "{damaged}");
        renewing.forget().unwrap();
        renewing.forget().unwrap();
        assert!(file_of("a/../b").unwrap().ends_with("tokens/a%2F..%2Fb.json"));
        assert_ne!(file_of("a/b"), file_of("a%2Fb"));
    }
}
