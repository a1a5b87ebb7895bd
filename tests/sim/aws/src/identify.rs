//! Which service a request is for, and who sends it.

use crate::{
    eks, route53,
    secret::secret_fits,
    sigv4::{self, Signature},
    state::AwsState,
};
use cloudsim_core::{
    call::{ApiError, Call, Caller, Params},
    clock::Micros,
    http::Raw,
    scope_key::GLOBAL,
    world::World,
};

/// The account of access keys that do not encode one.
pub(crate) const DEFAULT_ACCOUNT: &str = "111122223333";

/// How far a signature's time may be off, as AWS documents.
const MAX_SKEW_US: Micros = 15 * 60 * 1_000_000;

/// Reads a request: the call, and an error if its credentials are refused (applied after faults and throttling).
///
/// # Errors
/// If the request is not signed, or for no operation known here; the call is as far as it was read.
#[expect(clippy::result_large_err, reason = "made once a request")]
pub(crate) fn identify(
    world: &mut World,
    raw: &Raw,
) -> std::result::Result<(Call, Option<ApiError>), (Call, ApiError)> {
    let call = Call::of(world.uuid(), raw);
    let mut call = Call { target: raw.headers.get("x-amz-target").cloned().unwrap_or_default(), ..call };
    let Some(signature) = sigv4::from_header(&raw.headers).or_else(|| sigv4::from_query(&raw.query)) else {
        let error = ApiError::new("MissingAuthenticationToken", "Missing Authentication Token").status(403);
        return Err((call, error));
    };
    call.service.clone_from(&signature.service);
    call.region = match signature.service.as_str() {
        "iam" | "route53" => GLOBAL.to_owned(),
        _ => signature.region.clone(),
    };
    call.caller = caller(world, &signature);
    let routed = match call.service.as_str() {
        "cloudformation" | "ec2" | "iam" | "sts" | "elasticloadbalancing" => {
            let form = Params::parse(&call.body);
            call.params.0.extend(form.0);
            call.action = call.params.text("Action").to_owned();
            !call.action.is_empty()
        }
        "eks" => eks::route::route(&mut call),
        "route53" => route53::route(&mut call),
        "tagging" | "logs" => {
            call.action = call.target.rsplit('.').next().unwrap_or_default().to_owned();
            true
        }
        _ => false,
    };
    if !call.body.is_empty() && matches!(call.service.as_str(), "eks" | "tagging" | "logs") {
        match serde_json::from_str(&call.body) {
            Ok(json) => call.json = json,
            Err(error) => {
                return Err((call, ApiError::new("SerializationException", error.to_string())));
            }
        }
    }
    if !routed {
        let error =
            ApiError::new("UnknownOperationException", "The simulator does not know this operation").status(404);
        return Err((call, error));
    }
    let refused = authenticate(world, raw, &signature);
    Ok((call, refused))
}

/// `AKIA` + twelve digits + anything is a key of that account; a session's key is looked up.
pub(crate) fn caller(world: &World, signature: &Signature) -> Caller {
    let key = &signature.access_key;
    if let Some(session) = world.states.of::<AwsState>().sessions.get(key) {
        return Caller {
            account: session.account.clone(),
            arn: session.arn.clone(),
            user_id: session.user_id.clone(),
            access_key: key.clone(),
            credential: key.clone(),
        };
    }
    let digits = key.get(4..16).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let account = digits.unwrap_or(DEFAULT_ACCOUNT).to_owned();
    Caller {
        arn: format!("arn:aws:iam::{account}:user/cloudsim"),
        user_id: format!("AIDA{account}SIM"),
        access_key: key.clone(),
        credential: key.clone(),
        account,
    }
}

/// Why the credentials are refused, if they are.
fn authenticate(world: &mut World, raw: &Raw, signature: &Signature) -> Option<ApiError> {
    let now = world.clock.now();
    let refuse = |code: &str, message: &str| Some(ApiError::new(code, message).status(403));
    let expired = sigv4::signed_at_us(signature).is_none_or(|at| (now - at).abs() > MAX_SKEW_US);
    if expired {
        return refuse("SignatureDoesNotMatch", "Signature expired or its time is not now");
    }
    if let Some(session) = world.states.of::<AwsState>().sessions.get(&signature.access_key) {
        if session.expires_us < now {
            return refuse("ExpiredToken", "The security token included in the request is expired");
        }
        if signature.token.as_deref() != Some(session.token.as_str()) {
            return refuse("InvalidClientTokenId", "The security token included in the request is invalid.");
        }
    } else if signature.access_key.starts_with("ASIA") {
        return refuse("InvalidClientTokenId", "The security token included in the request is invalid.");
    }
    if secret_fits(world, signature, &signed(raw)) {
        return None;
    }
    refuse(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.",
    )
}

/// Body hash as signed.
fn payload_sha256(raw: &Raw) -> String {
    use sha2::Digest;
    raw.headers.get("x-amz-content-sha256").cloned().unwrap_or_else(|| hex::encode(sha2::Sha256::digest(&raw.body)))
}

/// The request as SigV4 sees it.
fn signed(raw: &Raw) -> sigv4::Signed<'_> {
    sigv4::Signed {
        method: &raw.method,
        path: &raw.path,
        query: &raw.query,
        headers: &raw.headers,
        payload_sha256: payload_sha256(raw),
    }
}
