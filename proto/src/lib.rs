//! The public gRPC API of landlord, generated from its protobuf files. Nothing but generated
//! code and the descriptors that it came from.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    rustdoc::invalid_html_tags,
    clippy::large_futures,
    reason = "generated; documented in the .proto files"
)]

/// Google's common definitions.
pub mod google {
    /// `google.api`.
    pub mod api {
        include!(concat!(env!("OUT_DIR"), "/google.api.rs"));
    }
    /// `google.longrunning`.
    pub mod longrunning {
        include!(concat!(env!("OUT_DIR"), "/google.longrunning.rs"));
    }
    /// `google.rpc`.
    pub mod rpc {
        include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
    }
}

/// `landlord.v1`.
pub mod landlord {
    /// The API.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/landlord.v1.rs"));
    }
}

pub use landlord::v1;

/// The encoded `google.protobuf.FileDescriptorSet` of all files, with comments and options.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
