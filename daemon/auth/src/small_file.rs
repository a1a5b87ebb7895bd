//! Files that an operator names, read within bounds: whatever a name leads to, nobody waits for it and little of it is kept. Knows
//! not what is in them.

use std::{
    fs::{Metadata, OpenOptions},
    io::{Error, ErrorKind, Read as _, Result},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

/// Largest file of CAs: those of a large company have tens of KiB.
pub const CA_BYTES_MAX: u64 = 1 << 20;

/// What a regular file holds, and the metadata of that very file.
///
/// # Errors
/// The operating system's; `InvalidInput` for what is no regular file, `FileTooLarge` for one of more than `bytes_max` bytes.
pub fn read(path: &Path, bytes_max: u64) -> Result<(Vec<u8>, Metadata)> {
    // Opening a FIFO waits for somebody who writes, and reading a device may never end.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file; write it to one"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let problem = format!("it has more than {bytes_max} bytes; is it the right file?");
        return Err(Error::new(ErrorKind::FileTooLarge, problem));
    }
    Ok((bytes, metadata))
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[test]
    fn nobody_waits_for_what_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let (done, ended) = mpsc::channel();
        for path in [fifo, "/dev/zero".into(), folder.path().to_owned()] {
            let done = done.clone();
            std::thread::spawn(move || done.send(read(&path, 10).unwrap_err().kind()));
            let kind = ended.recv_timeout(Duration::from_secs(30)).expect("it waits");
            assert_eq!(kind, ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn as_much_is_read_as_may_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "0123456789").unwrap();
        assert_eq!(read(&file, 10).unwrap().0, b"0123456789");
        assert_eq!(read(&file, 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
