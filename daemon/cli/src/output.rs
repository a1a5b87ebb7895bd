//! Forms of output. JSON is protobuf's canonical JSON, so that it can be fed to any client.

use std::{borrow::Cow, io::Write as _, sync::OnceLock};

use comfy_table::{ColumnConstraint, Table, Width, presets::NOTHING};
use landlord_proto::FILE_DESCRIPTOR_SET;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::{arguments::Output, error::Error};

/// The API's descriptors, read once.
pub(crate) fn pool() -> Result<DescriptorPool, Error> {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    if let Some(pool) = POOL.get() {
        return Ok(pool.clone());
    }
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|error| Error::Response(error.to_string()))?;
    Ok(POOL.get_or_init(|| pool).clone())
}

/// Texts of a list, with commas between them.
pub(crate) fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(",")
}

/// A message as canonical JSON, with fields that have their default value.
pub(crate) fn json<M: Message + Name>(message: &M) -> Result<Value, Error> {
    let unknown = |error: &dyn std::fmt::Display| Error::Response(error.to_string());
    let pool = pool()?;
    let name = M::full_name();
    let descriptor = pool.get_message_by_name(&name).ok_or_else(|| unknown(&name))?;
    let dynamic =
        DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(|error| unknown(&error))?;
    let options = SerializeOptions::new().skip_default_fields(false).stringify_64_bit_integers(false);
    dynamic.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| unknown(&error))
}

/// Writes text and the end of its line to standard output.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    if text.ends_with('\n') { write(text) } else { write(&format!("{text}\n")) }
}

/// Text that does nothing to a terminal: control characters, and those that turn the direction of writing, are written as
/// JSON escapes them. (In JSON they occur within strings only, so it stays the same JSON.)
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut visible = String::with_capacity(text.len());
    for character in text.chars() {
        if hidden(character) {
            visible.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            visible.push(character);
        }
    }
    Cow::Owned(visible)
}

/// Writes text to standard output.
fn write(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(visible(text).as_bytes()) {
        // `landlord get … | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other.and_then(|()| out.flush())?),
    }
}

/// Columns of a table: title, whether it is for wide tables only, and the text of a cell.
pub(crate) type Column<'a> = (&'a str, bool, fn(&Value) -> String);

/// Writes items in a form. `single`: one object, not a list.
pub(crate) fn items(output: Output, items: &[Value], columns: &[Column<'_>], single: bool) -> Result<(), Error> {
    let broken = |error: &dyn std::fmt::Display| Error::Response(error.to_string());
    let whole = || match items {
        [one] if single => one.clone(),
        _ => Value::Array(items.to_vec()),
    };
    match output {
        Output::Json => print(&serde_json::to_string_pretty(&whole()).map_err(|e| broken(&e))?),
        Output::Yaml => print(&serde_saphyr::to_string(&whole()).map_err(|e| broken(&e))?),
        Output::Jsonl => {
            let lines: Vec<String> = items.iter().map(Value::to_string).collect();
            if lines.is_empty() { Ok(()) } else { print(&lines.join("\n")) }
        }
        Output::Name => {
            let lines: Vec<String> = items.iter().map(|item| text(item, "name")).collect();
            if lines.is_empty() { Ok(()) } else { print(&lines.join("\n")) }
        }
        Output::Table | Output::Wide => print(&table(items, columns, output == Output::Wide, &mut Vec::new())),
    }
}

/// Writes further items of a list that is shown already: a table's without its head.
pub(crate) fn rows(output: Output, items: &[Value], columns: &[Column<'_>]) -> Result<(), Error> {
    match output {
        Output::Table | Output::Wide => {
            let table = table(items, columns, output == Output::Wide, &mut Vec::new());
            print(table.split_once('\n').map_or("", |(_, rows)| rows))
        }
        other => self::items(other, items, columns, true),
    }
}

/// A long list, written page by page as it is read.
pub(crate) struct Listing<'a> {
    output: Output,
    columns: &'a [Column<'a>],
    /// Of the columns shown so far; later pages are at least as wide.
    widths: Vec<u16>,
    items: usize,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(output: Output, columns: &'a [Column<'a>]) -> Self {
        Self { output, columns, widths: Vec::new(), items: 0 }
    }

    /// Writes a page. Together the pages are what [`items`] would write.
    pub(crate) fn page(&mut self, items: &[Value]) -> Result<(), Error> {
        let first = self.items == 0;
        self.items += items.len();
        match self.output {
            Output::Table | Output::Wide => {
                let table = table(items, self.columns, self.output == Output::Wide, &mut self.widths);
                match table.split_once('\n') {
                    Some((_, rows)) if !first => print(rows),
                    _ if first && !items.is_empty() => print(&table),
                    _ => Ok(()),
                }
            }
            Output::Json => {
                for (index, item) in items.iter().enumerate() {
                    let text = serde_json::to_string_pretty(item).map_err(|e| Error::Response(e.to_string()))?;
                    let before = if first && index == 0 { "[\n  " } else { ",\n  " };
                    write(&format!("{before}{}", text.replace('\n', "\n  ")))?;
                }
                Ok(())
            }
            // Sequences of YAML, lines and names one after another are one.
            Output::Yaml if items.is_empty() => Ok(()),
            Output::Yaml | Output::Jsonl | Output::Name => self::items(self.output, items, self.columns, false),
        }
    }

    /// Ends the list; how many there were.
    pub(crate) fn end(self) -> Result<usize, Error> {
        match (self.output, self.items) {
            (Output::Json, 1..) => print("\n]")?,
            (output, 0) => items(output, &[], self.columns, false)?,
            _ => {}
        }
        Ok(self.items)
    }
}

/// `widths`: the least widths of its columns; they become its own.
fn table(items: &[Value], columns: &[Column<'_>], wide: bool, widths: &mut Vec<u16>) -> String {
    let shown: Vec<_> = columns.iter().filter(|(_, only_wide, _)| wide || !only_wide).collect();
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(shown.iter().map(|(title, _, _)| *title));
    for item in items {
        table.add_row(shown.iter().map(|(_, _, cell)| cell(item)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if let Some(width) = widths.get(index) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(*width)));
        }
    }
    // With their padding; a bound of an earlier page is within.
    let needed = table.column_max_content_widths().into_iter().map(|width| width + 2);
    let known = std::mem::take(widths).into_iter().chain(std::iter::repeat(0));
    *widths = needed.zip(known).map(|(needed, known)| needed.max(known)).collect();
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// A field as text; empty if absent.
pub(crate) fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Time since an RFC 3339 field, as kubectl shows it.
pub(crate) fn age(value: &Value, field: &str) -> String {
    let Ok(then) = text(value, field).parse::<jiff::Timestamp>() else { return String::new() };
    since(then.as_second())
}

/// Time since then, in seconds of the Unix epoch.
pub(crate) fn since(then: i64) -> String {
    let seconds = jiff::Timestamp::now().as_second().saturating_sub(then).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_written() {
        assert_eq!(visible("Acme\tGmbH\n"), "Acme\tGmbH\n");
        assert_eq!(visible("a\u{1b}[31mb\u{202e}c\u{9b}d\re"), "a\\u001b[31mb\\u202ec\\u009bd\\u000de");
        let name = json!("\u{1b}\u{2066}");
        assert_eq!(serde_json::from_str::<Value>(&visible(&name.to_string())).unwrap(), name);
    }

    #[test]
    fn later_pages_of_a_table_stand_under_the_first() {
        const COLUMNS: &[Column<'_>] =
            &[("NAME", false, |item| text(item, "name")), ("STATE", false, |item| text(item, "state"))];
        let mut widths = Vec::new();
        let first = table(&[json!({"name": "a-long-name", "state": "READY"})], COLUMNS, false, &mut widths);
        let later = table(&[json!({"name": "b", "state": "FAILED"})], COLUMNS, false, &mut widths);
        assert_eq!(first, "NAME         STATE\na-long-name  READY");
        assert_eq!(later, "NAME         STATE\nb            FAILED");
        assert_eq!(widths, [13, 8]);
    }
}
