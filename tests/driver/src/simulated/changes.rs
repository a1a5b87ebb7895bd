//! What is changed of an environment that is there: its pool, its version, its records, and who gets access to it. Knows of a
//! cloud only its facts.

use landlord_provider_api::{ErrorKind, ProviderPlugin, v1};

use super::{Facts, Sim};
use crate::{DOMAIN, Made};

/// More nodes and other labels are one call; another machine type is refused, since it would replace what runs.
pub async fn a_pool_grows_and_its_labels_follow<P: ProviderPlugin>(facts: &Facts) {
    let sim = Sim::start(facts).await;
    let mut flow = sim.flow::<P>().await;
    let made = flow.create().await.expect("an environment");
    flow.pool.node_count = 4;
    flow.pool.labels = [("tenant".to_owned(), "changed".to_owned())].into();
    assert_eq!(flow.node_pool(&made).await.expect("a larger pool").node_count, 4);
    facts.other_machine_type.clone_into(&mut flow.pool.machine_type);
    assert_eq!(flow.node_pool(&made).await.expect_err("another machine type").kind, ErrorKind::Invalid);
    flow.delete().await.expect("a removal");
    sim.is_empty().await;
}

/// A cluster is raised to its class's version, stays above it (raised by hand, or the class was lowered), and takes other
/// changes there.
pub async fn a_cluster_is_upgraded_minor_by_minor_and_a_newer_one_satisfies<P: ProviderPlugin>(facts: &Facts) {
    let sim = Sim::start(facts).await;
    let mut flow = sim.flow::<P>().await;
    let [older, own, newer] = facts.minors;
    let is = |cluster: &v1::ClusterStatus, minor: &str| {
        let seen = &cluster.kubernetes_version;
        assert!(seen.split('.').take(2).eq(minor.split('.')), "{seen} is not {minor}");
    };
    let network = flow.network().await.expect("a network");
    is(&flow.cluster(&network).await.expect("a cluster"), own);
    let parameters = facts.cloud.parameters;
    flow.parameters = parameters.replace(own, newer).replace("203.0.113.0/24", "198.51.100.0/24");
    is(&flow.cluster(&network).await.expect("an upgrade"), newer);
    flow.parameters = parameters.replace(own, older);
    let cluster = flow.cluster(&network).await.expect("a cluster that is new enough");
    is(&cluster, newer);
    let made = Made { network, cluster, ..Made::default() };
    flow.node_pool(&made).await.expect("a pool");
    flow.pool.node_count += 1;
    assert_eq!(flow.node_pool(&made).await.expect("a larger pool").node_count, flow.pool.node_count);
    flow.delete().await.expect("a removal");
    sim.is_empty().await;
}

/// Who requests access to a cluster that is not there is sent away to come back; then there is a token that expires.
pub async fn access_needs_a_cluster_and_gives_a_token<P: ProviderPlugin>(facts: &Facts) {
    let sim = Sim::start(facts).await;
    let flow = sim.flow::<P>().await;
    let request = |cluster| v1::KubeAccessRequest { scope: Some(flow.scope.clone()), cluster };
    let error = flow.provider.kube_access(request(None)).await.expect_err("no cluster");
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    let network = flow.network().await.expect("a network");
    let cluster = flow.cluster(&network).await.expect("a cluster");
    for known in [Some(cluster.clone()), None] {
        let access = flow.provider.kube_access(request(known)).await.expect("access");
        assert_eq!((&access.endpoint, &access.ca_pem), (&cluster.endpoint, &cluster.ca_pem));
        assert!(!access.token.is_empty() && access.token.starts_with(facts.token_prefix), "another token");
        assert!(access.expire_time.is_some());
    }
    flow.delete().await.expect("a removal");
    sim.is_empty().await;
}

/// A record that is no longer wanted goes, and one that somebody else made in the zone stays until the zone goes.
pub async fn records_of_others_in_the_zone_are_left_alone<P: ProviderPlugin>(facts: &Facts) {
    let sim = Sim::start(facts).await;
    let flow = sim.flow::<P>().await;
    let zone = flow.zone().await.expect("a zone");
    let ours = crate::records(DOMAIN);
    flow.records(&zone, ours.clone()).await.expect("records");
    let listed = async || (facts.foreign)(&sim.handle, (facts.listed)(&zone.zone_id)).await;
    let (apex, other) = (ours[1].values[0].clone(), "192.0.2.9");
    (facts.foreign)(&sim.handle, (facts.record)(&zone.zone_id, "other")).await;
    let text = listed().await;
    assert!(text.contains("files") && is_in(&apex, &text) && is_in(other, &text), "{text}");
    flow.records(&zone, ours[..1].to_vec()).await.expect("records");
    let text = listed().await;
    assert!(text.contains("files") && !is_in(&apex, &text) && is_in(other, &text), "{text}");
    flow.records(&zone, ours).await.expect("records");
    flow.delete_kind(v1::ResourceKind::DnsRecords).await.expect("a removal");
    let text = listed().await;
    assert!(!text.contains("files") && !is_in(&apex, &text) && is_in(other, &text), "{text}");
    flow.delete_kind(v1::ResourceKind::DnsZone).await.expect("a removal");
    sim.is_empty().await;
}

/// Whether an address stands in a list, whole.
fn is_in(address: &str, listed: &str) -> bool {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    listed.match_indices(address).any(|(at, _)| !listed[at + address.len()..].starts_with(is_part))
}
