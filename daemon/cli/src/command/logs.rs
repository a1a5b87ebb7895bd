//! `logs`: what a tenant's apps write down.

use landlord_proto::v1;

use crate::{arguments::Logs, client::Client, connection::Connection, error::Error, name, output};

/// A line for each line, with where it is from.
pub(crate) async fn run(server: &Connection, logs: Logs, customer: Option<&str>) -> Result<(), Error> {
    let request = v1::GetTenantLogsRequest {
        name: name::tenant(&logs.name, customer)?,
        app: logs.app.unwrap_or_default(),
        since_duration: logs.since.map(|since| since.try_into().unwrap_or(super::DURATION_MAX)),
        tail_lines: logs.tail.unwrap_or_default(),
        follow: logs.follow,
    };
    let follow = request.follow;
    let mut client = Client::connect(server).await?;
    let mut lines = client.tenants.get_tenant_logs(request).await?.into_inner();
    while let Some(some) = lines.message().await? {
        for line in some.lines {
            output::print(&format!("{}/{} {}", line.pod, line.container, line.text))?;
        }
    }
    if follow {
        super::remark("lines are followed for an hour at most; run it again to go on");
    }
    Ok(())
}
