//! Which objects are leftovers of one cluster. Pure.

use std::collections::BTreeSet;

use landlord_provider_api::v1;

use super::kinds::Kind;
use crate::{compute::Object, names::Names};

/// Label that the disk driver and newer controllers set:
/// <https://cloud.google.com/kubernetes-engine/docs/how-to/creating-managing-labels>.
const CLUSTER_LABEL: &str = "goog-k8s-cluster-name";
const LOCATION_LABEL: &str = "goog-k8s-cluster-location";
/// Firewall rule of a load balancer, before the load balancer's name:
/// <https://github.com/kubernetes/cloud-provider-gcp>, providers/gce.
const BALANCER_RULE: &str = "k8s-fw-";
/// Firewall rule of a health check, after the health check's name.
const CHECK_RULE: &str = "-http-hc";
/// Rounds of following references: rule → proxy → URL map → backend → group is four.
const ROUNDS_MAX: usize = 8;

/// An object that may be a leftover.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) kind: &'static Kind,
    pub(super) object: Object,
}

/// Distinguishes leftovers of one cluster from everything else.
pub(super) struct Matcher {
    cluster: String,
    /// The cluster at the end of a path, or before a quote in JSON.
    cluster_path: String,
    region: String,
    network: String,
}

impl Matcher {
    pub(super) fn new(scope: &v1::Scope, names: &Names) -> Self {
        Self {
            cluster: names.cluster().to_owned(),
            cluster_path: format!("/clusters/{}", names.cluster()),
            region: scope.region.clone(),
            network: format!("projects/{}/global/networks/{}", scope.account, names.network()),
        }
    }

    /// The leftovers among all objects of a project, in their order. `known`: paths of those that
    /// were found before.
    pub(super) fn select(&self, all: Vec<Candidate>, known: &[String]) -> Vec<Candidate> {
        let named: BTreeSet<String> = all.iter().filter_map(|c| self.named_by_rule(c)).collect();
        let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
        let is_first = |object: &Object| {
            let found_before = by_controller(&object.name) && known.contains(path(&object.self_link));
            self.is_marked(object) || named.contains(&object.name) || found_before
        };
        let mut is_ours: Vec<bool> = all.iter().map(|c| is_first(&c.object)).collect();
        for _ in 0..ROUNDS_MAX {
            let links: BTreeSet<&str> =
                all.iter().zip(&is_ours).filter(|(_, ours)| **ours).flat_map(|(c, _)| references(&c.object)).collect();
            let ours: BTreeSet<&str> =
                all.iter().zip(&is_ours).filter(|(_, ours)| **ours).map(|(c, _)| path(&c.object.self_link)).collect();
            let next: Vec<bool> = all
                .iter()
                .zip(&is_ours)
                .map(|(c, known)| {
                    // Used by one of ours, or, with a controller's name, using one of ours.
                    let used = links.contains(path(&c.object.self_link));
                    let uses = references(&c.object).iter().any(|r| ours.contains(r));
                    *known || (by_controller(&c.object.name) && (used || uses))
                })
                .collect();
            if next == is_ours {
                break;
            }
            is_ours = next;
        }
        all.into_iter().zip(is_ours).filter_map(|(candidate, ours)| ours.then_some(candidate)).collect()
    }

    /// Whether the object itself shows that it is this cluster's.
    fn is_marked(&self, object: &Object) -> bool {
        let label = |key: &str| object.labels.get(key).map(String::as_str);
        if label(CLUSTER_LABEL) == Some(self.cluster.as_str()) {
            return label(LOCATION_LABEL).is_none_or(|l| l == self.region);
        }
        let description = &object.description;
        let after = description.split(self.cluster_path.as_str()).nth(1);
        if after.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')) {
            return true;
        }
        path(&object.network) == self.network && by_controller(&object.name)
    }

    /// The load balancer or health check that a firewall rule in the tenant's network is for.
    fn named_by_rule(&self, candidate: &Candidate) -> Option<String> {
        let object = &candidate.object;
        if !candidate.kind.is_firewall() || path(&object.network) != self.network {
            return None;
        }
        let name = object.name.as_str();
        let of = name.strip_prefix(BALANCER_RULE).or_else(|| name.strip_suffix(CHECK_RULE));
        of.filter(|n| by_controller(n)).map(str::to_owned)
    }
}

/// Whether a name is one that GKE or a controller gives: `gke-…`, `k8s-…`, `k8s1-…`, `gkegw1-…`,
/// or `a` and a Service's uid.
pub(crate) fn by_controller(name: &str) -> bool {
    let uid = name
        .strip_prefix('a')
        .is_some_and(|rest| rest.len() >= 20 && rest.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f')));
    uid || name.starts_with("k8s") || name.starts_with("gke")
}

/// `projects/P/…` of a URL of any form.
pub(super) fn path(link: &str) -> &str {
    link.find("projects/").map_or(link, |at| &link[at..])
}

/// What an object points to.
fn references(object: &Object) -> Vec<&str> {
    let single = [&object.target, &object.backend_service, &object.url_map, &object.default_service];
    let groups = object.backends.iter().map(|b| &b.group);
    let links = single.into_iter().chain(groups).chain(&object.health_checks);
    links.filter(|l| !l.is_empty()).map(|l| path(l)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::kinds::KINDS, Candidate, Matcher, by_controller};
    use crate::{compute::Object, names::Names};
    use landlord_provider_api::v1::Scope;
    use serde_json::{Value, json};

    const BALANCER: &str = "a0f1e2d3c4b5a69788776655443322110";

    fn candidate(collection: &str, place: &str, mut value: Value) -> Candidate {
        let name = value["name"].as_str().expect("a name").to_owned();
        value["selfLink"] =
            json!(format!("https://www.googleapis.com/compute/v1/projects/acme-prod/{place}/{collection}/{name}"));
        if let Some(region) = place.strip_prefix("regions/") {
            value["region"] =
                json!(format!("https://www.googleapis.com/compute/v1/projects/acme-prod/regions/{region}"));
        }
        let object: Object = serde_json::from_value(value).expect("an object");
        let kind = KINDS.iter().find(|k| k.collection == collection).expect("a known collection");
        Candidate { kind, object }
    }

    fn matcher() -> Matcher {
        let scope = Scope {
            tenant_uid: "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b".to_owned(),
            account: "acme-prod".to_owned(),
            region: "europe-west1".to_owned(),
            ..Scope::default()
        };
        Matcher::new(&scope, &Names::new(&scope).expect("a good uid"))
    }

    fn selected(all: Vec<Candidate>) -> Vec<String> {
        matcher().select(all, &[]).into_iter().map(|c| format!("{} {}", c.kind.collection, c.object.name)).collect()
    }

    fn network(uid: &str) -> String {
        format!("https://www.googleapis.com/compute/v1/projects/acme-prod/global/networks/landlord-{uid}")
    }

    #[test]
    fn a_load_balancer_is_followed_from_its_firewall_rule() {
        let ours = network("0192f0c12d3e7a4b8c5d6e7f80910a1b");
        let here = "regions/europe-west1";
        let all = vec![
            candidate("forwardingRules", here, json!({ "name": BALANCER })),
            candidate(
                "targetPools",
                here,
                json!({ "name": BALANCER, "healthChecks": ["projects/acme-prod/global/httpHealthChecks/k8s-1234-node"] }),
            ),
            candidate("httpHealthChecks", "global", json!({ "name": "k8s-1234-node" })),
            candidate("addresses", here, json!({ "name": BALANCER })),
            candidate("firewalls", "global", json!({ "name": format!("k8s-fw-{BALANCER}"), "network": ours })),
            candidate("firewalls", "global", json!({ "name": "k8s-1234-node-http-hc", "network": ours })),
            candidate("firewalls", "global", json!({ "name": "allow-ssh", "network": ours })),
            candidate("addresses", here, json!({ "name": "reserved-by-hand" })),
        ];
        let found = selected(all);
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(!found.iter().any(|f| f.contains("allow-ssh") || f.contains("by-hand")), "{found:?}");
    }

    #[test]
    fn a_gateways_parts_are_followed_from_a_description_and_an_endpoint_group() {
        let cluster =
            r#"{"k8sCluster":"/projects/1/locations/europe-west1/clusters/landlord-0192f0c12d3ea4b8c5d6e7f80910a1b"}"#;
        let link = |rest: &str| format!("https://www.googleapis.com/compute/v1/projects/acme-prod/{rest}");
        let all = vec![
            candidate(
                "forwardingRules",
                "global",
                json!({ "name": "gkegw1-x-fr", "target": link("global/targetHttpProxies/gkegw1-x-proxy") }),
            ),
            candidate(
                "targetHttpProxies",
                "global",
                json!({ "name": "gkegw1-x-proxy", "urlMap": link("global/urlMaps/gkegw1-x-map") }),
            ),
            candidate(
                "urlMaps",
                "global",
                json!({ "name": "gkegw1-x-map", "defaultService": link("global/backendServices/gkegw1-x-be") }),
            ),
            candidate(
                "backendServices",
                "global",
                json!({ "name": "gkegw1-x-be", "description": cluster,
                "healthChecks": [link("global/healthChecks/gkegw1-x-hc")] }),
            ),
            candidate("healthChecks", "global", json!({ "name": "gkegw1-x-hc" })),
            candidate("backendServices", "global", json!({ "name": "gkegw1-y-be" })),
        ];
        let found = selected(all);
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn another_tenants_and_foreign_objects_stay() {
        let label = |cluster: &str| json!({ "name": "pvc-1", "labels": { "goog-k8s-cluster-name": cluster } });
        let all = vec![
            candidate("disks", "zones/europe-west1-b", label("landlord-0192f0c12d3ea4b8c5d6e7f80910a1c")),
            candidate(
                "firewalls",
                "global",
                json!({ "name": format!("k8s-fw-{BALANCER}"), "network": network("0192f0c12d3e7a4b8c5d6e7f80910a1c") }),
            ),
            candidate("forwardingRules", "regions/europe-west1", json!({ "name": BALANCER })),
            candidate(
                "backendServices",
                "global",
                json!({ "name": "k8s-x", "description": "/clusters/landlord-0192f0c12d3ea4b8c5d6e7f80910a1bb" }),
            ),
        ];
        assert_eq!(selected(all), Vec::<String>::new());
        let mut elsewhere = label("landlord-0192f0c12d3ea4b8c5d6e7f80910a1b");
        elsewhere["labels"]["goog-k8s-cluster-location"] = json!("us-central1");
        assert_eq!(selected(vec![candidate("disks", "zones/us-central1-a", elsewhere)]), Vec::<String>::new());
    }

    #[test]
    fn what_was_found_before_is_found_without_what_reported_it() {
        let check = candidate("healthChecks", "global", json!({ "name": "gkegw1-x-hc" }));
        let by_hand = candidate("healthChecks", "global", json!({ "name": "by-hand" }));
        let known = ["gkegw1-x-hc", "by-hand"].map(|n| format!("projects/acme-prod/global/healthChecks/{n}"));
        let found = matcher().select(vec![check.clone(), by_hand.clone()], &known);
        assert_eq!(found.iter().map(|c| c.object.name.as_str()).collect::<Vec<_>>(), ["gkegw1-x-hc"]);
        assert_eq!(matcher().select(vec![check, by_hand], &[]), []);
    }

    #[test]
    fn names_of_controllers() {
        for good in [BALANCER, "k8s-fw-x", "k8s1-0-x", "gke-c-1234-all", "gkegw1-x"] {
            assert!(by_controller(good), "{good}");
        }
        for bad in ["a-web", "abcdef", "allow-ssh", "default"] {
            assert!(!by_controller(bad), "{bad}");
        }
    }
}
