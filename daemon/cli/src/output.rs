//! Forms of output. JSON is protobuf's canonical JSON, so that it can be fed to any client.

use std::io::Write as _;

use comfy_table::{Table, presets::NOTHING};
use landlord_proto::FILE_DESCRIPTOR_SET;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::{arguments::Output, error::Error};

/// The API's descriptors.
pub(crate) fn pool() -> Result<DescriptorPool, Error> {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|error| Error::Answer(error.to_string()))
}

/// A message as canonical JSON, with fields that have their default value.
pub(crate) fn json<M: Message + Name>(message: &M) -> Result<Value, Error> {
    let unknown = |error: &dyn std::fmt::Display| Error::Answer(error.to_string());
    let pool = pool()?;
    let name = M::full_name();
    let descriptor = pool.get_message_by_name(&name).ok_or_else(|| unknown(&name))?;
    let dynamic =
        DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(|error| unknown(&error))?;
    let options = SerializeOptions::new().skip_default_fields(false).stringify_64_bit_integers(false);
    dynamic.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| unknown(&error))
}

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written {
        // `landlord get … | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other.and_then(|()| out.flush())?),
    }
}

/// Columns of a table: title, whether it is for wide tables only, and the text of a cell.
pub(crate) type Column<'a> = (&'a str, bool, fn(&Value) -> String);

/// Writes items in a form. `single`: one object, not a list.
pub(crate) fn items(output: Output, items: &[Value], columns: &[Column<'_>], single: bool) -> Result<(), Error> {
    let broken = |error: &dyn std::fmt::Display| Error::Answer(error.to_string());
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
        Output::Table | Output::Wide => print(&table(items, columns, output == Output::Wide)),
    }
}

/// Writes further items of a list that is shown already: a table's without its head.
pub(crate) fn rows(output: Output, items: &[Value], columns: &[Column<'_>]) -> Result<(), Error> {
    match output {
        Output::Table | Output::Wide => {
            let table = table(items, columns, output == Output::Wide);
            print(table.split_once('\n').map_or("", |(_, rows)| rows))
        }
        other => self::items(other, items, columns, true),
    }
}

fn table(items: &[Value], columns: &[Column<'_>], wide: bool) -> String {
    let shown: Vec<_> = columns.iter().filter(|(_, only_wide, _)| wide || !only_wide).collect();
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(shown.iter().map(|(title, _, _)| *title));
    for item in items {
        table.add_row(shown.iter().map(|(_, _, cell)| cell(item)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
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
