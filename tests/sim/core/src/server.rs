//! HTTP: one listener for every simulated service and for control.
//!
//! Uses hyper directly because a lost response must end the connection without a response, which frameworks prevent.
//! Knows no service: the clouds identify, handle and encode.

use crate::{
    call::{ApiError, Call, Reply},
    clock::Micros,
    cloud::Cloud,
    control,
    ctx::Ctx,
    faults::{HoldInfo, Phase, Plan, Verdict, glob},
    http::{HttpResponse, Raw},
    journal::{Entry, Origin},
    scope_key::ScopeKey,
    shared::Shared,
    world::World,
};
use http_body_util::{BodyExt, Limited};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A caller on a busy machine that opens a thousand connections at once needs a while until it says something on each.
const HEADERS_MAX: Duration = Duration::from_secs(300);
/// Larger than any template or request that AWS takes.
const MAX_BODY_BYTES: usize = 4 << 20;

/// The connection is to be dropped without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped as a fault rule demands")]
pub(crate) struct Dropped;

/// Accepts connections until cancelled.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (shared, stop) = (shared.clone(), stop.clone());
        // Ends with its connection or at shutdown; a failure is that connection's alone.
        shared.tasks.clone().spawn(async move {
            let service = service_fn(|request| respond(shared.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_MAX)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                result = connection => if let Err(error) = result { tracing::trace!(%error, "connection ended"); }
            }
        });
    }
}

async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> Result<HttpResponse, Dropped> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|_| Dropped)?.to_bytes();
    let headers = parts
        .headers
        .iter()
        .map(|(k, v)| (k.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
        .collect();
    let raw = Raw {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    };
    if raw.path.starts_with("/_sim") {
        return Ok(control::handle(&shared, &raw).await);
    }
    // A task of its own: a request that has arrived is processed even if its caller is gone by then. Ends at shutdown.
    let tasks = shared.tasks.clone();
    let call = async move { shared.stop.clone().run_until_cancelled(call_cloud(&shared, &raw)).await };
    match tasks.spawn(call).await {
        Ok(Some(response)) => response,
        Ok(None) | Err(_) => Err(Dropped),
    }
}

/// One call to the simulated cloud: identify, suffer faults, apply, journal, response.
async fn call_cloud(shared: &Arc<Shared>, raw: &Raw) -> Result<HttpResponse, Dropped> {
    let cloud = shared.clouds.of_request(raw);
    let identified = cloud.identify(&mut shared.world.lock(), raw);
    let (call, signature_error) = match identified {
        Ok(found) => found,
        Err((call, error)) => {
            let mut world = shared.world.lock();
            let now = shared.clouds.advance(&mut world);
            record(&mut world, &call, now, &error.code, Some(error.message.clone()));
            return Ok(cloud.encode_error(&call, &error));
        }
    };
    let plan = shared.world.lock().faults.plan(&call.service, &call.action, &call.caller.account);
    if plan.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(plan.delay_ms)).await;
    }
    if plan.hold_before && hold(shared, &call, Phase::Before).await == Verdict::Drop {
        return Err(Dropped);
    }
    if plan.lost_request {
        let mut world = shared.world.lock();
        let now = shared.clouds.advance(&mut world);
        record(&mut world, &call, now, "lost_request", None);
        return Err(Dropped);
    }
    let result = apply(cloud, shared, &call, &plan, signature_error);
    shared.after_change();
    if plan.hold_after && hold(shared, &call, Phase::After).await == Verdict::Drop {
        return Err(Dropped);
    }
    if plan.lost_answer {
        return Err(Dropped);
    }
    Ok(match result {
        Ok(reply) => cloud.encode(&call, reply),
        Err(error) => cloud.encode_error(&call, &error),
    })
}

/// Applies a call under the lock and journals it.
fn apply(
    cloud: &dyn Cloud,
    shared: &Shared,
    call: &Call,
    plan: &Plan,
    refused: Option<ApiError>,
) -> Result<Reply, ApiError> {
    let mut world = shared.world.lock();
    let now = shared.clouds.advance(&mut world);
    let account = &call.caller.account;
    let refusal = if let Some(error) = refused {
        Some(error)
    } else if let Some(spec) = &plan.error {
        Some(ApiError::new(&spec.code, &spec.message).status(spec.status))
    } else if plan.throttle || !admitted(cloud, &mut world, call, now) {
        Some(cloud.throttled(call, world.clock.scale()))
    } else {
        let needs = cloud.rights(call);
        let forbidden = world.organization.get(account).into_iter().flatten();
        let disallowed = forbidden.filter_map(|pattern| needs.iter().find(|need| glob(pattern, &need.action))).next();
        match disallowed.map(|need| cloud.disallowed(call, need)) {
            None => world.rights.missing(&call.caller, needs).map(|need| cloud.forbidden(call, &need)),
            refusal => refusal,
        }
    };
    if let Some(error) = refusal {
        record(&mut world, call, now, &error.code, Some(error.message.clone()));
        return Err(error);
    }
    let stale_us = plan.stale_ms.map(|ms| world.clock.wall_us(ms));
    let mut ctx = Ctx::new(&mut world, ScopeKey::new(account, &call.region), now);
    ctx.horizon = stale_us.map(|us| now - us);
    ctx.dropped = plan.dropped;
    let result = cloud.handle(&mut ctx, call);
    let entry = ctx.entry(Origin::Call, &call.service, &call.action);
    let mut entry = Entry {
        request_id: call.request_id.clone(),
        caller: call.caller.arn.clone(),
        access_key: call.caller.access_key.clone(),
        client_token: call.client_token(),
        ..entry
    };
    match &result {
        Err(error) => {
            entry.outcome.clone_from(&error.code);
            entry.detail = Some(error.message.clone());
        }
        Ok(_) if plan.lost_answer => "lost_answer".clone_into(&mut entry.outcome),
        Ok(_) => {}
    }
    ctx.flush(entry);
    result
}

/// Whether the call is within its rate.
fn admitted(cloud: &dyn Cloud, world: &mut World, call: &Call, now: Micros) -> bool {
    let Some((class, rate)) = cloud.rate(call) else {
        return true;
    };
    let key = (call.caller.account.clone(), call.region.clone(), call.service.clone(), class);
    world.throttle.admit(&world.clock, now, key, rate)
}

fn record(world: &mut World, call: &Call, now: Micros, outcome: &str, detail: Option<String>) {
    let mut ctx = Ctx::new(world, ScopeKey::new(&call.caller.account, &call.region), now);
    let entry = ctx.entry(Origin::Call, &call.service, &call.action);
    ctx.flush(Entry {
        request_id: call.request_id.clone(),
        caller: call.caller.arn.clone(),
        access_key: call.caller.access_key.clone(),
        client_token: call.client_token(),
        outcome: outcome.to_owned(),
        detail,
        ..entry
    });
}

async fn hold(shared: &Shared, call: &Call, phase: Phase) -> Verdict {
    let receiver = shared.world.lock().faults.hold(HoldInfo {
        id: 0,
        service: call.service.clone(),
        action: call.action.clone(),
        account: call.caller.account.clone(),
        phase,
        request_id: call.request_id.clone(),
    });
    shared.holds_changed.notify_waiters();
    receiver.await.unwrap_or(Verdict::Drop)
}
