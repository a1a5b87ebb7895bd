//! Words of Azure's messages, where the code is a mere frame.

use landlord_provider_api::ErrorKind::{self, *};
use landlord_provider_sdk::table::{self, WordsRow};

use crate::remedies::{CAPACITY, KEY, POLICY, QUOTA, QUOTA_CLUSTERS, QUOTA_VCPUS, QUOTA_ZONES, SKU};

/// Words of a message that tell more than its code, in lower case.
const WORDS: &[WordsRow] = &[
    (&[], "vcpu quota", Quota, QUOTA_VCPUS),
    (&[], "family cores quota", Quota, QUOTA_VCPUS),
    (&[], "regional cores quota", Quota, QUOTA_VCPUS),
    (&[], "exceeding approved", Quota, QUOTA_VCPUS),
    (&[], "resource type 'managedclusters'", Quota, QUOTA_CLUSTERS),
    (&[], "dns zones", Quota, QUOTA_ZONES),
    (&[], "exceeding quota", Quota, QUOTA),
    (&[], "quota exceeded", Quota, QUOTA),
    (&[], "maximum number of managed clusters", Quota, QUOTA_CLUSTERS),
    (&[], "cannot create more than", Quota, QUOTA),
    (&[], "zonalallocationfailed", Capacity, CAPACITY),
    (&[], "overconstrained", Capacity, CAPACITY),
    (&[], "allocationfailed", Capacity, CAPACITY),
    (&[], "do not have sufficient capacity", Capacity, CAPACITY),
    (&[], "skunotavailable", Invalid, SKU),
    (&[], "disallowed by policy", Auth, POLICY),
    (&[], "requestdisallowedbypolicy", Auth, POLICY),
    (&[], "policyassignment", Auth, POLICY),
    (&[], "key vault key is disabled", Auth, KEY),
    (&[], "keydisabled", Auth, KEY),
    (&[], "keyvaultaccessforbidden", Auth, KEY),
];

/// Codes that only frame what the message says; a code of its own comes before words.
const FRAMES: &[&str] = &[
    "",
    "BadRequest",
    "Conflict",
    "CreateVMSSAgentPoolFailed",
    "InternalOperationError",
    "InvalidParameter",
    "InvalidTemplateDeployment",
    "OperationNotAllowed",
    "QuotaExceeded",
    "ReconcileVMSSAgentPoolFailed",
    "UpgradeFailed",
];

/// What the message's words mean, where the code is a mere frame.
pub(crate) fn by_words(code: &str, message: &str) -> Option<(ErrorKind, &'static str)> {
    if !FRAMES.contains(&code) {
        return None;
    }
    table::by_words(WORDS, code, message)
}

#[cfg(test)]
mod tests {
    use super::{FRAMES, by_words};
    use crate::error_table;
    use landlord_provider_api::ErrorKind;

    #[test]
    fn words_decide_only_where_the_code_is_a_frame() {
        let message =
            "Operation could not be completed as it results in exceeding approved standardDSv5Family Cores quota.";
        assert_eq!(by_words("OperationNotAllowed", message).map(|f| f.0), Some(ErrorKind::Quota));
        assert_eq!(by_words("AuthorizationFailed", message), None);
        assert!(FRAMES.iter().all(|code| code.is_empty() || error_table::is_known(code)), "{FRAMES:?}");
    }
}
