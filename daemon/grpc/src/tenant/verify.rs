//! VerifyTenant: the checks of a tenant's stack, now. Changes nothing.

use landlord_core::ports::{CheckOutcome, CheckResult};
use landlord_proto::v1::{self, check_result::Outcome};

use crate::{error::Error, name, ports::Ports};

pub(crate) async fn verify(
    ports: &Ports,
    request: &v1::VerifyTenantRequest,
) -> Result<v1::VerifyTenantResponse, Error> {
    let name = name::tenant("name", &request.name)?;
    let tenant = ports.store.get(&name.clone().into()).await?;
    let checks = ports.verifier.verify(&tenant).await?;
    let failed: Vec<&str> =
        checks.iter().filter(|check| check.outcome == CheckOutcome::Failed).map(|check| check.name.as_str()).collect();
    tracing::info!(tenant = %name, failed = failed.join(", "), "verified on request");
    Ok(v1::VerifyTenantResponse { checks: checks.into_iter().map(result).collect() })
}

fn result(check: CheckResult) -> v1::CheckResult {
    let outcome = match check.outcome {
        CheckOutcome::Passed => Outcome::Passed,
        CheckOutcome::Failed => Outcome::Failed,
        CheckOutcome::NotRun => Outcome::NotRun,
    };
    v1::CheckResult {
        name: check.name,
        outcome: outcome.into(),
        detail: check.detail,
        remedy: check.remedy,
        run_duration: check.duration.try_into().ok(),
    }
}
