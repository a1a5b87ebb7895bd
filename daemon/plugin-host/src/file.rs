//! A plugin's file, checked once: the bytes that were checked are the bytes that are loaded.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{MemfdFlags, OFlags, SealFlags};
use sha2::{Digest as _, Sha256};

/// A plugin is some ten MiB in release and some hundred in debug builds; a larger file is not one.
const BYTES_MAX: u64 = 1 << 30;
/// The kernel lets go of pages within a fraction of a second; what is busy for ten is not let go of.
const SEAL_ATTEMPTS: u32 = 50;
const SEAL_WAIT: std::time::Duration = std::time::Duration::from_millis(200);
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why a plugin's file is refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("plugin {path} can't be opened: {source}; check the path in the configuration")]
    Open {
        /// File.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is a symbolic link.
    #[error("plugin {path} is a symbolic link; name the file itself, so that what is checked is what is loaded")]
    Link {
        /// File.
        path: PathBuf,
    },
    /// It is no regular file, or too large.
    #[error("plugin {path} is not a plugin: {problem}")]
    NotAPlugin {
        /// File.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// Others could change it.
    #[error("plugin {path} {problem}; run `chown root {path} && chmod 755 {path}`")]
    Untrusted {
        /// File.
        path: PathBuf,
        /// Who.
        problem: String,
    },
    /// Its hash is not the configured one.
    #[error(
        "plugin {path} has the SHA-256 {found}, not {expected}; if you replaced it on purpose, put the new hash into the configuration"
    )]
    Hash {
        /// File.
        path: PathBuf,
        /// Hash of the file.
        found: String,
        /// Hash of the configuration.
        expected: String,
    },
    /// The bytes can't be kept in memory.
    #[error("plugin {path} can't be kept in memory: {source}")]
    Memory {
        /// File.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The checked bytes of a plugin, sealed in memory.
#[derive(Debug)]
pub struct PluginFile {
    path: PathBuf,
    sha256: String,
    memory: OwnedFd,
}

impl PluginFile {
    /// Opens, checks and keeps a plugin. `sha256` is the allowed hash in hex; `None` allows any,
    /// for development.
    ///
    /// # Errors
    /// What is wrong with the file, and what to do.
    pub fn check(path: &Path, sha256: Option<&str>) -> Result<Self, FileError> {
        let file = open(path)?;
        trust(path, &file)?;
        let mut bytes = Vec::new();
        // Bounded, should it grow meanwhile.
        file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(|source| FileError::Open { path: path.into(), source })?;
        let found = hex::encode(Sha256::digest(&bytes));
        if let Some(expected) = sha256
            && !expected.eq_ignore_ascii_case(&found)
        {
            let expected = expected.to_owned();
            return Err(FileError::Hash { path: path.into(), found, expected });
        }
        if !bytes.starts_with(b"\x7fELF") {
            let problem = "it is no ELF shared library".into();
            return Err(FileError::NotAPlugin { path: path.into(), problem });
        }
        let memory = seal(&bytes).map_err(|source| FileError::Memory { path: path.into(), source })?;
        Ok(Self { path: path.into(), sha256: found, memory })
    }

    /// The same checked bytes once more, for a further process.
    ///
    /// # Errors
    /// The operating system's: no descriptor is left.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        Ok(Self { path: self.path.clone(), sha256: self.sha256.clone(), memory: self.memory.try_clone()? })
    }

    /// Where it was.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its hash, hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(crate) fn memory(&self) -> &OwnedFd {
        &self.memory
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    // A pipe without a writer would be waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|source| {
        if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            FileError::Link { path: path.into() }
        } else {
            FileError::Open { path: path.into(), source }
        }
    })
}

fn trust(path: &Path, file: &File) -> Result<(), FileError> {
    let metadata = file.metadata().map_err(|source| FileError::Open { path: path.into(), source })?;
    let not_a_plugin = |problem: String| FileError::NotAPlugin { path: path.into(), problem };
    if !metadata.is_file() {
        return Err(not_a_plugin("it is no regular file".into()));
    }
    if metadata.len() > BYTES_MAX {
        return Err(not_a_plugin(format!("it has {} bytes", metadata.len())));
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != own {
        let problem = format!("belongs to user {}, who could change it", metadata.uid());
        return Err(FileError::Untrusted { path: path.into(), problem });
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        let problem = "can be changed by its group or by everybody".into();
        return Err(FileError::Untrusted { path: path.into(), problem });
    }
    Ok(())
}

fn seal(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("landlord-plugin", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(memory);
    file.write_all(bytes)?;
    let memory = OwnedFd::from(file);
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    // Busy while the kernel itself still holds a page of it, as a loaded machine does for a moment.
    // https://man7.org/linux/man-pages/man2/F_GET_SEALS.2const.html
    for _ in 1..SEAL_ATTEMPTS {
        match rustix::fs::fcntl_add_seals(memory.as_fd(), seals) {
            Err(rustix::io::Errno::BUSY) => std::thread::sleep(SEAL_WAIT),
            sealed => return sealed.map(|()| memory).map_err(Into::into),
        }
    }
    rustix::fs::fcntl_add_seals(memory.as_fd(), seals)?;
    Ok(memory)
}
