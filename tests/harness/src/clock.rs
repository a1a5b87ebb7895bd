//! A wall clock of the daemon's own, which a test sets back and forward. Its monotonic clock, and everybody else's clocks, go on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

const SOURCE: &str = include_str!("clock.c");

/// The library that moves a process's clock, and the file that says by how much.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// Builds the library into a folder.
    ///
    /// # Errors
    /// A C compiler that is not there, or fails.
    pub fn build(folder: &Path) -> Result<Self> {
        let clock = Self { library: folder.join("clock.so"), offset: folder.join("clock.offset") };
        let source = folder.join("clock.c");
        fs::write(&source, SOURCE)?;
        clock.set(0)?;
        let arguments = ["-shared", "-fPIC", "-O1", "-o"];
        let built = Command::new("cc").args(arguments).arg(&clock.library).arg(&source).output();
        let built = built.context("a C compiler is needed to move the daemon's clock")?;
        ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Ok(clock)
    }

    /// What a process whose clock is to be moved needs in its environment.
    #[must_use]
    pub fn environment(&self) -> [(String, String); 2] {
        let path = |path: &Path| path.display().to_string();
        [("LD_PRELOAD".into(), path(&self.library)), ("LANDLORD_TEST_CLOCK".into(), path(&self.offset))]
    }

    /// Has the clock be so many seconds ahead; 0: right.
    ///
    /// # Errors
    /// The operating system's.
    pub fn set(&self, seconds: i64) -> Result<()> {
        // In place: the processes have it mapped.
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&self.offset)?;
        std::os::unix::fs::FileExt::write_all_at(&file, &seconds.to_ne_bytes(), 0)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_clock_is_moved_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::build(folder.path()).unwrap();
        let year = || {
            let reported = Command::new("date").arg("+%Y").envs(clock.environment()).output().unwrap();
            String::from_utf8(reported.stdout).unwrap().trim().parse::<i32>().unwrap()
        };
        let now = year();
        clock.set(2 * 366 * 86_400).unwrap();
        assert!((now + 2..=now + 3).contains(&year()));
        clock.set(0).unwrap();
        assert!((now..=now + 1).contains(&year()));
    }
}
