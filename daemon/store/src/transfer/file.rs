//! The file of an export: a JSON value a line. First what it is, then each table's name before its rows, at last what must be in it.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, BufWriter, Lines, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{Error, sqlite::put_in_place};

const FORMAT: &str = "landlord store 1";

/// What a file is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Newest migration.
    pub(super) schema: i64,
    /// Positions that were given, by table.
    pub(super) positions: BTreeMap<String, i64>,
}

/// What is in a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSum {
    /// Table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 over the SHA-256 of its rows, hex; the same in whatever order they are read.
    pub digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Format(String),
    Header(Header),
    Table(String),
    Row(Value),
    End(Vec<TableSum>),
}

/// Rows that were seen.
#[derive(Default)]
pub(super) struct Rows(Vec<[u8; 32]>);

impl Rows {
    pub(super) fn add(&mut self, row: &Value) {
        self.0.push(Sha256::digest(row.to_string()).into());
    }

    pub(super) fn sum(mut self, table: &str) -> TableSum {
        self.0.sort_unstable();
        let digest = hex::encode(Sha256::digest(self.0.concat()));
        TableSum { table: table.to_owned(), rows: self.0.len() as u64, digest }
    }
}

/// Writes a file, which has its name only once it is whole and on the disk.
pub(super) struct Writer {
    to: PathBuf,
    part: PathBuf,
    out: BufWriter<File>,
    table: Option<(String, Rows)>,
    sums: Vec<TableSum>,
    failed: Option<io::Error>,
}

impl Writer {
    pub(super) fn create(to: &Path, header: &Header) -> Result<Self, Error> {
        if to.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: to.to_owned() });
        }
        let part = to.with_added_extension("part");
        let failed = |source| Error::File { path: to.to_owned(), source };
        // It holds what only operators may read.
        let file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part).map_err(failed)?;
        let (to, out) = (to.to_owned(), BufWriter::new(file));
        let mut writer = Self { to, part, out, table: None, sums: Vec::new(), failed: None };
        writer.line(&Line::Format(FORMAT.to_owned()));
        writer.line(&Line::Header(header.clone()));
        Ok(writer)
    }

    /// Keeps the first failure; the end reports it.
    fn line(&mut self, line: &Line) {
        let written =
            serde_json::to_string(line).map_err(io::Error::other).and_then(|text| writeln!(self.out, "{text}"));
        if let (Err(error), None) = (written, &self.failed) {
            self.failed = Some(error);
        }
    }

    pub(super) fn begin(&mut self, table: &str) {
        self.close();
        self.line(&Line::Table(table.to_owned()));
        self.table = Some((table.to_owned(), Rows::default()));
    }

    fn close(&mut self) {
        if let Some((table, rows)) = self.table.take() {
            self.sums.push(rows.sum(&table));
        }
    }

    pub(super) fn row(&mut self, row: &Value) -> Result<(), Error> {
        if let Some((_, rows)) = &mut self.table {
            rows.add(row);
        }
        self.line(&Line::Row(row.clone()));
        match self.failed.take() {
            Some(source) => Err(Error::File { path: self.to.clone(), source }),
            None => Ok(()),
        }
    }

    pub(super) fn end(mut self) -> Result<Vec<TableSum>, Error> {
        self.close();
        self.line(&Line::End(self.sums.clone()));
        let failed = |source| Error::File { path: self.to.clone(), source };
        if let Some(source) = self.failed.take() {
            return Err(failed(source));
        }
        self.out.flush().and_then(|()| put_in_place(&self.part, &self.to)).map_err(failed)?;
        Ok(std::mem::take(&mut self.sums))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Gone already, if the file is whole.
        let _ = fs::remove_file(&self.part);
    }
}

/// Reads a file.
pub(super) struct Reader {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    header: Header,
    table: Option<String>,
    end: Option<Vec<TableSum>>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let bad = |problem: &str| Error::NotAStore { path: path.to_owned(), problem: problem.to_owned() };
        let mut lines = BufReader::new(file).lines();
        let mut next = || lines.next().and_then(Result::ok).and_then(|line| serde_json::from_str(&line).ok());
        match (next(), next()) {
            (Some(Line::Format(format)), Some(Line::Header(header))) if format == FORMAT => {
                Ok(Self { path: path.to_owned(), lines, header, table: None, end: None })
            }
            _ => Err(bad("it was not written by `landlordd export`")),
        }
    }

    /// The next row, with its table.
    pub(super) fn next(&mut self) -> Result<Option<(String, Value)>, Error> {
        let bad = |problem: String| Error::NotAStore { path: self.path.clone(), problem };
        loop {
            let Some(line) = self.lines.next() else { return Err(bad("it ends too early".to_owned())) };
            let line = line.map_err(|source| Error::File { path: self.path.clone(), source })?;
            match serde_json::from_str(&line).map_err(|error| bad(format!("a line of it is damaged: {error}")))? {
                Line::Table(table) => self.table = Some(table),
                Line::Row(row) => match &self.table {
                    Some(table) => return Ok(Some((table.clone(), row))),
                    None => return Err(bad("a row of it belongs to no table".to_owned())),
                },
                Line::End(sums) => {
                    self.end = Some(sums);
                    return Ok(None);
                }
                Line::Format(_) | Line::Header(_) => return Err(bad("it begins twice".to_owned())),
            }
        }
    }

    /// Reads it to its end, and compares what is in it with what it says.
    pub(super) fn check(path: &Path) -> Result<(Header, Vec<TableSum>), Error> {
        let mut reader = Self::open(path)?;
        let mut found: BTreeMap<String, Rows> = BTreeMap::new();
        while let Some((table, row)) = reader.next()? {
            found.entry(table).or_default().add(&row);
        }
        let sums = reader.end.take().unwrap_or_default();
        for sum in &sums {
            let rows = found.remove(&sum.table).unwrap_or_default();
            if rows.sum(&sum.table) != *sum {
                let problem = format!("the rows of {} are not those that were written", sum.table);
                return Err(Error::NotAStore { path: path.to_owned(), problem });
            }
        }
        Ok((reader.header.clone(), sums))
    }
}
