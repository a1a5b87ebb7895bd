//! Open files: every connection, plugin, cluster and database takes some.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewer than this and a few hundred clients use up what the store and the plugins need.
const COMFORTABLE: u64 = 4_096;

/// Raises the soft limit to the hard one, as programs that don't use select(2) may, and logs what there is.
pub fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, "the soft limit of open files can't be raised");
    }
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < COMFORTABLE => tracing::warn!(
            limit,
            "few files may be open at once; raise the hard limit (LimitNOFILE= of the unit, or `ulimit -Hn`)"
        ),
        limit => tracing::info!(limit, before = before.current, "open files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        // As a shell's usual one, which a thousand connections use up.
        setrlimit(Resource::Nofile, Rlimit { current: Some(1_024), maximum: before.maximum }).unwrap();
        raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
