//! Holds the clouds' journals against what the daemon promised: nothing lost, leaked, made twice or stuck, and no state that
//! says another thing than the journal for longer than one poll.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use landlord_proto::v1::{Tenant, placement, tenant::State};
use landlord_test_harness::{
    Cloud, cloud,
    judge::{self, text},
    simulator::Control,
};
use parking_lot::Mutex;
use serde_json::Value;

use super::{portal::Portal, tally::Tally};

/// How often states are compared with what there is.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// A READY that nothing stands behind may last so long: one poll of the engine, and a daemon that was stopped meanwhile.
const CONTRADICTION_MAX: Duration = Duration::from_secs(20);

/// What a tenant that is READY has in its cloud, by level: of its own cluster, its own nodes, its namespace.
const BEHIND_READY: [(&str, [&[&str]; 3]); 3] = [
    (
        "eks",
        [
            &["AWS::CloudFormation::Stack", "AWS::EKS::Cluster", "AWS::EKS::Nodegroup", "AWS::Route53::HostedZone"],
            &["AWS::EKS::Nodegroup", "AWS::Route53::HostedZone"],
            &["AWS::Route53::HostedZone"],
        ],
    ),
    (
        "gke",
        [
            &[
                "compute.googleapis.com/Network",
                "container.googleapis.com/Cluster",
                "container.googleapis.com/NodePool",
                "dns.googleapis.com/ManagedZone",
            ],
            &["container.googleapis.com/NodePool", "dns.googleapis.com/ManagedZone"],
            &["dns.googleapis.com/ManagedZone"],
        ],
    ),
    (
        "aks",
        [
            &[
                "Microsoft.Network/virtualNetworks",
                "Microsoft.ContainerService/managedClusters",
                "Microsoft.ContainerService/managedClusters/agentPools",
                "Microsoft.Network/dnsZones",
            ],
            &["Microsoft.ContainerService/managedClusters/agentPools", "Microsoft.Network/dnsZones"],
            &["Microsoft.Network/dnsZones"],
        ],
    ),
];

/// The judge.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    control: Control,
    portal: Portal,
    tally: Arc<Tally>,
    /// Tenants that ended, by uid: name, and how often something may have been made again.
    ended: Arc<Mutex<BTreeMap<String, (String, u32)>>>,
}

/// Whether an object is a tenant's: by its tags, or where it can have none by its name or description.
fn is_of(object: &str, uid: &str) -> bool {
    object.contains(uid) || object.contains(&uid.replace('-', ""))
}

impl Watch {
    /// Of the clouds behind `control` and the daemon behind `portal`.
    pub(crate) fn new(control: Control, portal: Portal, tally: Arc<Tally>) -> Self {
        Self { control, portal, tally, ended: Arc::default() }
    }

    async fn objects(&self, cloud: &'static Cloud) -> Result<Vec<Value>> {
        let control = self.control.clone();
        tokio::task::spawn_blocking(move || control.objects(cloud.account)).await?
    }

    /// A tenant's record went: nothing of it may be left.
    pub(crate) async fn life_ended(
        &self,
        cloud: &'static Cloud,
        name: &str,
        uid: &str,
        recreations: u32,
    ) -> Result<()> {
        self.ended.lock().insert(uid.to_owned(), (name.to_owned(), recreations));
        let left: Vec<String> = self
            .objects(cloud)
            .await?
            .iter()
            .filter(|object| is_of(&object.to_string(), uid))
            .map(|object| format!("{} {}", text(object, "type"), text(object, "id")))
            .collect();
        if !left.is_empty() {
            self.tally.violation("leaked", format!("{name} ({uid}) is gone and left {}", left.join(", ")));
        }
        Ok(())
    }

    /// Compares states with what there is, until it is dropped.
    pub(crate) async fn sample(self) {
        let mut since: BTreeMap<String, Instant> = BTreeMap::new();
        let mut known = BTreeSet::new();
        loop {
            tokio::time::sleep(SAMPLE_INTERVAL).await;
            // A daemon that is away says nothing, so it contradicts nothing.
            let Ok(now) = self.contradictions().await else { continue };
            since.retain(|what, _| now.contains(what));
            for what in now {
                let first = *since.entry(what.clone()).or_insert_with(Instant::now);
                if first.elapsed() > CONTRADICTION_MAX && known.insert(what.clone()) {
                    self.tally.violation("contradicted", format!("{what}, for {:?}", first.elapsed()));
                }
            }
        }
    }

    async fn contradictions(&self) -> Result<BTreeSet<String>> {
        let before = self.portal.tenants().await?;
        let mut objects: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
        for cloud in cloud::ALL {
            let all =
                self.objects(cloud).await?.iter().map(|o| (text(o, "type").to_lowercase(), o.to_string())).collect();
            objects.insert(cloud.provider, all);
        }
        // What changed meanwhile is not compared.
        let after: BTreeSet<String> = self.portal.tenants().await?.into_iter().map(|tenant| tenant.etag).collect();
        let still = before.iter().filter(|tenant| after.contains(&tenant.etag));
        Ok(still.flat_map(|tenant| missing(tenant, &objects)).collect())
    }

    /// When all is over: the accounts are empty, and the whole journal holds nothing against the daemon.
    ///
    /// # Errors
    /// A simulator that does not respond.
    pub(crate) fn close(&self, clouds: &[&Cloud]) -> Result<()> {
        for cloud in clouds {
            if let Err(error) = judge::account_is_empty(&self.control, cloud.account) {
                self.tally.violation("leaked", format!("{error:#}"));
            }
        }
        let journal = self.control.journal(0).context("no journal")?;
        if let Err(error) = judge::only_ours_is_touched(&journal) {
            self.tally.violation("contradicted", format!("{error:#}"));
        }
        for problem in made_twice(&journal, &self.ended.lock()) {
            self.tally.violation("twice", problem);
        }
        Ok(())
    }
}

/// What a tenant that says READY lacks in its cloud.
fn missing(tenant: &Tenant, objects: &BTreeMap<&str, Vec<(String, String)>>) -> Vec<String> {
    let Some(at) = tenant.placement.as_ref().filter(|_| tenant.state() == State::Ready && !tenant.reconciling) else {
        return Vec::new();
    };
    let level = match at.level() {
        placement::Level::Cluster => 0,
        placement::Level::Node => 1,
        placement::Level::Namespace => 2,
        placement::Level::Unspecified => return vec![format!("{} has no level", tenant.name)],
    };
    let behind = BEHIND_READY.iter().find(|(provider, _)| *provider == at.provider).map(|(_, levels)| levels[level]);
    let there = objects.get(at.provider.as_str()).map(Vec::as_slice).unwrap_or_default();
    let lacks =
        |kind: &&&str| !there.iter().any(|(other, object)| *other == kind.to_lowercase() && is_of(object, &tenant.uid));
    let lacking = behind.into_iter().flatten().filter(lacks);
    lacking.map(|kind| format!("{} ({}) is READY without {kind}", tenant.name, tenant.uid)).collect()
}

/// What one tenant had two of at once, or more often than its orders explain.
fn made_twice(journal: &[Value], ended: &BTreeMap<String, (String, u32)>) -> Vec<String> {
    let mut owner: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut live: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut made: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut problems = Vec::new();
    for entry in journal {
        let effect = text(entry, "effect");
        for object in entry["objects"].as_array().into_iter().flatten() {
            let id = text(object, "id").to_owned();
            match effect {
                "created" => {
                    let Some(single) = judge::single_type(text(object, "type")) else { continue };
                    let reported = object.to_string();
                    let Some(uid) = ended.keys().find(|uid| is_of(&reported, uid)) else { continue };
                    let key = (uid.clone(), single.to_owned());
                    let now = live.entry(key.clone()).or_default();
                    *now += 1;
                    if *now > 1 {
                        problems.push(format!("{uid} has {now} {single} at once (seq {})", entry["seq"]));
                    }
                    made.entry(key.clone()).or_default().push(format!("seq {}", entry["seq"]));
                    owner.insert(id, key);
                }
                "deleted" => {
                    if let Some(now) = owner.remove(&id).and_then(|key| live.get_mut(&key)) {
                        *now -= 1;
                    }
                }
                _ => {}
            }
        }
    }
    for ((uid, single), times) in made {
        let allowed = 1 + ended.get(&uid).map_or(0, |(_, recreations)| *recreations);
        if times.len() > allowed as usize {
            problems.push(format!(
                "{uid} made {single} {} times, at most {allowed}: {}",
                times.len(),
                times.join(", ")
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const UID: &str = "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b";

    fn entry(seq: u64, effect: &str, id: &str) -> Value {
        let tags = json!({ "landlord-tenant-uid": UID });
        json!({ "seq": seq, "effect": effect, "objects": [{ "type": "AWS::EKS::Cluster", "id": id, "tags": tags }] })
    }

    #[test]
    fn two_at_once_are_two_and_one_after_the_other_needs_a_reason() {
        let ended = |recreations| BTreeMap::from([(UID.to_owned(), ("t".to_owned(), recreations))]);
        let again = [entry(1, "created", "a"), entry(2, "deleted", "a"), entry(3, "created", "b")];
        assert_eq!(made_twice(&again, &ended(1)), Vec::<String>::new());
        assert_eq!(made_twice(&again, &ended(0)).len(), 1);
        assert_eq!(made_twice(&[entry(1, "created", "a"), entry(2, "created", "b")], &ended(1)).len(), 1);
    }

    #[test]
    fn a_ready_tenant_has_what_its_level_says() {
        let at = placement::Level::Namespace as i32;
        let at = landlord_proto::v1::Placement { provider: "eks".into(), level: at, ..Default::default() };
        let tenant = Tenant { uid: UID.into(), state: State::Ready as i32, placement: Some(at), ..Tenant::default() };
        let zone = ("aws::route53::hostedzone".to_owned(), format!("of {UID}"));
        assert_eq!(missing(&tenant, &BTreeMap::from([("eks", vec![zone])])), Vec::<String>::new());
        assert_eq!(missing(&tenant, &BTreeMap::new()).len(), 1);
    }
}
