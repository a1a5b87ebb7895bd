//! Short forms of benchmarks that judge what they see.

mod availability;
mod floods;
mod storm;
