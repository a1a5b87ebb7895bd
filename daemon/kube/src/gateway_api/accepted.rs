//! What the controllers of the Gateway API say of routes and listeners. Pure.

use serde_json::Value;

/// Why a route leads nowhere yet; `None`: a Gateway has accepted it, and knows where it leads.
#[must_use]
pub fn route_refusal(route: &Value) -> Option<String> {
    let parents = route.pointer("/status/parents").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if parents.is_empty() {
        return Some("no Gateway's controller has accepted it".into());
    }
    let refusals: Vec<Option<String>> = parents.iter().map(|parent| parent_refusal(route, parent)).collect();
    // One way in is enough.
    if refusals.iter().any(Option::is_none) { None } else { refusals.into_iter().flatten().next() }
}

fn parent_refusal(route: &Value, parent: &Value) -> Option<String> {
    let name = parent.pointer("/parentRef/name").and_then(Value::as_str).unwrap_or("?");
    let of = |kind: &str| condition(&parent["conditions"], kind);
    let Some(accepted) = of("Accepted") else { return Some(format!("Gateway {name} has not accepted it")) };
    if is_older(accepted, route) {
        return Some(format!("Gateway {name} has not seen its last change"));
    }
    [Some(accepted), of("ResolvedRefs")]
        .into_iter()
        .flatten()
        .find(|condition| condition["status"] != "True")
        .map(|condition| format!("Gateway {name} refuses it: {}", why(condition)))
}

/// Why a set of listeners serves nobody; `None`: it serves, or no controller has reported anything of it.
#[must_use]
pub fn listeners_refusal(set: &Value) -> Option<String> {
    let own = condition(&set["status"]["conditions"], "Accepted").filter(|accepted| !is_older(accepted, set));
    if let Some(accepted) = own.filter(|accepted| accepted["status"] == "False") {
        return Some(why(accepted));
    }
    listeners_conflict(set).or_else(|| said_of_listeners(set, "Accepted", "False"))
}

/// Why a set of listeners will serve nobody whatever becomes of its certificate: somebody else has a name of it.
#[must_use]
pub fn listeners_conflict(set: &Value) -> Option<String> {
    said_of_listeners(set, "Conflicted", "True")
}

fn said_of_listeners(set: &Value, kind: &str, bad: &str) -> Option<String> {
    let listeners = set.pointer("/status/listeners").and_then(Value::as_array);
    listeners.into_iter().flatten().find_map(|listener| {
        let found = condition(&listener["conditions"], kind).filter(|found| found["status"] == bad);
        let name = listener["name"].as_str().unwrap_or("?");
        found.filter(|found| !is_older(found, set)).map(|found| format!("listener {name}: {}", why(found)))
    })
}

fn condition<'a>(conditions: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions.as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Whether a condition is of an earlier generation.
fn is_older(condition: &Value, object: &Value) -> bool {
    let seen = condition["observedGeneration"].as_i64();
    seen.is_some_and(|seen| Some(seen) < object.pointer("/metadata/generation").and_then(Value::as_i64))
}

fn why(condition: &Value) -> String {
    let text = |key: &str| condition[key].as_str().unwrap_or_default();
    let kind = text("type");
    match (text("reason"), text("message")) {
        ("", "") => format!("{kind} is {}", text("status")),
        (reason, "") => format!("{kind}: {reason}"),
        (reason, message) => format!("{reason}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn accepted(status: &str, generation: i64) -> Value {
        json!({ "type": "Accepted", "status": status, "reason": "NoMatchingParent", "message": "no listener",
            "observedGeneration": generation })
    }

    #[test]
    fn a_route_counts_when_a_gateway_accepts_its_last_generation() {
        let route = |parents: Value| json!({ "metadata": { "generation": 2 }, "status": { "parents": parents } });
        let parent = |conditions: Value| json!({ "parentRef": { "name": "landlord" }, "conditions": conditions });
        let refs = json!({ "type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "" });
        let cases = [
            (json!([]), Some("no Gateway")),
            (json!([parent(json!([]))]), Some("has not accepted")),
            (json!([parent(json!([accepted("True", 2)]))]), None),
            (json!([parent(json!([accepted("True", 1)]))]), Some("last change")),
            (json!([parent(json!([accepted("False", 2)]))]), Some("NoMatchingParent: no listener")),
            (json!([parent(json!([accepted("True", 2), refs]))]), Some("BackendNotFound")),
            (json!([parent(json!([accepted("False", 2)])), parent(json!([accepted("True", 2)]))]), None),
        ];
        for (parents, expected) in cases {
            let found = route_refusal(&route(parents.clone()));
            match expected {
                None => assert_eq!(found, None, "{parents}"),
                Some(part) => assert!(found.clone().unwrap_or_default().contains(part), "{parents}: {found:?}"),
            }
        }
    }

    #[test]
    fn listeners_that_are_refused_or_conflict_say_so() {
        let set = |status: Value| json!({ "metadata": { "generation": 1 }, "status": status });
        let conflicted =
            json!({ "type": "Conflicted", "status": "True", "reason": "HostnameConflict", "message": "taken" });
        let listener = json!({ "name": "web", "conditions": [conflicted] });
        assert_eq!(listeners_refusal(&set(json!({}))), None);
        assert_eq!(listeners_refusal(&set(json!({ "conditions": [accepted("True", 1)] }))), None);
        let refused = listeners_refusal(&set(json!({ "conditions": [accepted("False", 1)] })));
        assert!(refused.unwrap().contains("no listener"));
        let conflict = listeners_refusal(&set(json!({ "listeners": [listener.clone()] }))).unwrap();
        assert_eq!(conflict, "listener web: HostnameConflict: taken");
        // Without a certificate none is accepted, and that is no conflict.
        assert_eq!(listeners_conflict(&set(json!({ "conditions": [accepted("False", 1)] }))), None);
        let both = set(json!({ "conditions": [accepted("False", 1)], "listeners": [listener] }));
        assert_eq!(listeners_conflict(&both).as_deref(), Some("listener web: HostnameConflict: taken"));
    }
}
