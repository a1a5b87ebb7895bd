//! Kubernetes versions, as a class requests them (`1.36`) and as clouds report them (`1.36.4`, `1.36.1-gke.1829001`).

use landlord_provider_api::{ErrorKind, ProviderError};

/// `36` of `1.36` and of everything that begins so.
#[must_use]
pub fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

/// Whether a text is a minor version and no more, like `1.36`.
#[must_use]
pub fn is_minor(version: &str) -> bool {
    minor(version).is_some() && version.matches('.').count() == 1
}

/// Whether nodes of `nodes` are behind a control plane of `control_plane`.
#[must_use]
pub fn is_behind(nodes: &str, control_plane: &str) -> bool {
    minor(nodes).zip(minor(control_plane)).is_some_and(|(nodes, control_plane)| nodes < control_plane)
}

/// The next minor version on the way to `wanted`; `None` if the control plane is there, or above, where a release channel or
/// somebody raised it: no cloud lowers one.
///
/// # Errors
/// INVALID for what can't be compared.
pub fn next_minor(present: &str, wanted: &str) -> Result<Option<String>, ProviderError> {
    let (Some(at), Some(to)) = (minor(present), minor(wanted)) else {
        let problem = format!("parameters.kubernetes_version: cannot compare {present:?} with {wanted:?}");
        return Err(ProviderError::new(ErrorKind::Invalid, problem));
    };
    Ok((to > at).then(|| format!("1.{}", at + 1)))
}

#[cfg(test)]
mod tests {
    use super::{is_behind, is_minor, minor, next_minor};

    #[test]
    fn versions_rise_one_minor_at_a_time_and_never_fall() {
        assert_eq!(next_minor("1.33.5-gke.100", "1.35").expect("upwards").as_deref(), Some("1.34"));
        assert_eq!(next_minor("1.34", "1.36").expect("upwards").as_deref(), Some("1.35"));
        assert_eq!(next_minor("1.35.1", "1.35").expect("there"), None);
        assert_eq!(next_minor("1.36.0-gke.1", "1.35").expect("a newer one satisfies"), None);
        assert!(next_minor("1.36", "latest").is_err());
    }

    #[test]
    fn a_patch_has_the_minor_version_of_its_line() {
        assert_eq!((minor("1.35"), minor("1.35.4"), minor("2.0")), (Some(35), Some(35), None));
        assert!(is_minor("1.35") && !is_minor("1.35.4") && !is_minor("latest"));
        assert!(is_behind("1.34.9", "1.35") && !is_behind("1.35", "1.35.1") && !is_behind("x", "1.35"));
    }
}
