//! `explain placement`: which rule would choose, and why the others would not.

use std::{fmt::Write as _, path::Path};

use landlord_proto::v1;

use crate::{arguments::Output, client::Client, connection::Connection, error::Error, file, output};

/// Ends with an error if one of the tenants would be placed nowhere.
pub(crate) async fn placement(server: &Connection, path: &Path, form: Output) -> Result<(), Error> {
    let tenants = file::tenants(path)?;
    let mut client = Client::connect(server).await?;
    let mut nowhere = Vec::new();
    for wanted in tenants {
        let name = wanted.tenant.name.clone();
        let request = v1::ExplainPlacementRequest {
            parent: format!("customers/{}", wanted.customer),
            tenant_id: wanted.tenant_id,
            tenant: Some(wanted.tenant),
        };
        let response = client.tenants.explain_placement(request).await?.into_inner();
        match form {
            Output::Table | Output::Wide => output::print(text(&name, &response).trim_end())?,
            other => output::items(other, &[output::json(&response)?], &[], true)?,
        }
        if !response.problems.is_empty() {
            nowhere.push(name);
        }
    }
    match nowhere.is_empty() {
        true => Ok(()),
        false => Err(Error::Usage(format!("{} can't be built as ordered", nowhere.join(", ")))),
    }
}

fn text(name: &str, response: &v1::ExplainPlacementResponse) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = match &response.placement {
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
                placement.tenant_class, placement.provider, placement.region
            )
        }
        None => writeln!(text, "{name}: nowhere"),
    };
    let mut chosen = false;
    for verdict in &response.verdicts {
        let verdict_text = match (verdict.matched, chosen) {
            (true, false) => "matches, and chooses".to_owned(),
            (true, true) => "matches, but an earlier rule chose".to_owned(),
            (false, _) => verdict.reason.clone(),
        };
        chosen |= verdict.matched;
        let _ = writeln!(text, "  rule {:?} → class {}: {verdict_text}", verdict.rule, verdict.tenant_class);
    }
    hosts(&mut text, response);
    for problem in &response.problems {
        let _ = writeln!(text, "  problem: {problem}");
    }
    text
}

/// What each host cluster is for it; nothing at level CLUSTER.
fn hosts(text: &mut String, response: &v1::ExplainPlacementResponse) {
    for host in &response.host_clusters {
        let verdict_text = match (host.chosen, host.reason.as_str()) {
            (true, _) => "is chosen".to_owned(),
            (false, "") => "would do, but another one is better".to_owned(),
            (false, reason) => reason.to_owned(),
        };
        let _ = writeln!(
            text,
            "  host cluster {} ({} of {} tenants, {} of this customer): {verdict_text}",
            host.host_cluster.trim_start_matches("hostClusters/"),
            host.tenant_count,
            host.tenants_max,
            host.customer_tenant_count
        );
    }
    let placed = response.placement.as_ref().filter(|placement| placement.level() != v1::placement::Level::Cluster);
    if placed.is_some_and(|placement| placement.host_cluster.is_empty()) {
        let _ = writeln!(text, "  a new host cluster would be ordered, and waited for");
    }
}
