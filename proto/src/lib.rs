//! The public gRPC API of landlord, generated from its protobuf files.
