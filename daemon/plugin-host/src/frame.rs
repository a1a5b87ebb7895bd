//! What crosses the socket between daemon and child: protobuf frames, each after its length in
//! four bytes, big endian.

use prost::{Message, Oneof};

/// Longest frame: an inventory page or a describe response is some ten KiB.
pub(crate) const FRAME_BYTES_MAX: usize = 16 << 20;

/// One frame.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Frame {
    #[prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(crate) body: Option<Body>,
}

/// Its kinds.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Body {
    /// Child → daemon, first: loaded, or why not.
    #[prost(message, tag = "1")]
    Loaded(Loaded),
    /// Daemon → child.
    #[prost(message, tag = "2")]
    Call(Call),
    /// Daemon → child: end a call early.
    #[prost(uint64, tag = "3")]
    Cancel(u64),
    /// Child → daemon.
    #[prost(message, tag = "4")]
    Response(Response),
    /// Child → daemon: a log line of the plugin.
    #[prost(message, tag = "5")]
    Log(Log),
    /// Daemon → child, first, right after the library's descriptor.
    #[prost(message, tag = "6")]
    Setup(Setup),
    /// Child → daemon: the plugin broke a rule of the ABI: which. It is not used any further.
    #[prost(string, tag = "7")]
    Broken(String),
}

/// How the child is to live.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Setup {
    /// Address space in MiB; 0: no limit.
    #[prost(uint64, tag = "1")]
    pub(crate) memory_max_mib: u64,
    #[prost(bool, tag = "2")]
    pub(crate) sandboxed: bool,
    #[prost(bool, tag = "3")]
    pub(crate) best_effort: bool,
    /// Paths as bytes: Linux requests no encoding.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(crate) read_paths: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(crate) write_paths: Vec<Vec<u8>>,
    /// TCP ports; protobuf has no smaller number.
    #[prost(uint32, repeated, tag = "6")]
    pub(crate) connect_ports: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Loaded {
    /// Empty: loaded.
    #[prost(string, tag = "1")]
    pub(crate) error: String,
    #[prost(uint32, tag = "2")]
    pub(crate) abi_major: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) abi_minor: u32,
}

/// Holds secrets when the method is Configure: not to be printed.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Call {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) method: u32,
    #[prost(uint64, tag = "3")]
    pub(crate) deadline_ms: u64,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) request: Vec<u8>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("id", &self.id).field("method", &self.method).finish_non_exhaustive()
    }
}

/// Holds secrets when the method was KubeAccess: not to be printed.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Response {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) status: u32,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) payload: Vec<u8>,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Log {
    #[prost(uint32, tag = "1")]
    pub(crate) level: u32,
    #[prost(string, tag = "2")]
    pub(crate) json: String,
}

/// A frame as it is sent; `None` if it is too long.
pub(crate) fn encode(body: Body) -> Option<Vec<u8>> {
    let frame = Frame { body: Some(body) };
    let length = frame.encoded_len();
    if length > FRAME_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(length + 4);
    bytes.extend_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
    frame.encode(&mut bytes).ok()?;
    Some(bytes)
}
