//! What a plugin says that it can do, against what it does: a daemon requests nothing that is not offered, at no level.

use landlord_provider_api::{ErrorKind, TEARDOWN, v1::progress::Outcome};

use crate::{
    tenant::{CAPABILITIES, Stage},
    world::{Step, World, fail, word},
};

/// Stages of a tenant in a shared cluster, by level: on nodes of its own, and on everybody's.
const SHARED: [(&str, &[Stage]); 2] = [
    ("NODE", &[Stage::NodePool, Stage::DnsZone, Stage::DnsRecords]),
    ("NAMESPACE", &[Stage::DnsZone, Stage::DnsRecords]),
];

pub(crate) async fn capabilities(world: &World) -> Step<String> {
    spelled(world)?;
    let (plugin, tenant) = (world.plugin()?, world.tenant());
    let lacking: Vec<Stage> = Stage::ALL.into_iter().filter(|stage| !world.offers(*stage)).collect();
    let mark = world.mark();
    for stage in &lacking {
        let capability = stage.capability().unwrap_or_default();
        let what = format!("ensure {} of a plugin without the capability {capability:?}", stage.word());
        match tenant.ensure(&plugin, *stage).await {
            Err(error) if error.kind == ErrorKind::Invalid => {
                world.note(&what, &error)?;
                if error.remedy.trim().is_empty() {
                    fail!("{what} is INVALID without a remedy");
                }
            }
            Err(error) => fail!("{what}: {error} instead of INVALID"),
            // Without networks of its own a tenant is in the cloud's: there is nothing to be made.
            Ok((progress, _)) if *stage == Stage::Network && matches!(progress.outcome, Some(Outcome::Ready(_))) => {}
            Ok((progress, _)) => fail!("{what} gets {:?}: state the capability", progress.outcome),
        }
    }
    // A delete is always allowed, since the absent is gone.
    for kind in TEARDOWN {
        match tenant.delete(&plugin, kind).await {
            Ok(progress) if matches!(progress.outcome, Some(Outcome::Gone(_))) => {}
            other => fail!("delete {} of a tenant that never was: {other:?}", word(kind)),
        }
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("what the plugin lacks makes changing calls: {}", changes.join(", "));
    }
    Ok(levels(world))
}

/// A word that is nearly one of the contract's is a mistake: the daemon would not find it.
fn spelled(world: &World) -> Step {
    let bare = |word: &str| word.to_lowercase().replace(['-', '_', ' '], "").trim_end_matches('s').to_owned();
    for stated in world.capabilities() {
        if let Some(meant) = CAPABILITIES.iter().find(|word| **word != *stated && bare(word) == bare(stated)) {
            fail!("the capability {stated:?} is none of the contract's, which calls it {meant:?}");
        }
    }
    Ok(())
}

/// What is requested at each level.
fn levels(world: &World) -> String {
    let names = |stages: &mut dyn Iterator<Item = Stage>| {
        stages.filter(|stage| world.offers(*stage)).map(Stage::word).collect::<Vec<_>>().join(" ")
    };
    let mut reported = format!("CLUSTER: {}", names(&mut Stage::ALL.into_iter()));
    for (level, stages) in SHARED {
        let requested = names(&mut stages.iter().copied());
        reported.push_str(&format!("; {level}: {}", if requested.is_empty() { "nothing" } else { &requested }));
    }
    reported
}
