//! `describe`: all about one tenant, for a human who wonders why it is not READY; `move`: its plan.

use std::fmt::Write as _;

use landlord_proto::{
    google::longrunning::{GetOperationRequest, Operation, operation::Result as Ended},
    v1::{self, StageStatus, stage_status::State},
};

use super::metadata;
use crate::{arguments::Move, client::Client, connection::Connection, error::Error, name, output, progress::elapsed};

pub(crate) async fn run(client: &mut Client, name: &str) -> Result<(), Error> {
    let request = v1::GetTenantRequest { name: name.to_owned() };
    let tenant = client.tenants.get_tenant(request).await?.into_inner();
    let request = GetOperationRequest { name: tenant.latest_operation.clone() };
    let operation = client.operations.get_operation(request).await?.into_inner();
    let mut text = String::new();
    about(&mut text, &tenant);
    about_operation(&mut text, &operation);
    output::print(&text)
}

/// An operation with its stages.
pub(super) fn about_operation(text: &mut String, operation: &Operation) {
    let meta = metadata(operation);
    let done = if operation.done { "ended" } else { "running" };
    let _ = writeln!(text, "\nOperation:   {} ({}, {done})", operation.name, meta.kind);
    if let Some(Ended::Error(error)) = &operation.result {
        let _ = writeln!(text, "Error:       {}", error.message);
    }
    if let Some(progress) = meta.progress.filter(|_| !operation.done) {
        let end = progress.expected_end_time.and_then(|time| jiff::Timestamp::from_second(time.seconds).ok());
        let end = end.map(|end| format!(", expected to end at {end}")).unwrap_or_default();
        let _ = writeln!(text, "Progress:    {} %{end}", progress.percent);
    }
    for stage in &meta.stages {
        one_stage(text, stage);
    }
}

/// What a move would take.
pub(super) async fn movement(server: &Connection, arguments: Move, customer: Option<&str>) -> Result<(), Error> {
    let name = name::tenant(&arguments.name, customer)?;
    let request = v1::MoveTenantRequest {
        name: name.clone(),
        tenant_class: arguments.class,
        etag: String::new(),
        validate_only: arguments.dry_run,
        ..Default::default()
    };
    let plan = Client::connect(server).await?.tenants.move_tenant(request).await?.into_inner();
    let place = |placement: Option<v1::Placement>| {
        let placement = placement.unwrap_or_default();
        format!("class {}, level {}", placement.tenant_class, placement.level().as_str_name())
    };
    let mut text = format!("{name}: from {} to {}\n", place(plan.source), place(plan.destination));
    for (index, step) in plan.steps.iter().enumerate() {
        let _ = writeln!(text, "  {}. {step}", index + 1);
    }
    for obstacle in &plan.obstacles {
        let _ = writeln!(text, "  obstacle: {obstacle}");
    }
    output::print(&text)
}

/// What its class says otherwise by now.
pub(super) fn about_class(text: &mut String, differences: &[String]) {
    if !differences.is_empty() {
        let _ = writeln!(text, "             its class has changed since, and it has not: {}", differences.join(", "));
    }
}

/// Whether it answers; nothing where nobody looks.
fn about_availability(text: &mut String, availability: Option<&v1::Availability>) {
    let Some(known) = availability else { return };
    let state = if known.available { "yes" } else { "NO" };
    let since = known.since_time.map(|time| output::since(time.seconds)).unwrap_or_default();
    let _ = write!(text, "Available:   {state} for {since}");
    if !known.month.is_empty() {
        let _ = write!(text, "; {:.2} % of {}", known.month_percent, known.month);
    }
    let cause = if known.cause.is_empty() { String::new() } else { format!("; {}", output::visible(&known.cause)) };
    let _ = writeln!(text, "{cause}");
}

fn about(text: &mut String, tenant: &v1::Tenant) {
    let placement = tenant.placement.clone().unwrap_or_default();
    let because = if placement.rule.is_empty() {
        "named by the tenant".to_owned()
    } else {
        format!("chosen by rule {}", placement.rule)
    };
    let place: Vec<&str> = [placement.provider.as_str(), &placement.account, &placement.region]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    let state = tenant.state().as_str_name();
    let _ = writeln!(text, "Name:        {}", tenant.name);
    let _ = writeln!(text, "UID:         {}", tenant.uid);
    about_availability(text, tenant.availability.as_ref());
    if !tenant.display_name.is_empty() {
        let _ = writeln!(text, "Display:     {}", tenant.display_name);
    }
    let _ = writeln!(
        text,
        "State:       {state} (generation {}, READY at {})",
        tenant.generation, tenant.observed_generation
    );
    let _ = writeln!(
        text,
        "Placement:   class {} ({because}), {}, level {}",
        placement.tenant_class,
        place.join(" "),
        placement.level().as_str_name()
    );
    about_class(text, &tenant.class_differences);
    if !placement.host_cluster.is_empty() {
        let _ = writeln!(text, "Lives in:    {}", placement.host_cluster);
    }
    if let Some(isolation) = &placement.isolation {
        about_isolation(text, isolation);
    }
    let _ = writeln!(text, "Domain:      {}", tenant.domain);
    let _ = writeln!(text, "Storage:     {} GiB", tenant.storage_gib);
    let mut guards = Vec::new();
    if tenant.deletion_protection {
        guards.push("deletion protection");
    }
    if tenant.paused {
        guards.push("paused");
    }
    if !guards.is_empty() {
        let _ = writeln!(text, "Set:         {}", guards.join(", "));
    }
    for endpoint in &tenant.endpoints {
        let _ = writeln!(text, "Endpoint:    {:<8} {}", endpoint.name, endpoint.url);
    }
    about_conditions(text, &tenant.conditions);
}

/// What keeps a tenant apart in a shared cluster.
fn about_isolation(text: &mut String, isolation: &v1::Isolation) {
    let reach = if isolation.internet_egress { "the internet" } else { "nothing outside" };
    let _ = writeln!(
        text,
        "Isolation:   namespace {}, Pod Security restricted {}, reaches {reach}",
        isolation.namespace, isolation.pod_security_version
    );
    let _ = writeln!(
        text,
        "             {}m CPU, {} to {} MiB memory, {} GiB storage, {} pods, {} load balancers",
        isolation.cpu_request_milli,
        isolation.memory_request_mib,
        isolation.memory_limit_mib,
        isolation.storage_gib,
        isolation.pods,
        isolation.load_balancers
    );
    if !isolation.customer_group.is_empty() {
        let _ = writeln!(text, "             people of group {}", isolation.customer_group);
    }
}

pub(super) fn about_conditions(text: &mut String, conditions: &[v1::Condition]) {
    for condition in conditions {
        let _ = writeln!(
            text,
            "Condition:   {:<12} {:<6} {}{}",
            condition.r#type,
            condition.status,
            condition.reason,
            if condition.message.is_empty() { String::new() } else { format!(": {}", condition.message) }
        );
    }
}

fn one_stage(text: &mut String, stage: &StageStatus) {
    let took = elapsed(stage).as_secs_f64();
    let state = match stage.state() {
        State::Unspecified => "?",
        State::Running => "running",
        State::Done => "done",
        State::Failed => "FAILED",
        State::Skipped => "skipped",
    };
    let attempt = if stage.attempt > 1 { format!(", attempt {}", stage.attempt) } else { String::new() };
    let _ = writeln!(text, "  {:<18} {state:<8} {took:>7.1}s{attempt}", stage.stage);
    if !stage.detail.is_empty() && stage.state() != State::Done {
        let _ = writeln!(text, "      {}", stage.detail);
    }
    if !stage.error_message.is_empty() {
        let code = if stage.error_code.is_empty() { String::new() } else { format!(" {}", stage.error_code) };
        let _ = writeln!(text, "      {}{code}: {}", stage.error_kind, stage.error_message);
    }
    if !stage.remedy.is_empty() {
        let _ = writeln!(text, "      remedy: {}", stage.remedy);
    }
}
