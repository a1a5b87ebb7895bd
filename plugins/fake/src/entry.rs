//! The exported table: that of `export_provider!`, with faults that lie below any Rust code of
//! a provider.

use std::ffi::c_void;

use landlord_provider_api::{
    Method,
    abi::{Buffer, Completion, PluginTable, STATUS_OK, Slice},
    export,
};

use crate::{
    Fake,
    fault::{Action, published, spin},
};

/// No protobuf message: field number 0 does not exist.
const GARBAGE: &[u8] = &[0x07, 0xff, 0xff, 0xff, 0xff];

const BASE: PluginTable = export::table::<Fake>();
static TABLE: PluginTable = PluginTable { call, ..BASE };

/// Entry point of the plugin library; see `landlord_provider_api::abi`.
#[allow(unsafe_code, reason = "the exported name is the contract's only symbol")]
#[unsafe(no_mangle)]
pub extern "C" fn landlord_plugin() -> *const PluginTable {
    &raw const TABLE
}

extern "C" fn call(
    instance: *mut c_void,
    method: u32,
    call_id: u64,
    deadline_ms: u64,
    request: Slice,
    context: *mut c_void,
    done: Completion,
) {
    let name = Method::from_number(method).map_or("", Method::name);
    match published().and_then(|faults| faults.take_raw(name)) {
        Some(Action::Garbage) => done(context, STATUS_OK, Buffer::from_vec(GARBAGE.to_vec())),
        Some(Action::Block) => spin(),
        _ => (BASE.call)(instance, method, call_id, deadline_ms, request, context, done),
    }
}
