//! A layer of an image: a tar archive whose bytes depend on the files alone.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use tar::{Builder, EntryType, Header};

use super::tree::{Content, Entry, Tree};

/// The archive, not compressed. Every entry bears the same time.
pub(crate) fn archive(tree: &Tree, time: u64) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (path, entry) in &tree.0 {
        let mut header = header(entry, time);
        match &entry.content {
            Content::Folder => builder.append_data(&mut header, format!("{path}/"), &[][..])?,
            Content::File(bytes) => builder.append_data(&mut header, path, &bytes[..])?,
            Content::Link(target) => builder.append_link(&mut header, path, target)?,
        }
    }
    Ok(builder.into_inner()?)
}

fn header(entry: &Entry, time: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner);
    header.set_gid(entry.owner);
    header.set_mtime(time);
    let (kind, size) = match &entry.content {
        Content::Folder => (EntryType::Directory, 0),
        Content::File(bytes) => (EntryType::Regular, bytes.len() as u64),
        Content::Link(_) => (EntryType::Symlink, 0),
    };
    header.set_entry_type(kind);
    header.set_size(size);
    header
}

/// Compressed by gzip itself: in a debug build ours takes minutes for what the programs weigh.
pub(crate) fn gzip(bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut command = Command::new("gzip");
    let child = command.args(["-n", "-9"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.context("can't run gzip")?;
    let mut input = child.stdin.take().context("gzip has no input")?;
    // Beside reading its output, or both would wait for each other.
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let mut output = Vec::new();
    let mut from = child.stdout.take().context("gzip has no output")?;
    std::io::Read::read_to_end(&mut from, &mut output)?;
    let is_written = writer.join().is_ok_and(|written| written.is_ok());
    if !(child.wait()?.success() && is_written) {
        bail!("gzip has failed");
    }
    Ok(output)
}
