//! Files beside the daemon's configuration, read within bounds: whatever a name leads to, nobody waits for it and little of it is kept.
//! Knows not what is in them.

use std::{
    fs::OpenOptions,
    io::{Error, ErrorKind, Read as _, Result},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

/// What a regular file holds.
///
/// # Errors
/// The operating system's; `InvalidInput` for what is no regular file, `FileTooLarge` for one of more than `bytes_max` bytes.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    // Opening a FIFO waits for somebody who writes, and reading a device may never end. What was opened is looked at, not what the name
    // leads to by then.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// The same of a text.
///
/// # Errors
/// As of [`read`]; `InvalidData` for what is no UTF-8.
pub fn text(path: &Path, bytes_max: u64) -> Result<String> {
    let no_text = |_| Error::new(ErrorKind::InvalidData, "it is no text (UTF-8)");
    String::from_utf8(read(path, bytes_max)?).map_err(no_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_small_text_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "0123456789").unwrap();
        assert_eq!(text(&file, 10).unwrap(), "0123456789");
        assert_eq!(text(&file, 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        for no_file in [Path::new("/dev/zero"), folder.path(), &fifo] {
            assert_eq!(text(no_file, 10).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", no_file.display());
        }
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(text(&file, 10).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
