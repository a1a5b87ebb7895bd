//! The C ABI between the plugin host and a plugin library: tables of functions in C layout,
//! protobuf bytes both ways, completion by callback.
//!
//! A library exports one symbol, [`SYMBOL`], of type [`Entry`]. `include/landlord_provider.h`
//! says the same in C; a test holds the two together.
//!
//! # Rules
//! - Memory is freed by the side that made it: a [`Buffer`] carries its own `free`.
//! - No panic or exception crosses: a plugin returns [`STATUS_PANIC`].
//! - `call` returns at once; `done` is called exactly once for each call, from any thread,
//!   also after `cancel`.
//! - The request's bytes are valid only until `call` returns.
//! - The plugin owns its threads. A library is never unloaded.
//!
//! # Versions
//! The major number must be equal. A higher minor number adds functions at the end of a table;
//! `struct_size` shows how many a side has, and neither calls what the other lacks.

use std::ffi::c_void;

/// First field of a [`PluginTable`]: "landlord" in ASCII.
pub const MAGIC: u64 = 0x6c61_6e64_6c6f_7264;
/// Breaking changes.
pub const ABI_MAJOR: u32 = 1;
/// Additions.
pub const ABI_MINOR: u32 = 1;
/// Name of the exported symbol.
pub const SYMBOL: &str = "landlord_plugin";
/// The payload is the method's response.
pub const STATUS_OK: u32 = 0;
/// The payload is a `landlord.provider.v1.Error`.
pub const STATUS_ERROR: u32 = 1;
/// The plugin panicked; the payload is text.
pub const STATUS_PANIC: u32 = 2;

/// Borrowed bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// First byte; may be dangling when `len` is 0.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

/// Owned bytes, freed by the `free` of the side that made them.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    /// First byte.
    pub ptr: *mut u8,
    /// Number of bytes.
    pub len: usize,
    /// The maker's own note, handed back to `free`.
    pub capacity: usize,
    /// Frees the bytes; called exactly once.
    pub free: extern "C" fn(ptr: *mut u8, len: usize, capacity: usize),
}

/// Reports the result of a call: the caller's `context`, a status, the payload (now the callee's).
pub type Completion = extern "C" fn(context: *mut c_void, status: u32, payload: Buffer);

/// What the host offers to a plugin. Lives as long as the process.
#[repr(C)]
#[derive(Debug)]
pub struct HostTable {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// Handed back in every call of the table.
    pub context: *mut c_void,
    /// Takes a log line: 1 error, 2 warn, 3 info, 4 debug, 5 trace; a JSON object with `target`,
    /// `message` and further fields. A field named `metric` with `value` is a measurement.
    pub log: extern "C" fn(context: *mut c_void, level: u32, json: Slice),
}

/// What a plugin offers to the host. Lives as long as the process.
#[repr(C)]
#[derive(Debug)]
pub struct PluginTable {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_MAJOR`] that the plugin was built for.
    pub abi_major: u32,
    /// [`ABI_MINOR`] that the plugin was built for.
    pub abi_minor: u32,
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// Makes an instance; null on failure. `host` lives as long as the process.
    pub create: extern "C" fn(host: *const HostTable) -> *mut c_void,
    /// Starts a call; see the module's rules.
    pub call: extern "C" fn(
        instance: *mut c_void,
        method: u32,
        call_id: u64,
        deadline_ms: u64,
        request: Slice,
        context: *mut c_void,
        done: Completion,
    ),
    /// Requests a call to end early; it still completes, with an error.
    pub cancel: extern "C" fn(instance: *mut c_void, call_id: u64),
    /// Ends an instance; no call may be under way.
    pub destroy: extern "C" fn(instance: *mut c_void),
}

/// Type of the exported symbol.
pub type Entry = extern "C" fn() -> *const PluginTable;

#[expect(unsafe_code, reason = "the plugin boundary: tables and buffers cross it as raw memory")]
mod raw {
    use super::{Buffer, Slice};

    // SAFETY: a buffer is owned by whoever holds it, and its `free` may be called from any
    // thread by the rules of the ABI.
    unsafe impl Send for Buffer {}
    // SAFETY: the tables are immutable; their functions may be called from any thread.
    unsafe impl Sync for super::PluginTable {}
    // SAFETY: as above; `context` is only handed back to the host, which made it for all threads.
    unsafe impl Sync for super::HostTable {}
    // SAFETY: as above.
    unsafe impl Send for super::HostTable {}

    extern "C" fn free_vec(ptr: *mut u8, len: usize, capacity: usize) {
        // SAFETY: only `Buffer::from_vec` names this function, with the parts of a Vec<u8> that
        // it forgot, and a buffer is freed once.
        drop(unsafe { Vec::from_raw_parts(ptr, len, capacity) });
    }

    impl Buffer {
        /// Gives bytes away.
        #[must_use]
        pub fn from_vec(bytes: Vec<u8>) -> Self {
            let mut bytes = std::mem::ManuallyDrop::new(bytes);
            Self { ptr: bytes.as_mut_ptr(), len: bytes.len(), capacity: bytes.capacity(), free: free_vec }
        }

        /// Copies the bytes out and frees them where they were made.
        #[must_use]
        pub fn into_vec(self) -> Vec<u8> {
            Slice { ptr: self.ptr, len: self.len }.to_vec()
        }
    }

    impl Drop for Buffer {
        fn drop(&mut self) {
            (self.free)(self.ptr, self.len, self.capacity);
        }
    }

    impl Slice {
        /// Borrows bytes for the time of a call.
        #[must_use]
        pub fn of(bytes: &[u8]) -> Self {
            Self { ptr: bytes.as_ptr(), len: bytes.len() }
        }

        /// Copies the bytes.
        #[must_use]
        pub fn to_vec(self) -> Vec<u8> {
            if self.len == 0 || self.ptr.is_null() {
                return Vec::new();
            }
            // SAFETY: by the rules of the ABI `ptr` and `len` describe readable bytes for the
            // time of the call in which the slice was handed over.
            unsafe { std::slice::from_raw_parts(self.ptr, self.len) }.to_vec()
        }
    }
}
