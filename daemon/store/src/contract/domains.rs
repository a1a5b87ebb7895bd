//! Whose a domain is. Looking and writing are one transaction of the only writer, so that of two creates at the same moment
//! only one gets it. (A store with several writers must lock what it inspected.) Knows no DNS.
//!
//! Two tenants of one customer may nest their domains; else whoever has a domain has all below it, and nobody gets one
//! above, under which the names of others would be his.

use landlord_core::{TenantName, environment::Domain, ports::StoreError};
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::rows::{self, Statement, unavailable};

/// Clashes named at each start: enough to see what is wrong, and no flood.
const NAMED_MAX: usize = 20;

/// Which tenants a domain clashes with.
fn clashing(name: &TenantName, domain: &Domain) -> Statement {
    let own = domain.reversed();
    // Those below are between `com.example.acme.` and the same with `/`, which follows `.`.
    let end = format!("{}/", own.strip_suffix('.').unwrap_or(&own));
    let mut sql = Statement::new("SELECT customer, tenant FROM tenants WHERE (domain_reversed IN (");
    sql.bind_all(domain.reversed_above().into_iter().chain([own.clone()]));
    sql.push(") OR (domain_reversed >= ").bind(own.clone());
    sql.push(" AND domain_reversed < ").bind(end);
    sql.push(")) AND (domain_reversed = ").bind(own);
    sql.push(" OR customer <> ").bind(name.customer.as_str().to_owned());
    sql.push(") AND NOT (customer = ").bind(name.customer.as_str().to_owned());
    sql.push(" AND tenant = ").bind(name.tenant.as_str().to_owned());
    sql.push(") LIMIT 1");
    sql
}

/// Refuses a domain that can't be the tenant's. The tenant itself, if it is there, does not count.
pub(crate) async fn refuse_taken(
    connection: &mut AnyConnection,
    name: &TenantName,
    domain: &Domain,
) -> Result<(), StoreError> {
    let failed = unavailable("looking whose a domain is");
    let Some(row) = clashing(name, domain).query().fetch_optional(connection).await.map_err(&failed)? else {
        return Ok(());
    };
    let text = |column: &str| -> Result<String, StoreError> { row.try_get(column).map_err(&failed) };
    let (customer, tenant) = (text("customer")?, text("tenant")?);
    // Who else is a customer, and what is called how there, is nobody's business.
    let tenant = (customer == name.customer.as_str()).then(|| format!("customers/{customer}/tenants/{tenant}"));
    let clash = match &tenant {
        Some(tenant) => format!("belongs to {tenant} already"),
        None => "is taken, or lies above or below one that is".to_owned(),
    };
    Err(StoreError::DomainTaken { domain: domain.as_str().to_owned(), clash, tenant })
}

/// Domains of tenants that were accepted before they were kept apart; all or none.
pub(crate) async fn fill(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let failed = unavailable("filling domains in");
    let mut filling = connection.begin().await.map_err(&failed)?;
    let rows = sqlx::query("SELECT * FROM tenants WHERE domain_reversed IS NULL AND customer <> ''")
        .fetch_all(&mut *filling)
        .await
        .map_err(&failed)?;
    for row in rows {
        let Some(environment) = rows::readable(&row) else { continue };
        sqlx::query("UPDATE tenants SET domain_reversed = $1 WHERE uid = $2")
            .bind(environment.tenant().map(|tenant| tenant.spec.domain.reversed()))
            .bind(environment.uid.to_string())
            .execute(&mut *filling)
            .await
            .map_err(&failed)?;
    }
    filling.commit().await.map_err(&failed)
}

/// Logs which tenants have domains that would be refused now: they were accepted before that was so, and stay.
pub(crate) async fn log_clashes(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let found = clashes(connection).await?;
    for [tenant, other] in found.iter().take(NAMED_MAX) {
        tracing::warn!(
            tenant,
            other,
            "two tenants have the same domain, or one has a domain below the other customer's: they can respond for each \
             other's names; delete one of them, and order it with a domain of its own"
        );
    }
    if found.len() > NAMED_MAX {
        tracing::warn!(more = found.len() - NAMED_MAX, "more tenants have clashing domains");
    }
    Ok(())
}

/// Every tenant whose domain clashes, with the one nearest above it that it clashes with.
async fn clashes(connection: &mut AnyConnection) -> Result<Vec<[String; 2]>, StoreError> {
    let failed = unavailable("searching for clashing domains");
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT domain_reversed, customer, tenant FROM tenants WHERE domain_reversed IS NOT NULL \
         ORDER BY domain_reversed, customer, tenant",
    )
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let shown = |(domain, customer, tenant): &(String, String, String)| {
        let labels: Vec<&str> = domain.trim_end_matches('.').rsplit('.').collect();
        format!("customers/{customer}/tenants/{tenant} ({})", labels.join("."))
    };
    let mut found = Vec::new();
    // In this order those above come before, and are the ones that the domain begins with.
    let mut above: Vec<&(String, String, String)> = Vec::new();
    for row in &rows {
        while above.last().is_some_and(|higher| !row.0.starts_with(&higher.0)) {
            above.pop();
        }
        let clash = above.iter().rev().find(|higher| higher.0 == row.0 || higher.1 != row.1);
        found.extend(clash.map(|higher| [shown(higher), shown(row)]));
        above.push(row);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{super::plan, *};

    #[tokio::test]
    async fn a_domain_is_looked_up_by_its_index() {
        let name = "customers/acme/tenants/prod".parse().unwrap();
        let domain = Domain::try_from("files.acme.example.com".to_owned()).unwrap();
        let steps = plan::steps(clashing(&name, &domain).text()).await;
        let searches: Vec<_> = steps.iter().filter(|step| step.contains("tenants")).collect();
        assert!(!searches.is_empty(), "{steps:#?}");
        assert!(searches.iter().all(|step| step.starts_with("SEARCH tenants USING")), "{steps:#?}");
        assert!(searches.iter().all(|step| step.contains("tenants_domain")), "{steps:#?}");
    }
}
