//! Control planes and the real node, from beginning to end.

mod control_plane;
mod node;
mod stack;
