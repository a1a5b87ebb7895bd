//! The gRPC front of landlordd.
