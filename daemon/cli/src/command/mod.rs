//! The commands, one module each where they are more than a call and a print.

mod access;
mod apply;
mod audit;
mod auth;
mod class;
mod config;
mod customer;
mod delete;
mod describe;
mod diff;
mod explain;
mod get;
mod host;
mod login;
mod logs;
mod orphans;
mod pages;
mod verify;
mod wait;
mod watch;
mod webhooks;

use std::io::Write as _;

use clap::CommandFactory as _;
use landlord_proto::{
    google::longrunning::{CancelOperationRequest, GetOperationRequest, Operation},
    v1,
};
use prost::Message as _;

use crate::{
    arguments::{Arguments, Command, Create, Explain, Get, Kubeconfig, Subject, Update, UpdateRevision, UpdateWhat},
    client::Client,
    connection::Connection,
    error::Error,
    name::{self, Target},
    output,
};

const DURATION_MAX: prost_types::Duration = prost_types::Duration { seconds: i64::MAX, nanos: 0 };

/// Runs a command.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    match arguments.command {
        Command::Version => output::print(&format!("landlord {}", env!("CARGO_PKG_VERSION"))),
        Command::Man { folder } => clap_mangen::generate_to(Arguments::command(), &folder)
            .map_err(|error| Error::Usage(format!("can't write into {}: {error}", folder.display()))),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "landlord", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
        Command::Config { what } => config::run(what, &arguments.connection),
        Command::Login(login) => login::login(login, &arguments.connection).await,
        Command::Logout => crate::login::forget(&Connection::resolve(&arguments.connection)?).await,
        command => with_daemon(command, &Connection::resolve(&arguments.connection)?).await,
    }
}

/// Runs a command that needs a daemon.
async fn with_daemon(command: Command, server: &Connection) -> Result<(), Error> {
    let customer = server.customer.as_deref();
    match command {
        // Need none.
        Command::Version
        | Command::Completion { .. }
        | Command::Man { .. }
        | Command::Config { .. }
        | Command::Login(_)
        | Command::Logout => Ok(()),
        Command::WhoAmI { output } => auth::whoami(server, output).await,
        Command::Audit(of) => audit::run(server, of).await,
        Command::Auth { what } => auth::run(server, what).await,
        // The file is read before the daemon is needed: a mistake in it needs no daemon.
        Command::Apply(apply) => apply::run(server, apply).await,
        Command::Get(get) => get::run(&mut Client::connect(server).await?, outdated(get)?, customer).await,
        Command::Describe { name } => match name::target(&name, customer)? {
            Target::Tenant(name) => describe::run(&mut Client::connect(server).await?, &name).await,
            Target::Host(name) => host::describe(&mut Client::connect(server).await?, &name).await,
        },
        Command::Cordon(of) => {
            let name = name::host(&of.name)?;
            host::cordon(&mut Client::connect(server).await?, name, of.etag).await
        }
        Command::Uncordon(of) => {
            let name = name::host(&of.name)?;
            host::uncordon(&mut Client::connect(server).await?, name, of.etag).await
        }
        Command::Move(of) => describe::movement(server, of, customer).await,
        Command::Create { what: Create::Customer(of) } => customer::create(server, *of).await,
        Command::Update(Update { what: Some(UpdateWhat::Customer(of)), .. }) => customer::update(server, *of).await,
        Command::Update(Update { what: Some(UpdateWhat::HostCluster(of)), .. }) => {
            host::update(server, name::host(&of.name)?, of.parts, of.dry_run).await
        }
        Command::Update(Update { tenant: Some(of), .. }) => {
            match name::target(std::slice::from_ref(&of.name), customer)? {
                Target::Tenant(name) => update(server, name, of).await,
                Target::Host(name) => host::update(server, name, of.parts, of.dry_run).await,
            }
        }
        Command::Update(Update { what: None, tenant: None }) => {
            Err(Error::Usage("update: which tenant or hostcluster NAME, and --to-current; or update customer".into()))
        }
        Command::Delete(delete) if delete.name.first().is_some_and(|what| what == "customer") => {
            let missing = || Error::Usage("delete customer: which one?".into());
            customer::delete(server, delete.name.get(1).ok_or_else(missing)?, delete.etag).await
        }
        Command::Delete(delete) => delete::run(server, delete, customer).await,
        Command::Watch(watch) => watch::run(&mut Client::connect(server).await?, watch, customer).await,
        Command::Wait(wait) => wait::run(server, wait, customer).await,
        Command::Events { name, output } => {
            let target = name::target(&name, customer)?;
            get::events(&mut Client::connect(server).await?, target, output).await
        }
        Command::Retry { name } => retry(server, name::target(&name, customer)?).await,
        Command::Cancel { name } => cancel(server, &name, customer).await,
        Command::Kubeconfig(arguments) => kubeconfig(server, &arguments, customer).await,
        Command::Access(of) => access::run(server, of, customer).await,
        Command::Diff(of) => diff::run(server, of, customer).await,
        Command::Logs(of) => logs::run(server, of, customer).await,
        Command::Rotate(of) => access::rotate(server, of, customer).await,
        Command::Verify(of) => verify::run(server, &of, customer).await,
        Command::Explain { what: Explain::Placement { file, output } } => {
            explain::placement(server, &file, output).await
        }
        Command::Orphans { what, output } => orphans::run(server, what, output).await,
        Command::Webhooks { what, output } => webhooks::run(server, what, output).await,
        Command::Plugins { output } => get::providers(&mut Client::connect(server).await?, output).await,
    }
}

async fn kubeconfig(server: &Connection, arguments: &Kubeconfig, customer: Option<&str>) -> Result<(), Error> {
    use v1::generate_kubeconfig_request::Subject as Wanted;
    let subject = match arguments.subject {
        // The daemon refuses this where it must be given.
        None => Wanted::Unspecified,
        Some(Subject::Operator) => Wanted::Operator,
        Some(Subject::Customer) => Wanted::Customer,
    };
    let request = v1::GenerateKubeconfigRequest {
        name: name::tenant(&arguments.name, customer)?,
        subject: subject.into(),
        // One that protobuf can't hold is beyond what the daemon grants, which refuses it.
        valid_duration: arguments.duration.map(|duration| duration.try_into().unwrap_or(DURATION_MAX)),
    };
    let mut client = Client::connect(server).await?;
    let response = client.tenants.generate_kubeconfig(request).await?.into_inner();
    output::print(&response.kubeconfig)
}

/// `--outdated` is a filter of tenants and host clusters: nothing else differs from its class.
fn outdated(mut get: Get) -> Result<Get, Error> {
    if get.outdated {
        if get.name.is_some() || !matches!(get.what.as_str(), "tenants" | "tenant" | "hostclusters" | "hostcluster") {
            return Err(Error::Usage(format!(
                "get {}: --outdated is for lists of tenants and host clusters",
                get.what
            )));
        }
        get.filter = narrowed("class_differs = true".into(), &get.filter);
    }
    Ok(get)
}

/// A command's own filter, and the one that it was given; empty: none.
fn narrowed(own: String, given: &str) -> String {
    if given.is_empty() { own } else { format!("{own} AND ({given})") }
}

/// Brings a tenant to what is on offer now.
async fn update(server: &Connection, name: String, of: UpdateRevision) -> Result<(), Error> {
    let request = v1::UpdateTenantRevisionRequest {
        name: name.clone(),
        parts: of.parts,
        etag: String::new(),
        request_id: uuid::Uuid::new_v4().to_string(),
        validate_only: of.dry_run,
    };
    let mut client = Client::connect(server).await?;
    let operation = client.tenants.update_tenant_revision(request).await?.into_inner();
    updating(&name, &operation, of.dry_run)
}

/// Says what became of an update.
fn updating(name: &str, operation: &Operation, dry_run: bool) -> Result<(), Error> {
    match dry_run {
        true => output::print(&format!("{name} would be updated")),
        false => output::print(&format!("{name} updating ({})", operation.name)),
    }
}

async fn retry(server: &Connection, target: Target) -> Result<(), Error> {
    let request_id = uuid::Uuid::new_v4().to_string();
    let mut client = Client::connect(server).await?;
    let (name, operation) = match target {
        Target::Tenant(name) => {
            let request = v1::RetryTenantRequest { name: name.clone(), request_id, ..Default::default() };
            (name, client.tenants.retry_tenant(request).await?)
        }
        Target::Host(name) => {
            let request = v1::RetryHostClusterRequest { name: name.clone(), request_id, ..Default::default() };
            (name, client.hosts.retry_host_cluster(request).await?)
        }
    };
    output::print(&format!("{name} retrying ({})", operation.into_inner().name))
}

async fn cancel(server: &Connection, text: &str, customer: Option<&str>) -> Result<(), Error> {
    let target = match text.starts_with("operations/") {
        true => None,
        false => Some(name::target(&[text.to_owned()], customer)?),
    };
    let mut client = Client::connect(server).await?;
    let operation = match target {
        None => text.to_owned(),
        Some(Target::Tenant(tenant)) => latest_operation(&mut client, &tenant).await?,
        Some(Target::Host(name)) => host::get(&mut client, &name).await?.latest_operation,
    };
    let now = client.operations.get_operation(GetOperationRequest { name: operation.clone() }).await?.into_inner();
    if now.done {
        return output::print(&format!("{operation} has ended already; nothing is cancelled"));
    }
    client.operations.cancel_operation(CancelOperationRequest { name: operation.clone() }).await?;
    output::print(&format!("{operation} cancelling"))
}

/// The newest operation of a tenant.
async fn latest_operation(client: &mut Client, name: &str) -> Result<String, Error> {
    let request = v1::GetTenantRequest { name: name.to_owned() };
    Ok(client.tenants.get_tenant(request).await?.into_inner().latest_operation)
}

/// What an operation carries.
fn metadata(operation: &Operation) -> v1::OperationMetadata {
    let any = operation.metadata.as_ref();
    any.and_then(|any| v1::OperationMetadata::decode(any.value.as_slice()).ok()).unwrap_or_default()
}

/// A remark for humans, on standard error.
fn remark(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", output::visible(text));
}
