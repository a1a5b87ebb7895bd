//! Words of AWS's messages that tell more than their codes: policies above the account, states of keys, Regions.

use landlord_provider_api::ErrorKind::Auth;
use landlord_provider_sdk::table::WordsRow;

use crate::error_table::KEY;

/// Words of a message that tell more than its code. <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>,
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html>,
/// <https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html>.
pub(crate) const WORDS: &[WordsRow] = &[
    (&[], "in a service control policy", Auth, ORGANIZATION),
    (&[], "in a resource control policy", Auth, ORGANIZATION),
    (
        &[],
        "in a permissions boundary",
        Auth,
        "the account's administrator widens the permissions boundary of landlord's role, then retry",
    ),
    (
        &[],
        "in a session policy",
        Auth,
        "the operator widens the session policy with which landlord's role is assumed, then retry",
    ),
    (
        &[],
        "in a vpc endpoint policy",
        Auth,
        "the account's administrator widens the policy of the VPC endpoint, then retry",
    ),
    (
        &[],
        "explicit deny in an identity-based policy",
        Auth,
        "the account's administrator takes the explicit deny out of the policy of landlord's role, then retry",
    ),
    (&[], "is pending deletion", Auth, KEY),
    (&[], "kms key is disabled", Auth, KEY),
    (&[], "kmsinvalidstateexception", Auth, KEY),
    (&[], "kmsdisabledexception", Auth, KEY),
    (
        &[],
        "not subscribed to this service",
        Auth,
        "the account's administrator completes the account's sign-up and its payment, then retry",
    ),
    (&["AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException"], "", Auth, REGION),
];

const ORGANIZATION: &str = "the administrator of the AWS organization allows the action in the policy that the message names (service or resource control policy), then retry";
const REGION: &str = "the operator renews or corrects the credentials of this credential scope; or, if the Region is an opt-in one, the account's administrator enables it (Account > AWS Regions); then retry";
