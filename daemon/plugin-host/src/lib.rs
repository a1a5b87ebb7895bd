//! Runs provider plugins in child processes and speaks to them.
