//! What the checks of one run work on: names, addresses and routes, found out once, and accounts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use landlord_core::ports::{CheckResult, Concern, DeployTarget};
use landlord_kube::client::ClusterClients;

use super::{
    By, CheckOptions, Ended,
    names::Names,
    replace,
    route::{self, Outside, Route},
    tls::Trust,
    web::Web,
};
use crate::{
    check::ServicePort,
    driver::Driver,
    render,
    stack::{Manifest, Stack},
};

/// A shorter value is no secret, and may be part of any word.
const SECRET_CHARS_MIN: usize = 8;

/// What the checks of one run work on, and what they find out on the way.
pub(super) struct Scene<'a> {
    pub(super) by: By,
    pub(super) options: &'a CheckOptions,
    pub(super) driver: &'a dyn Driver,
    /// Whose releases may be rendered; `None`: not all checks are run.
    pub(super) stack: Option<&'a Stack>,
    pub(super) clients: &'a ClusterClients,
    pub(super) target: &'a DeployTarget,
    pub(super) manifest: &'a Manifest,
    pub(super) namespace: &'a str,
    pub(super) names: Names,
    pub(super) ports: &'a BTreeMap<u16, u16>,
    /// Address by record, of entry points that have one.
    pub(super) addresses: BTreeMap<String, String>,
    /// What `${…}` stands for: keys of Secrets, and what requests kept.
    pub(super) known: BTreeMap<String, String>,
    pub(super) routes: BTreeMap<(String, u16), Result<Route, String>>,
    /// Whether what is not reached from outside will not do.
    pub(super) outside_only: bool,
    /// Entry points by record that were not reached from outside, and why.
    pub(super) inside: BTreeMap<String, String>,
    /// Records that the check at hand has used.
    pub(super) used: BTreeSet<String>,
    pub(super) trust: Option<Arc<Trust>>,
    /// When it began, seconds since 1970: stands in names of files, so that a later run knows what an earlier one has left.
    pub(super) began: u64,
    /// Different for each run, so that what one has left is nothing to the next.
    pub(super) code: u32,
    /// Requests of the stack's own that were sent, whatever came of them.
    pub(super) sent: u32,
}

/// Who must do what where an entry point is closed.
const CLOSED: &str = "open its load balancer to where landlord runs (firewall, security group, source ranges), or let the class say \
                      checks_from = \"any\"";

/// What files of the checks are about: how their names begin.
pub(super) const PROBES: [&str; 3] = ["probe", "webdav", "sftp"];

impl Scene<'_> {
    /// Text with references to what is known replaced.
    pub(super) fn fill(&self, text: &str) -> String {
        replace(&render::replace(text, self.target), &self.known)
    }

    /// Without what Secrets hold, should somebody's response have repeated it.
    pub(super) fn redacted(&self, mut result: CheckResult) -> CheckResult {
        for text in [&mut result.detail, &mut result.remedy] {
            *text = self.redact(std::mem::take(text));
        }
        result
    }

    /// The same of any text.
    pub(super) fn redact(&self, text: String) -> String {
        let secrets = self.known.values().filter(|value| value.len() >= SECRET_CHARS_MIN);
        secrets.fold(text, |text, value| text.replace(value.as_str(), "***"))
    }

    /// A name of a file of this run.
    pub(super) fn file(&self, what: &str, suffix: &str) -> String {
        format!("{what}-{}-{}.{suffix}", self.began, self.code)
    }

    /// What the files of this run are about.
    pub(super) fn subject(&self) -> String {
        format!("the lamp in room {}", self.code)
    }

    /// What stands in them, and nowhere else.
    pub(super) fn sentence(&self) -> String {
        format!("The lamp in room {0} is switched on with the code {0}.\n", self.code)
    }

    pub(super) fn host(&self, record: &str) -> String {
        format!("{record}.{}", self.target.spec.domain.as_str())
    }

    /// Records of entry points that are served by https and have an address.
    pub(super) fn https_records(&self) -> impl Iterator<Item = &str> {
        let https = self.manifest.entry_points.iter().filter(|entry| entry.endpoint.url.starts_with("https://"));
        https.map(|entry| entry.record.as_str()).filter(|record| self.addresses.contains_key(*record))
    }

    pub(super) fn trust(&mut self) -> Result<Arc<Trust>, String> {
        if let Some(trust) = &self.trust {
            return Ok(Arc::clone(trust));
        }
        let trust = Arc::new(Trust::load(self.options.trusted_ca.as_deref())?);
        Ok(Arc::clone(self.trust.insert(trust)))
    }

    /// How an entry point is reached, found out once in a run.
    pub(super) async fn route(&mut self, record: &str, port: u16) -> Result<Route, String> {
        self.used.insert(record.to_owned());
        let key = (record.to_owned(), port);
        if let Some(known) = self.routes.get(&key) {
            return known.clone();
        }
        let found = self.find_route(record, port).await;
        self.routes.insert(key, found.clone());
        found
    }

    async fn find_route(&mut self, record: &str, port: u16) -> Result<Route, String> {
        let address = self.addresses.get(record).cloned();
        let address = address.as_deref();
        let mut outside = format!("{record} has no address");
        if let Some(address) = address.filter(|_| self.options.from_outside) {
            let port = self.ports.get(&port).copied().unwrap_or(port);
            let from = Outside { proxy: self.options.proxy, allowed: &self.options.allowed };
            match route::public(&self.names, address, port, from).await {
                Ok(route) => return Ok(route),
                Err(why) => outside = why,
            }
        }
        let entry = self.manifest.entry_points.iter().find(|entry| entry.record == record);
        let forward = match (entry.and_then(|entry| entry.service.as_deref()), address) {
            (Some(service), _) => route::pod(&self.clients.admin, self.namespace, service, port).await,
            (None, Some(address)) => route::behind(&self.clients.admin, address, port).await,
            (None, None) => Err("the Gateway has no address".into()),
        };
        let host = self.host(record);
        match forward {
            Ok(route) if !self.options.from_outside => Ok(route),
            Ok(route) => {
                // One without an address is another matter: the class allows it none, or it has no Gateway.
                let closed = format!("{host} is not reached from outside: {outside}");
                if address.is_some() {
                    self.inside.insert(record.to_owned(), closed.clone());
                }
                if self.outside_only && !self.is_closed_on_purpose(record, address).await {
                    Err(closed)
                } else {
                    Ok(route)
                }
            }
            Err(why) if self.options.from_outside => {
                Err(format!("{host} is reached neither from outside ({outside}) nor by port-forward ({why})"))
            }
            Err(why) => Err(format!("{host} is not reached by port-forward: {why}")),
        }
    }

    /// Whether somebody ordered that an entry point is not open to everybody: the class, which allows no load balancer, or the
    /// customer, who names those that may connect.
    async fn is_closed_on_purpose(&self, record: &str, address: Option<&str>) -> bool {
        let entry = self.manifest.entry_points.iter().find(|entry| entry.record == record);
        let Some(service) = entry.and_then(|entry| entry.service.as_deref()) else { return false };
        address.is_none() || route::has_source_ranges(&self.clients.admin, self.namespace, service).await
    }

    /// What a check came to, with what it did not reach from outside.
    pub(super) fn seen_from(&self, ended: Ended) -> Ended {
        let inside: Vec<&str> =
            self.used.iter().filter_map(|record| self.inside.get(record)).map(String::as_str).collect();
        match ended {
            Ended::Passed(detail) if !inside.is_empty() => {
                Ended::warned(format!("{detail}; {}", inside.join("; ")), CLOSED).about(Concern::CheckedFromInside)
            }
            // What has a cause of its own keeps it: a Gateway closes a name whose certificate ended.
            Ended::Failed { cause, concern: None, .. } if inside.iter().any(|why| cause.contains(why)) => {
                Ended::failed(cause, CLOSED).about(Concern::CheckedFromInside)
            }
            Ended::Passed(_) | Ended::Warned { .. } | Ended::Failed { .. } | Ended::NotRun(_) => ended,
        }
    }

    /// A port of one of the stack's Services.
    pub(super) async fn pod(&self, service: &ServicePort) -> Result<Route, String> {
        route::pod(&self.clients.admin, self.namespace, &service.name, service.port).await
    }

    /// An https entry point; where its Gateway has no address or can't be reached, the Service behind it, without TLS.
    pub(super) async fn web(&mut self, record: &str, service: Option<&ServicePort>) -> Result<Web, String> {
        let (client, host) = (self.clients.admin.clone(), self.host(record));
        let unreached = match self.route(record, 443).await {
            Ok(route) => {
                let tls = Some(Arc::clone(&self.trust()?.config));
                return Ok(Web { client, route, tls, host });
            }
            Err(why) => why,
        };
        let Some(service) = service else { return Err(unreached) };
        let route = self.pod(service).await.map_err(|why| format!("{unreached}; {why}"))?;
        if self.options.from_outside && (self.outside_only || self.addresses.contains_key(record)) {
            self.inside.entry(record.to_owned()).or_insert_with(|| unreached.clone());
        }
        if self.outside_only {
            return Err(unreached);
        }
        Ok(Web { client, route, tls: None, host })
    }
}
