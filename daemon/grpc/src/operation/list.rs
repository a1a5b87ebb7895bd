//! ListOperations: from the request to the store's query.

use landlord_core::{EnvironmentName, ports::OperationQuery};
use landlord_proto::google::longrunning::ListOperationsRequest;

use crate::{
    error::{Error, violation},
    list::{filter, page},
    name,
};

/// The list that page tokens belong to.
pub(crate) fn scope(request: &ListOperationsRequest) -> String {
    format!("operations {}", request.filter)
}

/// The query of a request.
pub(crate) fn query(request: &ListOperationsRequest) -> Result<OperationQuery, Error> {
    let mut filter = filter::parse(&request.filter, &["tenant", "host_cluster", "done"])?;
    if !["", "operations"].contains(&request.name.as_str()) {
        return Err(violation("name", format!("{:?} must be \"operations\"", request.name)).into());
    }
    let done = match filter::one(&mut filter, "done")?.as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => {
            return Err(violation("filter", format!("done = {other:?}: must be true or false")).into());
        }
    };
    let tenant = filter::one(&mut filter, "tenant")?.map(|name| name::tenant("filter", &name)).transpose()?;
    let host = filter::one(&mut filter, "host_cluster")?.map(|name| name::host_cluster("filter", &name)).transpose()?;
    if tenant.is_some() && host.is_some() {
        return Err(violation("filter", "an operation is about a tenant or about a host cluster").into());
    }
    let scope = scope(request);
    let page = page::Request { scope: &scope, size: request.page_size, token: &request.page_token };
    Ok(OperationQuery {
        name: tenant.map(EnvironmentName::from).or_else(|| host.map(EnvironmentName::from)),
        done,
        after: page.position()?,
        limit: page.limit()?,
    })
}
