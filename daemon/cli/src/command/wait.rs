//! `wait`: until the goal, or until it can't be reached any more.

use std::time::Duration;

use landlord_proto::{
    google::longrunning::{GetOperationRequest, Operation, operation::Result as Ended},
    v1::{self, tenant::State},
};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::metadata;
use crate::{
    arguments::Wait,
    client::Client,
    connection::Connection,
    error::{Error, is_outage},
    name::{self, Target},
    progress::Progress,
};

/// The daemon is polled this often: often enough for a live view.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// A daemon that restarts is back by then.
const OUTAGE_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) async fn run(server: &Connection, wait: Wait, customer: Option<&str>) -> Result<(), Error> {
    let goal = Goal::parse(&wait.goal)?;
    let of_operation = wait.name.starts_with("operations/");
    let (name, of_host) = match of_operation {
        true => (wait.name.clone(), false),
        false => match name::target(std::slice::from_ref(&wait.name), customer)? {
            Target::Tenant(name) => (name, false),
            Target::Host(name) => (name, true),
        },
    };
    let mut client = Client::connect(server).await?;
    if of_operation {
        return operation(&mut client, &name, wait.timeout).await.map(|_| ());
    }
    let deadline = Instant::now() + wait.timeout;
    let mut progress = Progress::default();
    let mut seen = None;
    let mut outage = Outage::default();
    loop {
        client.renew().await?;
        let state = match observe(&mut client, &name, of_host).await {
            Ok((tenant, operation)) => {
                outage.over();
                progress.update(&metadata(&operation));
                if let Some(result) = goal.judge(&tenant, &operation) {
                    progress.finish();
                    return result;
                }
                seen = Some(operation.name);
                tenant.state().as_str_name()
            }
            Err(status) if status.code() == Code::NotFound => {
                progress.finish();
                return gone(&mut client, &goal, &name, seen).await;
            }
            Err(status) => {
                outage.bear(status)?;
                "not known"
            }
        };
        if Instant::now() >= deadline {
            progress.finish();
            return Err(Error::TimedOut(format!("{name} is {state} after {:?}; the work goes on", wait.timeout)));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn observe(client: &mut Client, name: &str, of_host: bool) -> Result<(v1::Tenant, Operation), Status> {
    let tenant = if of_host {
        let request = v1::GetHostClusterRequest { name: name.to_owned() };
        as_waited(client.hosts.get_host_cluster(request).await?.into_inner())
    } else {
        let request = v1::GetTenantRequest { name: name.to_owned() };
        client.tenants.get_tenant(request).await?.into_inner()
    };
    let request = GetOperationRequest { name: tenant.latest_operation.clone() };
    let operation = client.operations.get_operation(request).await?.into_inner();
    Ok((tenant, operation))
}

/// What a wait observes is the same for both: the states have the same numbers.
fn as_waited(host: v1::HostCluster) -> v1::Tenant {
    v1::Tenant {
        name: host.name,
        state: host.state,
        conditions: host.conditions,
        latest_operation: host.latest_operation,
        ..v1::Tenant::default()
    }
}

/// The end of a wait for a tenant that does not exist (any more): the operation that was last
/// seen at work shows how that came to be.
async fn gone(client: &mut Client, goal: &Goal, name: &str, seen: Option<String>) -> Result<(), Error> {
    if matches!(goal, Goal::Deleted) {
        return Ok(());
    }
    if let Some(operation) = seen {
        let request = GetOperationRequest { name: operation };
        let ending = ended(client.operations.get_operation(request).await?.into_inner());
        if ending.is_err() || matches!(goal, Goal::Done) {
            return ending.map(|_| ());
        }
    }
    Err(Error::NotFound(format!("{name} does not exist")))
}

/// A daemon that does not respond, for a while.
#[derive(Default)]
struct Outage(Option<Instant>);

impl Outage {
    fn over(&mut self) {
        self.0 = None;
    }

    /// Rides out an outage up to a timeout, and no other error.
    fn bear(&mut self, status: Status) -> Result<(), Error> {
        let since = *self.0.get_or_insert_with(Instant::now);
        if !is_outage(&status) || since.elapsed() > OUTAGE_TIMEOUT {
            return Err(status.into());
        }
        Ok(())
    }
}

enum Goal {
    Ready,
    Deleted,
    Done,
    Condition(String),
}

impl Goal {
    fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "ready" => Ok(Self::Ready),
            "delete" | "deleted" => Ok(Self::Deleted),
            "done" | "operation" => Ok(Self::Done),
            other => match other.strip_prefix("condition=") {
                Some(condition) => Ok(Self::Condition(condition.to_owned())),
                None => Err(Error::Usage(format!("--for {other:?}: must be ready, deleted, done or condition=TYPE"))),
            },
        }
    }

    /// The end of the wait, if it has come: reached, or out of reach.
    fn judge(&self, tenant: &v1::Tenant, operation: &Operation) -> Option<Result<(), Error>> {
        let failed = || {
            let message = match &operation.result {
                Some(Ended::Error(error)) => error.message.clone(),
                _ => "a stage failed".into(),
            };
            let message = format!("{} is FAILED: {message}", tenant.name);
            Some(Err(Error::Operation { code: Code::Unknown, message }))
        };
        let (state, settled) = (tenant.state(), tenant.observed_generation == tenant.generation);
        match self {
            Self::Ready if state == State::Ready && settled && operation.done => Some(Ok(())),
            // A cancelled create is unwound; its operation shows so in the end.
            Self::Ready if state == State::Deleting && metadata(operation).kind != "delete" => None,
            Self::Ready if state == State::Deleting => {
                let message = format!("{} is being deleted", tenant.name);
                Some(Err(Error::Operation { code: Code::Aborted, message }))
            }
            Self::Done => operation.done.then(|| ended(operation.clone()).map(|_| ())),
            Self::Condition(wanted) => {
                let holds = tenant.conditions.iter().any(|c| c.r#type == *wanted && c.status);
                if holds {
                    Some(Ok(()))
                } else if state == State::Failed {
                    failed()
                } else {
                    None
                }
            }
            Self::Deleted if state != State::Deleting && state != State::Failed => None,
            _ if state == State::Failed => failed(),
            _ => None,
        }
    }
}

/// Waits for an operation, showing its progress.
pub(crate) async fn operation(client: &mut Client, name: &str, timeout: Duration) -> Result<Operation, Error> {
    let deadline = Instant::now() + timeout;
    let mut progress = Progress::default();
    let mut outage = Outage::default();
    loop {
        client.renew().await?;
        let request = GetOperationRequest { name: name.to_owned() };
        match client.operations.get_operation(request).await {
            Ok(response) => {
                outage.over();
                let operation = response.into_inner();
                progress.update(&metadata(&operation));
                if operation.done {
                    progress.finish();
                    return ended(operation);
                }
            }
            Err(status) => outage.bear(status)?,
        }
        if Instant::now() >= deadline {
            progress.finish();
            return Err(Error::TimedOut(format!("{name} is still running after {timeout:?}")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn ended(operation: Operation) -> Result<Operation, Error> {
    match &operation.result {
        Some(Ended::Error(error)) => Err(Error::Operation {
            code: Code::from_i32(error.code),
            message: format!("{}: {}", operation.name, error.message),
        }),
        _ => Ok(operation),
    }
}
