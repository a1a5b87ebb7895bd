//! Conditions as messages of the API, and what follows from them.

use std::time::SystemTime;

use landlord_core::{
    Availability, Condition, DesiredState, Environment, State, Timestamp, environment::CUSTOMER_FROZEN,
};
use landlord_proto::v1;

use super::value::timestamp;

/// Whether an environment that was READY answers.
const AVAILABLE: &str = "Available";

/// A condition as clients see it.
pub(super) fn condition(condition: &Condition) -> v1::Condition {
    v1::Condition {
        r#type: condition.r#type.clone(),
        status: condition.status,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: Some(timestamp(condition.transition_time)),
    }
}

/// Whether work is under way: not while it rests, as it does when it is paused.
pub(super) fn reconciling(environment: &Environment) -> bool {
    let paused = environment.status.conditions.iter().find(|known| known.r#type == "Paused" && known.status);
    // By its user, or by what its customer's contract says.
    let by_request = |paused: &Condition| environment.is_paused() || paused.reason == CUSTOMER_FROZEN;
    let rests = environment.desired_state == DesiredState::Present && paused.is_some_and(by_request);
    !rests && !matches!(environment.status.state, State::Ready | State::Failed)
}

/// All conditions, sorted by type, with whether it answers.
pub(super) fn conditions(environment: &Environment) -> Vec<v1::Condition> {
    let mut all: Vec<v1::Condition> = environment.status.conditions.iter().map(condition).collect();
    if let Some(known) = fresh(environment)
        && let Some(available) = known.available
    {
        let (reason, message) = if available { ("Answering", "") } else { ("NotAnswering", known.cause.as_str()) };
        all.push(v1::Condition {
            r#type: AVAILABLE.into(),
            status: available,
            reason: reason.into(),
            message: message.into(),
            last_transition_time: Some(timestamp(known.since)),
        });
        all.sort_by(|a, b| a.r#type.cmp(&b.r#type));
    }
    all
}

/// What is known of its answers now: nothing while it is removed, and nothing where nobody looks any more.
fn fresh(environment: &Environment) -> Option<&Availability> {
    let is_wanted = environment.desired_state == DesiredState::Present;
    let now = Timestamp::from(SystemTime::now());
    environment.availability.as_ref().filter(|known| is_wanted && known.fresh_until >= now)
}

/// Whether it answers, and for how much of the month; `None`: nobody looks.
pub(super) fn availability(environment: &Environment) -> Option<v1::Availability> {
    let known = fresh(environment)?;
    let month = known.month_percent().map(|_| format!("{}-{:02}", known.month / 100, known.month % 100));
    Some(v1::Availability {
        available: known.available?,
        since_time: Some(timestamp(known.since)),
        cause: known.cause.clone(),
        probe_time: Some(timestamp(known.beat_time)),
        month: month.unwrap_or_default(),
        month_percent: known.month_percent().unwrap_or_default(),
        month_down_duration: std::time::Duration::from_millis(known.down_ms).try_into().ok(),
    })
}

#[cfg(test)]
mod tests {
    use landlord_core::{
        OperationId, Owner, Placement, Tenant, TenantSpec, TenantUid, environment::SpecInput, lifecycle,
        placement::ProviderKey,
    };

    use super::*;

    #[test]
    fn what_answers_and_what_does_not_is_a_condition() {
        let spec = SpecInput { domain: "acme.example.com".into(), storage_gib: 1, ..SpecInput::default() };
        let tenant = Tenant {
            name: "customers/acme/tenants/prod".parse().unwrap(),
            spec: TenantSpec::parse(spec).unwrap(),
            host: None,
            last_ready: None,
        };
        let key = ProviderKey { provider: "sky".parse().unwrap(), credentials: String::new() };
        let level = landlord_core::Level::Cluster;
        let placement = Placement::without_choices("small".parse().unwrap(), level, key, String::new(), "here".into());
        let (uid, operation) = (TenantUid(uuid::Uuid::nil()), OperationId(uuid::Uuid::nil()));
        let mut environment = lifecycle::accept(uid, Owner::Tenant(tenant), placement, operation, Timestamp(0));
        assert!(conditions(&environment).is_empty() && availability(&environment).is_none());
        environment.availability = Some(Availability::default());
        assert!(conditions(&environment).is_empty() && availability(&environment).is_none(), "not seen yet");
        let hour = std::time::Duration::from_secs(3_600);
        environment.availability = Some(Availability {
            fresh_until: Timestamp::from(SystemTime::now()).after(hour),
            available: Some(false),
            since: Timestamp(60_000),
            cause: "chat: it answers 502".into(),
            month: 202_611,
            up_ms: 999_000,
            down_ms: 1_000,
            ..Availability::default()
        });
        let [condition] = conditions(&environment).try_into().unwrap();
        assert_eq!((condition.r#type.as_str(), condition.status), ("Available", false));
        assert_eq!((condition.reason.as_str(), condition.message.as_str()), ("NotAnswering", "chat: it answers 502"));
        let shown = availability(&environment).unwrap();
        assert_eq!((shown.month.as_str(), shown.month_percent), ("2026-11", 99.9));
        // A month that nobody has looked at yet.
        let known = environment.availability.clone().unwrap();
        environment.availability = Some(Availability { up_ms: 0, down_ms: 0, ..known.clone() });
        assert_eq!(availability(&environment).unwrap().month, "");
        // Nobody looks any more, or it is being removed.
        environment.availability = Some(Availability { fresh_until: Timestamp(1), ..known.clone() });
        assert!(conditions(&environment).is_empty() && availability(&environment).is_none());
        environment.availability = Some(known);
        environment.desired_state = DesiredState::Absent;
        assert!(conditions(&environment).is_empty() && availability(&environment).is_none());
    }
}
