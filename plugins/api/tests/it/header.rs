//! The C header says the same as `abi.rs` and `method.rs`: a C compiler compares them.

use std::{
    fmt::Write as _,
    fs,
    mem::offset_of,
    path::{Path, PathBuf},
    process::Command,
};

use landlord_provider_api::{
    Method,
    abi::{self, Buffer, HostTable, PluginTable, Slice},
};

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

/// `EnsureDnsZone` → `ENSURE_DNS_ZONE`.
fn screaming(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

macro_rules! layout {
    ($out:ident, $c:literal, $rust:ty, $($field:ident),*) => {
        writeln!($out, "_Static_assert(sizeof({}) == {}, \"size of {}\");", $c, size_of::<$rust>(), $c).unwrap();
        $(
            writeln!($out, "_Static_assert(offsetof({}, {}) == {}, \"{}.{}\");", $c, stringify!($field),
                offset_of!($rust, $field), $c, stringify!($field)).unwrap();
        )*
    };
}

fn assertions() -> String {
    let mut out = String::from("#include \"landlord_provider.h\"\n");
    layout!(out, "landlord_slice", Slice, ptr, len);
    layout!(out, "landlord_buffer", Buffer, ptr, len, capacity, free);
    layout!(out, "landlord_host_table", HostTable, struct_size, context, log);
    layout!(
        out,
        "landlord_plugin_table",
        PluginTable,
        magic,
        abi_major,
        abi_minor,
        struct_size,
        create,
        call,
        cancel,
        destroy
    );
    let mut constants = vec![
        ("MAGIC".to_owned(), abi::MAGIC),
        ("ABI_MAJOR".to_owned(), abi::ABI_MAJOR.into()),
        ("ABI_MINOR".to_owned(), abi::ABI_MINOR.into()),
        ("STATUS_OK".to_owned(), abi::STATUS_OK.into()),
        ("STATUS_ERROR".to_owned(), abi::STATUS_ERROR.into()),
        ("STATUS_PANIC".to_owned(), abi::STATUS_PANIC.into()),
    ];
    for method in Method::ALL {
        constants.push((format!("METHOD_{}", screaming(method.name())), *method as u64));
    }
    for (name, value) in constants {
        writeln!(out, "_Static_assert(LANDLORD_{name} == UINT64_C({value}), \"{name}\");").unwrap();
    }
    // A signature that differs is an incompatible pointer.
    out.push_str(
        "static const landlord_plugin_table *(*entry)(void) = landlord_plugin;\n\
         int main(void) { return entry == 0; }\n",
    );
    out
}

fn compile(source: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("check.c");
    fs::write(&file, source).unwrap();
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I"])
        .arg(include())
        .arg(&file)
        .output()
        .expect("a C compiler named cc is needed: install gcc");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_header_is_the_abi() {
    let (fits, problems) = compile(&assertions());
    assert!(fits, "{problems}");
}

#[test]
fn a_difference_would_be_noticed() {
    let source =
        assertions().replace("LANDLORD_METHOD_DELETE == UINT64_C(31)", "LANDLORD_METHOD_DELETE == UINT64_C(32)");
    let (fits, problems) = compile(&source);
    assert!(!fits && problems.contains("METHOD_DELETE"), "{problems}");
}

#[test]
fn every_method_of_the_header_exists() {
    let header = fs::read_to_string(include().join("landlord_provider.h")).unwrap();
    let defined = header.lines().filter(|line| line.starts_with("#define LANDLORD_METHOD_")).count();
    assert_eq!(defined, Method::ALL.len());
}

#[test]
fn numbers_find_their_methods() {
    for method in Method::ALL {
        assert_eq!(Method::from_number(*method as u32), Some(*method));
    }
    assert_eq!(Method::from_number(0), None);
}
