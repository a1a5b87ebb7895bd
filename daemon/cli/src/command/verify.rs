//! `verify`: the checks of a tenant's stack, now.

use landlord_proto::v1::{self, check_result::Outcome};

use crate::{
    arguments::{Output, Verify},
    client::Client,
    connection::Connection,
    error::Error,
    name, output,
};

/// Ends with an error if one of the checks failed.
pub(crate) async fn run(server: &Connection, verify: &Verify, customer: Option<&str>) -> Result<(), Error> {
    let name = name::tenant(&verify.name, customer)?;
    let mut client = Client::connect(server).await?;
    let request = v1::VerifyTenantRequest { name: name.clone() };
    let response = client.tenants.verify_tenant(request).await?.into_inner();
    let form = if verify.json { Output::Json } else { verify.output };
    match form {
        Output::Table | Output::Wide => output::print(text(&response.checks).trim_end())?,
        other => output::items(other, &[output::json(&response)?], &[], true)?,
    }
    let failed: Vec<&str> =
        response.checks.iter().filter(|check| check.outcome() == Outcome::Failed).map(|c| c.name.as_str()).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Error::Check(format!("{name}: {} failed", failed.join(", ")))),
    }
}

/// A row for each check; under one that failed, who must do what.
fn text(checks: &[v1::CheckResult]) -> String {
    if checks.is_empty() {
        return "the stack has no checks".into();
    }
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default().max("CHECK".len());
    let mut text = format!("{:width$}  RESULT   SECONDS  DETAIL\n", "CHECK");
    for check in checks {
        let result = match check.outcome() {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::NotRun => "not run",
            Outcome::Unspecified => "unknown",
        };
        let duration = check.run_duration.unwrap_or_default();
        let seconds = f64::from(i32::try_from(duration.seconds).unwrap_or(i32::MAX)) + f64::from(duration.nanos) / 1e9;
        let detail = output::visible(&check.detail);
        text.push_str(&format!("{:width$}  {result:7}  {seconds:7.1}  {detail}\n", check.name));
        if !check.remedy.is_empty() {
            text.push_str(&format!("{:width$}           remedy: {}\n", "", output::visible(&check.remedy)));
        }
    }
    text
}
