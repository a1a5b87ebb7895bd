//! ListTenants: from the request to the store's query.

use landlord_core::{
    ClassName, ProviderName, State,
    ids::InvalidName,
    ports::{EnvironmentQuery, Owners},
};
use landlord_proto::v1;
use tonic::Status;

use crate::{filter, host, page, request, status};

/// The list that page tokens belong to.
pub(crate) fn scope(asked: &v1::ListTenantsRequest) -> String {
    format!("tenants {} {}", asked.parent, asked.filter)
}

/// The query of a request.
pub(crate) fn query(asked: &v1::ListTenantsRequest) -> Result<EnvironmentQuery, Status> {
    let parent = request::customer_or_all(&asked.parent)?;
    let mut filter = filter::parse(&asked.filter, &["state", "customer", "provider", "tenant_class", "host_cluster"])?;
    let name = |field: &str, error: &InvalidName| status::invalid_field("filter", format!("{field}: {error}"));
    let customer = match filter::one(&mut filter, "customer")? {
        None => parent,
        Some(id) => {
            let id = id.parse().map_err(|error| name("customer", &error))?;
            if parent.as_ref().is_some_and(|parent| *parent != id) {
                let problem = format!("customer = {id} is not the parent {}; list customers/-", asked.parent);
                return Err(status::invalid_field("filter", problem));
            }
            Some(id)
        }
    };
    let provider = filter::one(&mut filter, "provider")?;
    let class = filter::one(&mut filter, "tenant_class")?;
    let host_cluster = filter::one(&mut filter, "host_cluster")?;
    let states = filter.remove("state").unwrap_or_default();
    Ok(EnvironmentQuery {
        owners: Owners::Tenants {
            customer,
            host_cluster: host_cluster.map(|name| host::id("filter", &name)).transpose()?,
        },
        states: states.iter().map(|word| state(word)).collect::<Result<_, _>>()?,
        provider: provider
            .map(|id| id.parse::<ProviderName>())
            .transpose()
            .map_err(|error| name("provider", &error))?,
        class: class.map(|id| id.parse::<ClassName>()).transpose().map_err(|error| name("tenant_class", &error))?,
        after: page::position(&scope(asked), &asked.page_token)?,
        limit: page::size(asked.page_size)?,
    })
}

fn state(word: &str) -> Result<State, Status> {
    const STATES: [State; 6] =
        [State::Pending, State::Provisioning, State::Ready, State::Updating, State::Deleting, State::Failed];
    STATES.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
        let known = STATES.map(State::as_str).join(", ");
        status::invalid_field("filter", format!("{word:?} is no state; the states are: {known}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(parent: &str, filter: &str) -> v1::ListTenantsRequest {
        v1::ListTenantsRequest { parent: parent.into(), filter: filter.into(), ..Default::default() }
    }

    #[test]
    fn parent_and_filter_together_choose() {
        let customer_of = |query: &EnvironmentQuery| match &query.owners {
            Owners::Tenants { customer, .. } => customer.as_ref().map(|id| id.as_str().to_owned()),
            Owners::HostClusters => panic!("not of tenants"),
        };
        let all = query(&asked("customers/-", "")).unwrap();
        assert_eq!((customer_of(&all), all.states.len(), all.limit), (None, 0, 100));
        let one = query(&asked("customers/-", r#"customer = "acme" AND (state = READY OR state = FAILED)"#)).unwrap();
        assert_eq!(customer_of(&one).unwrap(), "acme");
        assert_eq!(one.states, [State::Ready, State::Failed]);
        let same = query(&asked("customers/acme", "customer = acme")).unwrap();
        assert_eq!(customer_of(&same).unwrap(), "acme");
    }

    #[test]
    fn a_filter_can_not_reach_beyond_the_parent() {
        let status = query(&asked("customers/acme", "customer = globex")).unwrap_err();
        assert!(status.message().contains("globex"), "{}", status.message());
        for (parent, filter) in [("", ""), ("customers/acme", "state = GREEN"), ("customers/-", "tenant_class = A/B")] {
            let status = query(&asked(parent, filter)).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{parent} {filter}");
        }
    }
}
