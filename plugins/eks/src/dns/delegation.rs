//! The NS record in a parent zone that points to a tenant's zone. The record has no room for a
//! marker: it is ours exactly as long as it names our zone's servers, and any other is left
//! alone.

use aws_sdk_route53::types::{ChangeAction, ResourceRecordSet, RrType};
use landlord_provider_api::v1;
use landlord_provider_sdk::zones::same_servers;

use super::{normal, records};
use crate::{aws::Clients, error::Result, tags};

/// How long a resolver may keep the delegation, seconds.
const TTL_S: i64 = 300;

async fn find(aws: &Clients, parent: &str, domain: &str) -> Result<Option<ResourceRecordSet>> {
    let found = records::look_up(aws, parent, domain, &RrType::Ns).await?;
    Ok(found.filter(|r| normal(r.name()) == domain))
}

fn points_to(record: &ResourceRecordSet, servers: &[String]) -> bool {
    same_servers(record.resource_records().iter().map(|record| record.value()), servers)
}

/// Makes the parent point to these servers.
pub(crate) async fn ensure(aws: &Clients, parent: &str, domain: &str, servers: &[String]) -> Result<()> {
    match find(aws, parent, domain).await? {
        Some(record) if points_to(&record, servers) => Ok(()),
        Some(_) => Err(tags::name_taken("delegation", domain).into()),
        None => {
            let record = records::build(domain, RrType::Ns, TTL_S, servers.iter().map(|s| format!("{s}.")))?;
            records::change(aws, parent, vec![(ChangeAction::Create, record)]).await
        }
    }
}

/// Takes the delegation away if it points to these servers.
pub(crate) async fn delete(
    aws: &Clients,
    scope: &v1::Scope,
    parent: &str,
    domain: &str,
    servers: &[String],
) -> Result<Option<v1::OwnedObject>> {
    let Some(record) = find(aws, parent, domain).await?.filter(|r| points_to(r, servers)) else {
        return Ok(None);
    };
    let owned = records::owned(scope, &record);
    records::change(aws, parent, vec![(ChangeAction::Delete, record)]).await?;
    Ok(Some(owned))
}
