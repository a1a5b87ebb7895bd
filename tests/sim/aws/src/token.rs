//! The authentication webhook: who a bearer token of a cluster is.
//!
//! A token is `k8s-aws-v1.` and the unpadded base64url of a presigned STS GetCallerIdentity URL that signs the header
//! `x-k8s-aws-id` with the cluster's name. The checks are those of aws-iam-authenticator, which EKS runs:
//! <https://github.com/kubernetes-sigs/aws-iam-authenticator/blob/master/pkg/token/token.go>. Access entries map the
//! principal to groups: <https://docs.aws.amazon.com/eks/latest/userguide/access-policies.html>.

use super::{
    eks::{access, doc_text, doc_texts},
    identify::caller,
    secret::secret_fits,
};
use crate::{kind::AwsKind, state::AwsState};
use crate::{sigv4, sigv4::Signed};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cloudsim_core::{ctx::Ctx, scope_key::ScopeKey, world::World};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PREFIX: &str = "k8s-aws-v1.";
/// A token is good for this long after it was signed, whatever it says itself.
const LIFETIME_US: i64 = 15 * 60 * 1_000_000;
/// Most that `X-Amz-Expires` may say.
const MAX_EXPIRES_S: u64 = 900;
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Who somebody is to Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// User name.
    pub username: String,
    /// Groups.
    pub groups: Vec<String>,
    /// The IAM ARN.
    pub arn: String,
}

/// Handles a TokenReview of the cluster `arn`.
pub(crate) fn review(world: &mut World, cluster_arn: &str, request: &Value) -> Value {
    let token = request.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
    let status = match identify(world, cluster_arn, token) {
        Ok(who) => json!({ "authenticated": true, "user": {
            "username": who.username, "uid": who.arn, "groups": who.groups,
            "extra": { "arn": [who.arn] } } }),
        Err(reason) => {
            tracing::debug!(cluster = cluster_arn, reason, "a token is refused");
            json!({ "authenticated": false, "error": reason })
        }
    };
    json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status })
}

/// Checks a token and maps its caller.
///
/// # Errors
/// Why it is refused.
pub(crate) fn identify(world: &mut World, cluster_arn: &str, token: &str) -> Result<Identity, String> {
    let parts: Vec<&str> = cluster_arn.split(':').collect();
    let [_, _, _, region, account, name] = parts[..] else {
        return Err("no such cluster".to_owned());
    };
    let name = name.trim_start_matches("cluster/");
    let principal = caller_of(world, token, name)?;
    let now = world.clock.now();
    let mut ctx = Ctx::new(world, ScopeKey::new(account, region), now);
    let role = access::principal_of(&principal);
    let entry = ctx.named(AwsKind::AccessEntry, &format!("{name}/{role}"));
    let entry = entry.ok_or_else(|| format!("{role} has no access entry of the cluster {name}"))?;
    let mut groups = doc_texts(&entry, "/kubernetesGroups");
    let policies = entry.props.get("policies").and_then(Value::as_array).cloned().unwrap_or_default();
    if policies.iter().any(|p| p["policyArn"] == access::CLUSTER_ADMIN_POLICY) {
        // EKS authorises its policies itself; the admin policy grants what this group does.
        groups.push("system:masters".to_owned());
    }
    let username = match doc_text(&entry, "/username") {
        "" => principal.clone(),
        other => other.to_owned(),
    };
    Ok(Identity { username, groups, arn: principal })
}

/// The ARN of whoever signed the token for the cluster called `name`.
fn caller_of(world: &mut World, token: &str, name: &str) -> Result<String, String> {
    let encoded = token.strip_prefix(PREFIX).ok_or("the token does not start with k8s-aws-v1.")?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(|e| e.to_string())?;
    let text = String::from_utf8(decoded).map_err(|e| e.to_string())?;
    let url = url::Url::parse(&text).map_err(|e| e.to_string())?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let is_sts = host == "sts.amazonaws.com" || (host.starts_with("sts.") && host.ends_with(".amazonaws.com"));
    if url.scheme() != "https" || !is_sts || url.path() != "/" {
        return Err(format!("{host} is not a host of STS over https"));
    }
    let query = url.query().unwrap_or_default();
    let params: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    if params.get("Action").map(String::as_str) != Some("GetCallerIdentity") {
        return Err("the presigned action is not GetCallerIdentity".to_owned());
    }
    let signature = sigv4::from_query(query).ok_or("the URL is not presigned")?;
    if signature.service != "sts" || !signature.signed_headers.iter().any(|h| h == "x-k8s-aws-id") {
        return Err("the header x-k8s-aws-id is not signed".to_owned());
    }
    if signature.expires_s.is_none_or(|s| s > MAX_EXPIRES_S) {
        return Err("X-Amz-Expires is missing or above 900".to_owned());
    }
    let signed_at = sigv4::signed_at_us(&signature).ok_or("X-Amz-Date is missing")?;
    let now = world.clock.now();
    if now > signed_at + LIFETIME_US || signed_at > now + LIFETIME_US {
        return Err("the token has expired".to_owned());
    }
    if let Some(session) = world.states.of::<AwsState>().sessions.get(&signature.access_key)
        && (session.expires_us < now || signature.token.as_deref() != Some(session.token.as_str()))
    {
        return Err("the session's credentials have expired or do not fit".to_owned());
    }
    let headers: BTreeMap<String, String> =
        [("host".to_owned(), host), ("x-k8s-aws-id".to_owned(), name.to_owned())].into();
    let request =
        Signed { method: "GET", path: "/", query, headers: &headers, payload_sha256: EMPTY_SHA256.to_owned() };
    if !secret_fits(world, &signature, &request) {
        return Err(format!("the signature does not fit the cluster {name}"));
    }
    Ok(caller(world, &signature).arn)
}
