//! Words of Azure's messages, where the code is a mere frame.

use landlord_provider_api::ErrorKind::{self, *};
use landlord_provider_sdk::table::{self, WordsRow};

use crate::remedies::{CAPACITY, KEY, POLICY, QUOTA, QUOTA_CLUSTERS, QUOTA_VCPUS, QUOTA_ZONES, SKU};

/// Words of a message that tell more than its code, in lower case.
const WORDS: &[WordsRow] = &[
    (FRAMES, "vcpu quota", Quota, QUOTA_VCPUS),
    (FRAMES, "family cores quota", Quota, QUOTA_VCPUS),
    (FRAMES, "regional cores quota", Quota, QUOTA_VCPUS),
    (FRAMES, "exceeding approved", Quota, QUOTA_VCPUS),
    (FRAMES, "resource type 'managedclusters'", Quota, QUOTA_CLUSTERS),
    (FRAMES, "dns zones", Quota, QUOTA_ZONES),
    (FRAMES, "exceeding quota", Quota, QUOTA),
    (FRAMES, "quota exceeded", Quota, QUOTA),
    (FRAMES, "maximum number of managed clusters", Quota, QUOTA_CLUSTERS),
    (FRAMES, "cannot create more than", Quota, QUOTA),
    (FRAMES, "zonalallocationfailed", Capacity, CAPACITY),
    (FRAMES, "overconstrained", Capacity, CAPACITY),
    (FRAMES, "allocationfailed", Capacity, CAPACITY),
    (FRAMES, "do not have sufficient capacity", Capacity, CAPACITY),
    (FRAMES, "skunotavailable", Invalid, SKU),
    (FRAMES, "disallowed by policy", Auth, POLICY),
    (FRAMES, "requestdisallowedbypolicy", Auth, POLICY),
    (FRAMES, "policyassignment", Auth, POLICY),
    (FRAMES, "key vault key is disabled", Auth, KEY),
    (FRAMES, "keydisabled", Auth, KEY),
    (FRAMES, "keyvaultaccessforbidden", Auth, KEY),
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
