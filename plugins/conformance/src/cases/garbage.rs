//! Input that nobody should send: a plugin responds to all of it, changes nothing for it, and lives.

use landlord_plugin_host::Plugin;
use landlord_provider_api::{
    ErrorKind, Inventory as _, Method, TEARDOWN,
    abi::{STATUS_ERROR, STATUS_OK},
    v1,
};
use prost::Message as _;
use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};

use crate::{
    tenant::{Stage, Tenant},
    world::{Step, World, fail, failed, word},
};

/// The same bytes in every run, so that a failure can be repeated.
const SEED: u64 = 0x6c61_6e64;
/// Random messages for each method.
const RANDOM_MESSAGES: usize = 8;
const RANDOM_BYTES_MAX: usize = 512;
/// Larger than any message of the contract, and small enough for a frame.
const OVERSIZE_BYTES: usize = 8 << 20;
/// Numbers that are no resource kind.
const NO_KINDS: [i32; 3] = [0, 99, -1];
/// Uids that are none, and that would do harm in a path, a filter or a name.
const HOSTILE_UIDS: [&str; 7] = ["", " ", "../../etc", "a/b", "*", "x'; DROP TABLE tenants; --", "a\nb"];

pub(crate) async fn garbage(world: &World) -> Step<String> {
    let plugin = world.plugin()?;
    plugin.start().await.map_err(failed)?;
    let pid = plugin.health().pid;
    let mark = world.mark();
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut sent = 0_usize;
    let methods = Method::ALL.iter().filter(|method| !matches!(method, Method::Describe | Method::Configure));
    for method in methods {
        for message in messages(world, *method, &mut rng) {
            refused(&plugin, *method, message).await?;
            sent += 1;
        }
    }
    sent += oversized(world, &plugin).await?;
    sent += hostile(world, &plugin).await?;
    sent += no_kinds(world, &plugin).await?;
    if plugin.health().pid != pid {
        fail!("the process did not survive it: {}", plugin.health().detail);
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("garbage led to changing calls: {}", changes.join(", "));
    }
    Ok(format!("{sent} messages"))
}

fn messages(world: &World, method: Method, rng: &mut StdRng) -> Vec<Vec<u8>> {
    let mut messages = vec![Vec::new()];
    for _ in 0..RANDOM_MESSAGES {
        let mut bytes = vec![0; rng.random_range(1..RANDOM_BYTES_MAX)];
        rng.fill_bytes(&mut bytes);
        messages.push(bytes);
    }
    // A message that ends in the middle.
    let tenant = Tenant::new(&world.config);
    let request = v1::EnsureNetworkRequest {
        scope: Some(tenant.scope),
        parameters_json: tenant.parameters_json,
        checkpoint: Vec::new(),
    };
    let mut cut = request.encode_to_vec();
    cut.truncate(cut.len() / 2);
    if method != Method::ListOwned {
        messages.push(cut);
    }
    messages
}

/// Validate may accept an empty message: with violations.
async fn refused(plugin: &Plugin, method: Method, message: Vec<u8>) -> Step {
    let (len, name) = (message.len(), method.name());
    let (status, payload) = plugin.exchange(method as u32, message).await.map_err(failed)?;
    match status {
        STATUS_ERROR => match v1::Error::decode(payload.as_slice()) {
            Ok(error) => refusal(&format!("{name} with {len} bytes of garbage"), error.kind().into(), &error.message),
            Err(error) => fail!("{name} returns {len} bytes of garbage with an error that is none: {error}"),
        },
        STATUS_OK if method == Method::Validate => Ok(()),
        STATUS_OK => fail!("{name} takes {len} bytes of garbage for a request"),
        _ => fail!("{name} panics at {len} bytes of garbage: {}", String::from_utf8_lossy(&payload)),
    }
}

fn refusal(what: &str, kind: ErrorKind, message: &str) -> Step {
    if !matches!(kind, ErrorKind::Invalid | ErrorKind::Internal) {
        fail!("{what} is {} instead of INVALID or INTERNAL: {message}", kind.as_str());
    }
    if message.trim().is_empty() {
        fail!("{what} is refused without a word");
    }
    Ok(())
}

/// Parameters of many MiB that are no JSON.
async fn oversized(world: &World, plugin: &Plugin) -> Step<usize> {
    let mut tenant = Tenant::new(&world.config);
    tenant.parameters_json = "x".repeat(OVERSIZE_BYTES);
    match tenant.ensure(plugin, Stage::Network).await {
        Ok(_) => fail!("ensure network takes {OVERSIZE_BYTES} bytes that are no JSON for parameters"),
        Err(error) => refusal("ensure network with oversized parameters", error.kind, &error.message)?,
    }
    Ok(1)
}

async fn hostile(world: &World, plugin: &Plugin) -> Step<usize> {
    let mut sent = 0;
    for uid in HOSTILE_UIDS {
        let mut tenant = Tenant::new(&world.config);
        tenant.scope.tenant_uid = uid.to_owned();
        for stage in [Stage::Network, Stage::DnsZone] {
            let what = format!("ensure {} for the tenant uid {uid:?}", stage.word());
            match tenant.ensure(plugin, stage).await {
                Ok(_) => fail!("{what} is no error"),
                Err(error) => refusal(&what, error.kind, &error.message)?,
            }
            sent += 1;
        }
        for kind in TEARDOWN {
            let what = format!("delete {} for the tenant uid {uid:?}", word(kind));
            match tenant.delete(plugin, kind).await {
                Ok(_) => fail!("{what} is no error"),
                Err(error) => refusal(&what, error.kind, &error.message)?,
            }
            sent += 1;
        }
    }
    Ok(sent)
}

/// Kinds that the contract does not have, or not yet.
async fn no_kinds(world: &World, plugin: &Plugin) -> Step<usize> {
    let tenant = Tenant::new(&world.config);
    for kind in NO_KINDS {
        let (scope, role, domain) = (Some(tenant.scope.clone()), String::new(), tenant.domain.clone());
        let request =
            v1::DeleteRequest { scope: scope.clone(), kind, role, domain, checkpoint: Vec::new(), recorded: false };
        match plugin.delete(request).await {
            Ok(_) => fail!("delete of the unknown kind {kind} is no error"),
            Err(error) => refusal(&format!("delete of the unknown kind {kind}"), error.kind, &error.message)?,
        }
        let request = v1::ObserveRequest { scope, kind, ..v1::ObserveRequest::default() };
        match plugin.observe(request).await {
            Ok(_) => fail!("observe of the unknown kind {kind} is no error"),
            Err(error) => refusal(&format!("observe of the unknown kind {kind}"), error.kind, &error.message)?,
        }
    }
    Ok(2 * NO_KINDS.len())
}
