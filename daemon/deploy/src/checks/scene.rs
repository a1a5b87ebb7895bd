//! What the checks of one run work on: names, addresses and routes, found out once, and accounts.

use std::{collections::BTreeMap, sync::Arc};

use landlord_core::ports::{CheckResult, DeployTarget};
use landlord_kube::client::ClusterClients;

use super::{
    By, CheckOptions,
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
    pub(super) trust: Option<Arc<Trust>>,
    /// When it began, seconds since 1970: stands in names of files, so that a later run knows what an earlier one has left.
    pub(super) began: u64,
    /// Different for each run, so that what one has left is nothing to the next.
    pub(super) code: u32,
    /// Requests of the stack's own that were sent, whatever came of them.
    pub(super) sent: u32,
}

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
        let key = (record.to_owned(), port);
        if let Some(known) = self.routes.get(&key) {
            return known.clone();
        }
        let found = self.find_route(record, port).await;
        self.routes.insert(key, found.clone());
        found
    }

    async fn find_route(&self, record: &str, port: u16) -> Result<Route, String> {
        let address = self.addresses.get(record);
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
        forward.map_err(|why| match self.options.from_outside {
            true => {
                format!("{} is reached neither from outside ({outside}) nor by port-forward ({why})", self.host(record))
            }
            false => format!("{} is not reached by port-forward: {why}", self.host(record)),
        })
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
        Ok(Web { client, route, tls: None, host })
    }
}
