//! Compute Engine's responses, as far as they are read. Every type of object is read into the same
//! struct: what it lacks stays empty.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    action::Action,
    error::{Error, ErrorBody},
    markers::{self, Labels},
    names::last_part,
};

/// Any object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) self_link: String,
    pub(crate) description: String,
    pub(crate) labels: HashMap<String, String>,
    /// URL of its region; empty for global and zonal ones.
    pub(crate) region: String,
    /// URL of its zone.
    pub(crate) zone: String,
    /// URL of its network.
    pub(crate) network: String,
    /// Machines: their interfaces.
    pub(crate) network_interfaces: Vec<NetworkInterface>,
    /// Subnetworks: primary range.
    pub(crate) ip_cidr_range: String,
    /// Regions: URLs of the zones.
    pub(crate) zones: Vec<String>,
    /// Forwarding rules: what they send to.
    pub(crate) target: String,
    pub(crate) backend_service: String,
    /// Target proxies.
    pub(crate) url_map: String,
    /// URL maps.
    pub(crate) default_service: String,
    /// Backend services.
    pub(crate) backends: Vec<Backend>,
    pub(crate) health_checks: Vec<String>,
    /// Managed instance groups: machines wanted.
    pub(crate) target_size: i32,
}

/// An interface of a machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct NetworkInterface {
    /// URL of its network.
    pub(crate) network: String,
}

/// A backend of a backend service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Backend {
    /// URL of the instance group or network endpoint group.
    pub(crate) group: String,
}

impl Object {
    /// Markers: labels, or for what has none the description.
    pub(crate) fn markers(&self) -> Labels {
        if self.labels.is_empty() { markers::of_description(&self.description) } else { self.labels.clone() }
    }

    /// Whether it lies in a network, or has an interface there; `projects/P/global/networks/N`.
    pub(crate) fn is_in(&self, network: &str) -> bool {
        self.network.ends_with(network) || self.network_interfaces.iter().any(|nic| nic.network.ends_with(network))
    }

    /// The part of its URL that shows where it is: `global`, `regions/R`, `zones/Z`.
    pub(crate) fn place(&self) -> String {
        match (self.zone.as_str(), self.region.as_str()) {
            ("", "") => "global".to_owned(),
            ("", region) => format!("regions/{}", last_part(region)),
            (zone, _) => format!("zones/{}", last_part(zone)),
        }
    }
}

/// A change under way or done.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) http_error_status_code: u16,
    pub(crate) http_error_message: String,
    pub(crate) error: Option<Failures>,
}

/// Why an operation failed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Failures {
    errors: Vec<Failure>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Failure {
    code: String,
    message: String,
}

impl Operation {
    /// Where to ask for it again.
    pub(crate) fn path(&self) -> String {
        let place = Object { region: self.region.clone(), zone: self.zone.clone(), ..Object::default() }.place();
        format!("{place}/operations/{}", self.name)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.status == "DONE"
    }

    /// Why it failed; `None` while it runs and when it succeeded.
    pub(crate) fn failure(&self, action: Action, subject: &str) -> Option<Error> {
        let failures = &self.error.as_ref()?.errors;
        let messages: Vec<&str> = failures.iter().map(|f| f.message.as_str()).filter(|m| !m.is_empty()).collect();
        let message = if messages.is_empty() { self.http_error_message.clone() } else { messages.join("; ") };
        let response =
            ErrorBody { codes: failures.iter().map(|f| f.code.clone()).collect(), message, retry_after: None };
        Some(response.into_error(action, subject.to_owned(), self.http_error_status_code))
    }
}

/// A page of a list, plain or aggregated.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Page {
    pub(super) next_page_token: String,
    items: Items,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Items {
    Plain(Vec<Object>),
    /// By place: the objects under the collection's name, or a warning that there are none.
    Aggregated(BTreeMap<String, BTreeMap<String, Value>>),
}

impl Default for Items {
    fn default() -> Self {
        Self::Plain(Vec::new())
    }
}

impl Page {
    pub(super) fn objects(self) -> Vec<Object> {
        match self.items {
            Items::Plain(objects) => objects,
            Items::Aggregated(places) => places
                .into_values()
                .flatten()
                .filter(|(key, _)| key != "warning")
                .filter_map(|(_, list)| serde_json::from_value::<Vec<Object>>(list).ok())
                .flatten()
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Object, Operation, Page};
    use crate::action;
    use landlord_provider_api::{ErrorKind, ProviderError};

    #[test]
    fn plain_and_aggregated_lists_are_read() {
        let plain = r#"{"items":[{"name":"a","labels":{"k":"v"}}],"nextPageToken":"t"}"#;
        let page: Page = serde_json::from_str(plain).expect("a list");
        assert_eq!(page.next_page_token, "t");
        assert_eq!(page.objects()[0].labels["k"], "v");
        let aggregated = r#"{"items":{
            "global":{"warning":{"code":"NO_RESULTS_ON_PAGE"}},
            "zones/europe-west1-b":{"disks":[{"name":"b","zone":"https://www.googleapis.com/compute/v1/projects/p/zones/europe-west1-b"}]}}}"#;
        let page: Page = serde_json::from_str(aggregated).expect("an aggregated list");
        let objects = page.objects();
        assert_eq!((objects.len(), objects[0].place().as_str()), (1, "zones/europe-west1-b"));
        let empty: Page = serde_json::from_str("{}").expect("an empty list");
        assert!(empty.objects().is_empty());
    }

    #[test]
    fn an_operation_shows_where_it_is_and_why_it_failed() {
        let text = r#"{"name":"operation-1","status":"DONE","region":"https://www.googleapis.com/compute/v1/projects/p/regions/europe-west1",
            "httpErrorStatusCode":403,"httpErrorMessage":"FORBIDDEN","error":{"errors":[{"code":"QUOTA_EXCEEDED","message":"Quota 'SUBNETWORKS' exceeded.  Limit: 1.0 globally."}]}}"#;
        let operation: Operation = serde_json::from_str(text).expect("an operation");
        assert_eq!(operation.path(), "regions/europe-west1/operations/operation-1");
        let error: ProviderError = operation.failure(action::INSERT_SUBNETWORK, "x").expect("a failure").into();
        assert_eq!(error.kind, ErrorKind::Quota);
        assert!(error.remedy.contains("SUBNETWORKS"), "{}", error.remedy);
        let running: Operation = serde_json::from_str(r#"{"name":"o","status":"RUNNING"}"#).expect("an operation");
        assert!(!running.is_done() && running.failure(action::INSERT_NETWORK, "x").is_none());
        assert_eq!(running.path(), "global/operations/o");
    }

    #[test]
    fn markers_come_from_labels_or_the_description() {
        let by_description = Object { description: r#"{"landlord-role":"network"}"#.to_owned(), ..Object::default() };
        assert_eq!(by_description.markers()["landlord-role"], "network");
        assert_eq!(by_description.place(), "global");
    }
}
