//! Loading a library and calling through its table. All `unsafe` of the daemon lives here.
//!
//! JUSTIFICATION: `dlopen` runs foreign code by design; that is why it happens in a process of
//! its own, with checked bytes. The rules that the SAFETY comments lean on are those of
//! `landlord_provider_api::abi`.

use std::{
    collections::HashSet,
    ffi::c_void,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Arc, LazyLock, OnceLock},
};

use landlord_provider_api::abi::{ABI_MAJOR, Buffer, Entry, HostTable, MAGIC, PluginTable, SYMBOL, Slice};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use parking_lot::Mutex;

/// Takes the responses and log lines of a plugin, from any thread.
pub(crate) trait Sink: Send + Sync + 'static {
    /// A call ended.
    fn respond(&self, call_id: u64, status: u32, payload: Vec<u8>);
    /// A log line.
    fn log(&self, level: u32, json: String);
    /// The plugin broke a rule of the ABI: which.
    fn broken(&self, problem: String);
}

/// Calls that are not completed yet. A completion is known by number, not by pointer: one that comes twice, or for no call,
/// is found here and not in freed memory.
static IN_FLIGHT: LazyLock<Mutex<HashSet<usize>>> = LazyLock::new(Mutex::default);
/// Where completions go: the process has one plugin.
static SINK: OnceLock<Arc<dyn Sink>> = OnceLock::new();

/// An instance of a loaded plugin. Never unloaded: a library's threads and statics outlive any
/// moment at which that would be safe.
pub(crate) struct Loaded {
    table: &'static PluginTable,
    instance: *mut c_void,
}

extern "C" fn done(context: *mut c_void, status: u32, payload: Buffer) {
    let Some(sink) = SINK.get() else { return };
    let call = context.addr();
    // By the rules of the ABI `done` is called exactly once for each call.
    if IN_FLIGHT.lock().remove(&call) {
        sink.respond(call as u64, status, payload.into_vec());
    } else {
        // Whether its memory is still there nobody knows.
        std::mem::forget(payload);
        sink.broken(format!(
            "it completed call {call} a second time, or completed one that was never made; by the ABI each call is \
             completed exactly once, also after it was cancelled"
        ));
    }
}

extern "C" fn log(context: *mut c_void, level: u32, json: Slice) {
    // SAFETY: `context` points to the leaked sink of `Loaded::open`, alive for the process.
    if let Some(sink) = unsafe { context.cast::<Arc<dyn Sink>>().as_ref() } {
        sink.log(level, String::from_utf8_lossy(&json.to_vec()).into_owned());
    }
}

impl Loaded {
    /// Loads the library whose bytes `file` holds, and makes an instance.
    ///
    /// # Errors
    /// What does not fit, in words for the operator.
    pub(crate) fn open(file: &OwnedFd, sink: Arc<dyn Sink>) -> Result<Self, String> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: loading runs the library's initialisers: foreign code, in this process by design.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| format!("it can't be loaded: {error}"))?;
        // SAFETY: the symbol's type is the contract's; a library that exports another type under
        // this name is caught by the magic number below, as far as anything can.
        let entry = unsafe { library.get::<Entry>(SYMBOL) }
            .map_err(|_| format!("it exports no symbol {SYMBOL}; it is no landlord plugin"))?;
        let table = entry();
        // SAFETY: the contract promises a table that lives as long as the process, or null.
        let table = unsafe { table.as_ref() }.ok_or("its table is null")?;
        check(table)?;
        // Never unloaded.
        std::mem::forget(library);
        let context: *mut Arc<dyn Sink> = Box::into_raw(Box::new(Arc::clone(&sink)));
        let _ = SINK.set(sink);
        let host: &'static HostTable =
            Box::leak(Box::new(HostTable { struct_size: size_of::<HostTable>(), context: context.cast(), log }));
        let instance = (table.create)(host);
        if instance.is_null() {
            return Err("it could not make an instance".into());
        }
        Ok(Self { table, instance })
    }

    /// ABI version that the plugin was built for.
    pub(crate) fn version(&self) -> (u32, u32) {
        (self.table.abi_major, self.table.abi_minor)
    }

    /// Starts a call; its response goes to the sink. `call_id` is not 0, and no other call's.
    pub(crate) fn call(&self, call_id: u64, method: u32, deadline_ms: u64, request: &[u8]) {
        let context = usize::try_from(call_id).unwrap_or_default();
        IN_FLIGHT.lock().insert(context);
        let context = std::ptr::without_provenance_mut(context);
        (self.table.call)(self.instance, method, call_id, deadline_ms, Slice::of(request), context, done);
    }

    /// Requests a call to end early.
    pub(crate) fn cancel(&self, call_id: u64) {
        (self.table.cancel)(self.instance, call_id);
    }
}

fn check(table: &PluginTable) -> Result<(), String> {
    if table.magic != MAGIC {
        return Err("its table does not begin with the magic number; it is no landlord plugin".into());
    }
    if table.abi_major != ABI_MAJOR {
        return Err(format!(
            "it was built for ABI {}.{}, this daemon speaks {ABI_MAJOR}.x; rebuild it",
            table.abi_major, table.abi_minor
        ));
    }
    if table.struct_size < size_of::<PluginTable>() {
        return Err(format!(
            "its table has {} bytes, this daemon needs {}; rebuild it",
            table.struct_size,
            size_of::<PluginTable>()
        ));
    }
    Ok(())
}
