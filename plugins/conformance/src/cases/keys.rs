//! Idempotency keys: the same create carries the same key again, and no two objects share one. Judged by what the proxy saw.

use std::collections::BTreeMap;

use crate::{
    fault::{Fault, Rule},
    outside::Call,
    world::{Step, Stop, World, fail},
};

pub(crate) async fn keys(world: &World) -> Step<String> {
    if world.config.outside.key.is_empty() {
        return Err(Stop::Skipped(
            "the configuration names in no [[outside.key]] a call that takes an idempotency key".into(),
        ));
    }
    let Some(proxy) = &world.proxy else { fail!("there is no proxy") };
    let (mut one, mut two) = (world.tenant(), world.tenant());
    let mark = proxy.count();
    // Each create takes effect and its response is lost: it is requested again.
    proxy.set(Rule::sweep(&[Fault::LoseAnswer]));
    world.build(&mut one).await?;
    proxy.set(Rule::None);
    world.build(&mut two).await?;
    // After its end the same order is another object: an old key would give the old one.
    world.take_down(&one).await?;
    let renewed = proxy.count();
    let mut again = world.again(&one);
    world.build(&mut again).await?;
    let calls = proxy.since(mark);
    let keyed: Vec<(usize, &Call)> = calls.iter().enumerate().filter(|(_, call)| call.key.is_some()).collect();
    if keyed.is_empty() {
        fail!("no call of the plugin is one of those that [[outside.key]] names");
    }
    if let Some((_, call)) = keyed.iter().find(|(_, call)| call.key.as_deref() == Some("")) {
        fail!("{} carries no idempotency key", call.name());
    }
    once(&keyed, renewed - mark)?;
    lives(&keyed, renewed - mark)?;
    world.take_down(&again).await?;
    world.take_down(&two).await?;
    Ok(format!("{} calls with a key", keyed.len()))
}

/// One order has one key, and one key belongs to one order.
fn once(keyed: &[(usize, &Call)], renewed: usize) -> Step {
    let mut orders: BTreeMap<&str, (String, u64)> = BTreeMap::new();
    for (_, call) in keyed {
        let key = call.key.as_deref().unwrap_or_default();
        let order = (call.name(), call.order);
        if let Some(other) = orders.insert(key, order.clone())
            && other != order
        {
            fail!("the key {key:?} of {} belongs to another order, too", call.name());
        }
    }
    // A lost response's repetition.
    for (at, call) in keyed.iter().filter(|(_, call)| call.is_lost()) {
        // After its end an order is another one.
        let same = |(later, other): &&(usize, &Call)| {
            later > at && *later < renewed && other.order == call.order && other.name() == call.name()
        };
        let again = keyed.iter().find(same);
        if let Some((_, again)) = again
            && again.key != call.key
        {
            fail!("{} was lost, and is repeated with another key: {:?}, then {:?}", call.name(), call.key, again.key);
        }
    }
    Ok(())
}

/// What is recreated after its end does not begin with a key that the cloud responds with the object that went: it may try it,
/// and must take another one then. That it came to an end at all shows that it did.
fn lives(keyed: &[(usize, &Call)], renewed: usize) -> Step {
    if keyed.iter().any(|(at, _)| *at >= renewed) {
        return Ok(());
    }
    fail!("a tenant that was recreated has no create with a key")
}
