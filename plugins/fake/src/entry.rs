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
    lacks,
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

/// Whom a call is completed to.
struct Caller {
    context: *mut c_void,
    done: Completion,
}

#[expect(unsafe_code, reason = "the plugin boundary: the context of a call crosses it as a raw pointer")]
fn caller(context: *mut c_void) -> Box<Caller> {
    // SAFETY: made by `call` for this call, which `export_provider!` completes once.
    unsafe { Box::from_raw(context.cast::<Caller>()) }
}

extern "C" fn complete_twice(context: *mut c_void, status: u32, payload: Buffer) {
    let caller = caller(context);
    (caller.done)(caller.context, status, payload);
    (caller.done)(caller.context, status, Buffer::from_vec(Vec::new()));
}

extern "C" fn complete_description(context: *mut c_void, status: u32, payload: Buffer) {
    let caller = caller(context);
    (caller.done)(caller.context, status, Buffer::from_vec(lacks::described(payload.into_vec())));
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
        Some(Action::Twice) => {
            let caller = Box::into_raw(Box::new(Caller { context, done }));
            (BASE.call)(instance, method, call_id, deadline_ms, request, caller.cast(), complete_twice);
        }
        _ if method == Method::Describe as u32 => {
            let caller = Box::into_raw(Box::new(Caller { context, done }));
            (BASE.call)(instance, method, call_id, deadline_ms, request, caller.cast(), complete_description);
        }
        _ => (BASE.call)(instance, method, call_id, deadline_ms, request, context, done),
    }
}
