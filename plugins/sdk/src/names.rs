//! A tenant's uid in names. Everything comes from the uid, so that a call repeated by another process, without any memory,
//! arrives at the same object.

use landlord_provider_api::{ErrorKind, ProviderError, v1};

use crate::findings::is_label;

/// A UUID without its dashes.
pub const UID_HEX_LEN: usize = 32;

/// The uid's 32 hexadecimal digits.
///
/// # Errors
/// INVALID if the uid is not a UUID in lower case.
pub fn uid_hex(scope: &v1::Scope) -> Result<String, ProviderError> {
    let uid = &scope.tenant_uid;
    let hex: String = uid.chars().filter(|c| *c != '-').collect();
    if is_hex(&hex) && matches!(uid.len(), 32 | 36) {
        return Ok(hex);
    }
    Err(ProviderError::new(ErrorKind::Invalid, format!("the tenant uid {uid:?} is not a UUID in lower case")))
}

fn is_hex(text: &str) -> bool {
    text.len() == UID_HEX_LEN && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The role of a tenant's only node pool in a shared cluster, as the contract gives it.
#[must_use]
pub fn shared_pool_role(uid_hex: &str) -> String {
    format!("t-{uid_hex}")
}

/// The digits of the uid in such a role.
#[must_use]
pub fn uid_of_shared_pool(role: &str) -> Option<&str> {
    role.strip_prefix("t-").filter(|hex| is_hex(hex))
}

/// Checks the role of a node pool.
///
/// # Errors
/// INVALID unless it is a DNS label of at most `len_max` characters.
pub fn pool_role(role: &str, len_max: usize) -> Result<&str, ProviderError> {
    if is_label(role) && role.len() <= len_max {
        return Ok(role);
    }
    let problem = format!("the node pool role {role:?} is not a DNS label of at most {len_max} characters");
    Err(ProviderError::new(ErrorKind::Invalid, problem))
}

#[cfg(test)]
mod tests {
    use super::{pool_role, shared_pool_role, uid_hex, uid_of_shared_pool};
    use landlord_provider_api::v1::Scope;

    #[test]
    fn only_a_uuid_in_lower_case_makes_names() {
        let of = |uid: &str| uid_hex(&Scope { tenant_uid: uid.to_owned(), ..Scope::default() });
        let hex = of("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b").expect("a UUID");
        assert_eq!(hex, "0192f0c12d3e7a4b8c5d6e7f80910a1b");
        assert!(of(&hex).is_ok());
        for bad in ["", "x", "0192F0C1-2d3e-7a4b-8c5d-6e7f80910a1b", "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1", "../etc"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert_eq!(uid_of_shared_pool(&shared_pool_role(&hex)), Some(hex.as_str()));
        assert_eq!(uid_of_shared_pool("t-x"), None);
        assert!(pool_role("default", 7).is_ok() && pool_role("default", 6).is_err() && pool_role("X", 6).is_err());
    }
}
