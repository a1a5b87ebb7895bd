//! ListTenants: from the request to a page.

use landlord_core::{
    CustomerId,
    ports::{EnvironmentQuery, Owners, Page},
};
use landlord_proto::v1;

use crate::{
    access::Access,
    displayed::Displayed,
    error::{Error, violation},
    list::{
        environment::{Chosen, Listed, TENANT_FIELDS},
        filter::{self, Expression},
        order::Order,
        page,
        scan::Scan,
    },
    name,
    ports::Ports,
};

/// The tenants of a page, and the token of the next one.
pub(crate) async fn page(
    ports: &Ports,
    access: &Access,
    request: &v1::ListTenantsRequest,
) -> Result<(Vec<Listed>, String), Error> {
    let (mut query, filter) = query(request)?;
    if let Owners::Tenants { host_cluster, .. } = &mut query.owners
        && let Some(id) = host_cluster
        && !Displayed::to(access).shows_host_named(id).await?
    {
        // To this caller nobody lives there, and how many do makes no difference.
        *host_cluster = None;
    }
    let order = Order::parse(&request.order_by, &TENANT_FIELDS)?;
    let scope = format!("tenants {} {} {}", request.parent, request.filter, request.order_by);
    let page =
        page::Request { scope: &scope, size: request.page_size, token: &request.page_token, tokens: &ports.tokens };
    let read = |after: Option<String>, limit: u32| {
        let query = EnvironmentQuery { after, limit, ..query.clone() };
        async move {
            let Page { items, next } = Listed::page(&ports.catalog.now(), ports.store.list(&query).await?);
            let (mut displayed, mut shown) = (Displayed::to(access), Vec::with_capacity(items.len()));
            for item in items {
                shown.push(item.displayed(&mut displayed).await?);
            }
            Ok(Page { items: shown, next })
        }
    };
    Scan { filter: &filter, order: &order, page }.page(read).await
}

/// What the store is requested, and what its items must match.
fn query(request: &v1::ListTenantsRequest) -> Result<(EnvironmentQuery, Expression), Error> {
    let parent = name::customer_or_all(&request.parent)?;
    let filter = filter::parse(&request.filter, &TENANT_FIELDS)?;
    let chosen = Chosen::by(&filter)?;
    let owners = Owners::Tenants { customer: customer(parent, &filter)?, host_cluster: chosen.host_cluster };
    let query = EnvironmentQuery {
        owners,
        states: chosen.states,
        provider: chosen.provider,
        class: chosen.class,
        ..EnvironmentQuery::default()
    };
    Ok((query, filter))
}

/// The only customer that can match. A filter that reaches beyond the parent is a mistake.
fn customer(parent: Option<CustomerId>, filter: &Expression) -> Result<Option<CustomerId>, Error> {
    let Some(customers) = filter.texts("customer") else { return Ok(parent) };
    if let Some(parent) = &parent {
        if let Some(other) = customers.iter().find(|id| *id != parent.as_str()) {
            let problem = format!("customer = {other} is not the parent customers/{parent}; list customers/-");
            return Err(violation("filter", problem).into());
        }
        return Ok(Some(parent.clone()));
    }
    match customers.as_slice() {
        [one] => Ok(one.parse().ok()),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use landlord_core::State;

    use super::*;

    fn request(parent: &str, filter: &str) -> v1::ListTenantsRequest {
        v1::ListTenantsRequest { parent: parent.into(), filter: filter.into(), ..Default::default() }
    }

    #[test]
    fn parent_and_filter_together_choose() {
        let customer_of = |query: &EnvironmentQuery| match &query.owners {
            Owners::Tenants { customer, .. } => customer.as_ref().map(|id| id.as_str().to_owned()),
            Owners::HostClusters => panic!("not of tenants"),
        };
        let query = |parent: &str, filter: &str| super::query(&request(parent, filter)).unwrap().0;
        let all = query("customers/-", "");
        assert_eq!((customer_of(&all), all.states.len()), (None, 0));
        let one = query("customers/-", r#"customer = "acme" AND (state = READY OR state = FAILED)"#);
        assert_eq!(customer_of(&one).unwrap(), "acme");
        assert_eq!(one.states, [State::Ready, State::Failed]);
        let same = query("customers/acme", "customer = acme");
        assert_eq!(customer_of(&same).unwrap(), "acme");
        let two = query("customers/-", "customer = acme OR customer = bolt");
        assert_eq!(customer_of(&two), None);
    }

    #[test]
    fn a_filter_can_not_reach_beyond_the_parent() {
        let refused = query(&request("customers/acme", "customer = globex")).unwrap_err();
        assert!(refused.to_string().contains("globex"), "{refused}");
        for (parent, filter) in [("", ""), ("customers/acme", "state = GREEN"), ("customers/-", "tenant_class = A/B")] {
            let refused = query(&request(parent, filter));
            assert!(matches!(refused, Err(Error::Invalid(_))), "{parent} {filter}");
        }
    }
}
