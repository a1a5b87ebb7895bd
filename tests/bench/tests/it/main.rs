//! Short forms of benchmarks that judge what they see.

mod floods;
mod storm;
