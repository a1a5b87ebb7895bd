//! `explain placement`: which rule would choose, and why the others would not.

use std::{fmt::Write as _, path::Path};

use landlord_proto::v1;

use crate::{arguments::Output, client::Client, error::Error, file, output};

/// Ends with an error if one of the tenants would be placed nowhere.
pub(crate) async fn placement(server: &str, path: &Path, form: Output) -> Result<(), Error> {
    let tenants = file::read(path)?;
    let mut client = Client::connect(server).await?;
    let mut nowhere = Vec::new();
    for wanted in tenants {
        let name = wanted.tenant.name.clone();
        let request = v1::ExplainPlacementRequest {
            parent: format!("customers/{}", wanted.customer),
            tenant_id: wanted.tenant_id,
            tenant: Some(wanted.tenant),
        };
        let answer = client.tenants.explain_placement(request).await?.into_inner();
        match form {
            Output::Table | Output::Wide => output::print(text(&name, &answer).trim_end())?,
            other => output::items(other, &[output::json(&answer)?], &[], true)?,
        }
        if !answer.problems.is_empty() {
            nowhere.push(name);
        }
    }
    match nowhere.is_empty() {
        true => Ok(()),
        false => Err(Error::Usage(format!("{} can't be built as asked", nowhere.join(", ")))),
    }
}

fn text(name: &str, answer: &v1::ExplainPlacementResponse) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = match &answer.placement {
        Some(placement) => {
            let because = match placement.rule.as_str() {
                "" => "its class is named".to_owned(),
                rule => format!("rule {rule:?} chooses it"),
            };
            let level = placement.level().as_str_name();
            let account = if placement.account.is_empty() { "(unknown account)" } else { &placement.account };
            writeln!(
                text,
                "{name}: class {}, since {because}\n  provider {}, account {account}, region {}, level {level}",
                placement.class, placement.provider, placement.region
            )
        }
        None => writeln!(text, "{name}: nowhere"),
    };
    let mut chosen = false;
    for verdict in &answer.verdicts {
        let said = match (verdict.matched, chosen) {
            (true, false) => "matches, and chooses".to_owned(),
            (true, true) => "matches, but an earlier rule chose".to_owned(),
            (false, _) => verdict.reason.clone(),
        };
        chosen |= verdict.matched;
        let _ = writeln!(text, "  rule {:?} → class {}: {said}", verdict.rule, verdict.class);
    }
    for problem in &answer.problems {
        let _ = writeln!(text, "  problem: {problem}");
    }
    text
}
