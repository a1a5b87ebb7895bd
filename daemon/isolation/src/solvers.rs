//! Which of an ACME issuer's solvers cert-manager takes for a name, and whether that one can prove it. Pure: what its credentials may do,
//! nobody sees here.

use std::collections::BTreeMap;

use landlord_core::isolation::GatewayRef;
use serde_json::Value;

/// Whether a solver by DNS-01 may be chosen for a wildcard; what labels its certificate has is its maker's to decide.
pub(crate) fn prove_wildcard(solvers: &Value, wildcard: &str) -> bool {
    let mut solvers = solvers.as_array().into_iter().flatten();
    solvers.any(|solver| solver["dns01"].is_object() && by_name(&solver["selector"], wildcard).is_some())
}

/// Whether what is chosen for a name proves it: by DNS-01, or by HTTP-01 through one of the Gateway's `entrances`, its listeners on
/// port 80.
pub(crate) fn prove_name(
    solvers: &Value,
    name: &str,
    labels: &BTreeMap<String, String>,
    gateway: &GatewayRef,
    entrances: &[String],
) -> bool {
    let Some(solver) = chosen(solvers, name, labels) else { return false };
    if solver["dns01"].is_object() {
        return true;
    }
    let parents = solver.pointer("/http01/gatewayHTTPRoute/parentRefs").and_then(Value::as_array);
    parents.into_iter().flatten().any(|parent| leads_to(parent, gateway, entrances))
}

/// Whether a challenge's route of the Gateway's own namespace attaches to one of the entrances.
fn leads_to(parent: &Value, gateway: &GatewayRef, entrances: &[String]) -> bool {
    let is = |key: &str, wanted: &str| parent[key].as_str().is_none_or(|value| value == wanted);
    let section = parent["sectionName"].as_str();
    parent["name"] == *gateway.name
        && is("kind", "Gateway")
        && is("namespace", &gateway.namespace)
        && entrances.iter().any(|entrance| section.is_none_or(|section| section == entrance))
}

/// The most specific one, and of those the first: by name, then by the longest zone, then by the most labels.
/// <https://cert-manager.io/docs/configuration/acme/#adding-multiple-solver-types>
fn chosen<'a>(solvers: &'a Value, name: &str, labels: &BTreeMap<String, String>) -> Option<&'a Value> {
    let mut best: Option<((bool, usize, usize), &Value)> = None;
    for solver in solvers.as_array().into_iter().flatten() {
        let selector = &solver["selector"];
        let (Some((named, zone)), Some(labelled)) = (by_name(selector, name), by_labels(selector, labels)) else {
            continue;
        };
        let weight = (named, zone, labelled);
        if best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, solver));
        }
    }
    best.map(|(_, solver)| solver)
}

/// Whether a selector takes a name: whether it names it, and how many labels its zone for it has. A selector that says nothing takes all.
fn by_name(selector: &Value, name: &str) -> Option<(bool, usize)> {
    let list = |key: &str| selector[key].as_array().filter(|list| !list.is_empty());
    let is_named = match list("dnsNames") {
        Some(names) if names.iter().any(|own| own == name) => true,
        Some(_) => return None,
        None => false,
    };
    let Some(zones) = list("dnsZones") else { return Some((is_named, 0)) };
    let within = |zone: &&str| name == *zone || name.ends_with(&format!(".{zone}"));
    let longest = zones.iter().filter_map(Value::as_str).filter(within).map(|zone| zone.split('.').count()).max()?;
    Some((is_named, longest))
}

/// How many labels of a certificate a selector names; `None`: it has not all of them.
fn by_labels(selector: &Value, labels: &BTreeMap<String, String>) -> Option<usize> {
    let wanted = selector["matchLabels"].as_object();
    let mut wanted = wanted.into_iter().flatten();
    let has = |(key, value): (&String, &Value)| labels.get(key).is_some_and(|own| value == own);
    let count = wanted.clone().count();
    wanted.all(has).then_some(count)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wildcard_needs_a_solver_by_dns_for_its_zone() {
        let (http, dns) = (json!({ "http01": {} }), json!({ "dns01": { "route53": {} } }));
        let of = |selector: Value| json!({ "dns01": {}, "selector": selector });
        let cases = [
            (json!([]), false),
            (Value::Null, false),
            (json!([http]), false),
            (json!([http, dns]), true),
            (json!([of(json!({ "dnsZones": ["example.com"] }))]), true),
            (json!([of(json!({ "dnsZones": ["acme.example.com"] }))]), true),
            (json!([of(json!({ "dnsZones": ["me.example.com", "example.org"] }))]), false),
            (json!([of(json!({ "dnsNames": ["*.acme.example.com"] }))]), true),
            (json!([of(json!({ "dnsNames": ["acme.example.com"] }))]), false),
            (json!([of(json!({ "matchLabels": { "a": "b" } }))]), true),
        ];
        for (solvers, expected) in cases {
            assert_eq!(prove_wildcard(&solvers, "*.acme.example.com"), expected, "{solvers}");
        }
    }

    fn at(parent: Value) -> Value {
        json!({ "http01": { "gatewayHTTPRoute": { "parentRefs": [parent] } } })
    }

    fn selected(mut solver: Value, selector: Value) -> Value {
        solver["selector"] = selector;
        solver
    }

    #[test]
    fn a_name_needs_a_solver_through_its_gateway_or_by_dns() {
        let gateway = GatewayRef { name: "landlord".into(), namespace: "edge".into() };
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let here = json!({ "name": "landlord", "namespace": "edge", "kind": "Gateway", "sectionName": "http" });
        let with = |key: &str, value: &str| {
            let mut parent = here.clone();
            parent[key] = json!(value);
            at(parent)
        };
        let (dns, ingress) = (json!({ "dns01": {} }), json!({ "http01": { "ingress": {} } }));
        let fits = at(here.clone());
        let cases = [
            (json!([]), false),
            (Value::Null, false),
            (json!([ingress]), false),
            (json!([{ "http01": { "gatewayHTTPRoute": {} } }]), false),
            (json!([dns]), true),
            (json!([fits]), true),
            (json!([at(json!({ "name": "landlord" }))]), true),
            (json!([with("name", "other")]), false),
            (json!([with("namespace", "other")]), false),
            (json!([with("kind", "ListenerSet")]), false),
            (json!([with("sectionName", "https")]), false),
            // The first of those that say as much is taken, whether it can prove the name or not.
            (json!([ingress, fits]), false),
            (json!([fits, ingress]), true),
            // The more specific one, wherever it stands.
            (json!([ingress, selected(fits.clone(), json!({ "dnsZones": ["example.com"] }))]), true),
            (json!([fits, selected(ingress.clone(), json!({ "dnsZones": ["example.com"] }))]), false),
            (
                json!([
                    selected(ingress.clone(), json!({ "dnsZones": ["example.com"] })),
                    selected(fits.clone(), json!({ "dnsZones": ["acme.example.com"] })),
                ]),
                true,
            ),
            (
                json!([
                    selected(ingress.clone(), json!({ "dnsZones": ["acme.example.com"] })),
                    selected(fits.clone(), json!({ "dnsNames": ["chat.acme.example.com"] })),
                ]),
                true,
            ),
            (json!([selected(fits.clone(), json!({ "dnsNames": ["acme.example.com"] }))]), false),
            (json!([selected(fits.clone(), json!({ "dnsZones": ["me.example.com"] }))]), false),
            (json!([selected(fits.clone(), json!({ "matchLabels": { "a": "c" } }))]), false),
            (json!([ingress, selected(fits.clone(), json!({ "matchLabels": { "a": "b" } }))]), true),
        ];
        for (solvers, expected) in cases {
            let proved = prove_name(&solvers, "chat.acme.example.com", &labels, &gateway, &["http".into()]);
            assert_eq!(proved, expected, "{solvers}");
        }
        // A Gateway that nobody enters at port 80.
        assert!(!prove_name(&json!([fits]), "chat.acme.example.com", &labels, &gateway, &[]));
    }
}
