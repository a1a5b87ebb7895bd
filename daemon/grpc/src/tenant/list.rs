//! ListTenants: from the request to the store's query.

use landlord_core::{
    ClassName, ProviderName, State,
    ids::InvalidName,
    ports::{EnvironmentQuery, Owners},
};
use landlord_proto::v1;

use crate::{
    error::{Error, violation},
    list::{filter, page},
    name,
};

/// The list that page tokens belong to.
pub(crate) fn scope(request: &v1::ListTenantsRequest) -> String {
    format!("tenants {} {}", request.parent, request.filter)
}

/// The query of a request.
pub(crate) fn query(request: &v1::ListTenantsRequest) -> Result<EnvironmentQuery, Error> {
    let parent = name::customer_or_all(&request.parent)?;
    let mut filter =
        filter::parse(&request.filter, &["state", "customer", "provider", "tenant_class", "host_cluster"])?;
    let wrong = |field: &str, error: &InvalidName| violation("filter", format!("{field}: {error}"));
    let customer = match filter::one(&mut filter, "customer")? {
        None => parent,
        Some(id) => {
            let id = id.parse().map_err(|error| wrong("customer", &error))?;
            if parent.as_ref().is_some_and(|parent| *parent != id) {
                let problem = format!("customer = {id} is not the parent {}; list customers/-", request.parent);
                return Err(violation("filter", problem).into());
            }
            Some(id)
        }
    };
    let provider = filter::one(&mut filter, "provider")?;
    let class = filter::one(&mut filter, "tenant_class")?;
    let host_cluster = filter::one(&mut filter, "host_cluster")?;
    let scope = scope(request);
    let page = page::Request { scope: &scope, size: request.page_size, token: &request.page_token };
    let states = filter.remove("state").unwrap_or_default();
    Ok(EnvironmentQuery {
        owners: Owners::Tenants {
            customer,
            host_cluster: host_cluster.map(|name| name::host_cluster("filter", &name)).transpose()?,
        },
        states: states.iter().map(|word| state(word)).collect::<Result<_, _>>()?,
        provider: provider
            .map(|id| id.parse::<ProviderName>())
            .transpose()
            .map_err(|error| wrong("provider", &error))?,
        class: class.map(|id| id.parse::<ClassName>()).transpose().map_err(|error| wrong("tenant_class", &error))?,
        after: page.position()?,
        limit: page.limit()?,
    })
}

fn state(word: &str) -> Result<State, Error> {
    const STATES: [State; 6] =
        [State::Pending, State::Provisioning, State::Ready, State::Updating, State::Deleting, State::Failed];
    STATES.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
        let known = STATES.map(State::as_str).join(", ");
        violation("filter", format!("{word:?} is no state; the states are: {known}")).into()
    })
}

#[cfg(test)]
mod tests {
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
        let all = query(&request("customers/-", "")).unwrap();
        assert_eq!((customer_of(&all), all.states.len(), all.limit), (None, 0, 100));
        let one = query(&request("customers/-", r#"customer = "acme" AND (state = READY OR state = FAILED)"#)).unwrap();
        assert_eq!(customer_of(&one).unwrap(), "acme");
        assert_eq!(one.states, [State::Ready, State::Failed]);
        let same = query(&request("customers/acme", "customer = acme")).unwrap();
        assert_eq!(customer_of(&same).unwrap(), "acme");
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
