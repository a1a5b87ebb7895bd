//! `wait`: until the goal, or until it can't be reached any more.

use std::time::Duration;

use landlord_proto::{
    google::longrunning::{GetOperationRequest, Operation, operation::Result as Ended},
    v1::{self, tenant::State},
};
use tokio::time::Instant;
use tonic::Code;

use super::metadata;
use crate::{arguments::Wait, client::Client, error::Error, name, progress::Progress};

/// The daemon is asked this often: often enough for a live view.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// A daemon that restarts is back by then.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(client: &mut Client, wait: Wait) -> Result<(), Error> {
    if wait.name.starts_with("operations/") {
        return operation(client, &wait.name, wait.timeout).await.map(|_| ());
    }
    let name = name::tenant(&wait.name)?;
    let goal = Goal::parse(&wait.goal)?;
    let deadline = Instant::now() + wait.timeout;
    let mut progress = Progress::default();
    loop {
        let request = v1::GetTenantRequest { name: name.clone() };
        let tenant = match client.tenants.get_tenant(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::NotFound => return goal.gone(&name),
            Err(status) if status.code() == Code::Unavailable && Instant::now() < deadline => {
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            Err(status) => return Err(status.into()),
        };
        let request = GetOperationRequest { name: tenant.latest_operation.clone() };
        let operation = client.operations.get_operation(request).await?.into_inner();
        progress.update(&metadata(&operation));
        if let Some(result) = goal.judge(&tenant, &operation) {
            progress.finish();
            return result;
        }
        if Instant::now() >= deadline {
            progress.finish();
            let state = tenant.state().as_str_name();
            return Err(Error::TimedOut(format!("{name} is {state} after {:?}; the work goes on", wait.timeout)));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
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
                None => Err(Error::Usage(format!(
                    "--for {other:?}: must be ready, deleted, done or condition=TYPE"
                ))),
            },
        }
    }

    fn gone(&self, name: &str) -> Result<(), Error> {
        match self {
            Self::Deleted => Ok(()),
            Self::Ready | Self::Done | Self::Condition(_) => {
                Err(Error::NotFound(format!("{name} does not exist")))
            }
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
            Self::Ready if state == State::Deleting => {
                let message = format!("{} is being deleted", tenant.name);
                Some(Err(Error::Operation { code: Code::Aborted, message }))
            }
            Self::Done => operation.done.then(|| ended(operation.clone()).map(|_| ())),
            Self::Condition(wanted) => {
                let holds = tenant.conditions.iter().any(|c| c.r#type == *wanted && c.status);
                if holds { Some(Ok(())) } else if state == State::Failed { failed() } else { None }
            }
            Self::Deleted if state != State::Deleting && state != State::Failed => None,
            _ if state == State::Failed => failed(),
            _ => None,
        }
    }
}

/// Waits for an operation, showing its progress.
pub(crate) async fn operation(
    client: &mut Client,
    name: &str,
    timeout: Duration,
) -> Result<Operation, Error> {
    let deadline = Instant::now() + timeout;
    let mut progress = Progress::default();
    let mut out_since: Option<Instant> = None;
    loop {
        let request = GetOperationRequest { name: name.to_owned() };
        match client.operations.get_operation(request).await {
            Ok(answer) => {
                out_since = None;
                let operation = answer.into_inner();
                progress.update(&metadata(&operation));
                if operation.done {
                    progress.finish();
                    return ended(operation);
                }
            }
            Err(status) if status.code() == Code::Unavailable => {
                let since = *out_since.get_or_insert_with(Instant::now);
                if since.elapsed() > OUTAGE_PATIENCE {
                    return Err(status.into());
                }
            }
            Err(status) => return Err(status.into()),
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
