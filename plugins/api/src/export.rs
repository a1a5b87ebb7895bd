//! Everything that [`export_provider!`](crate::export_provider) writes: a table of C functions
//! around a [`ProviderPlugin`], with a runtime, panics caught and calls cancellable.

use std::{
    collections::HashMap,
    ffi::c_void,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, future::AbortHandle};
use prost::Message;

use crate::{
    ErrorKind, Method, ProviderError, ProviderPlugin,
    abi::{
        ABI_MAJOR, ABI_MINOR, Buffer, Completion, HostTable, MAGIC, PluginTable, STATUS_ERROR, STATUS_OK, STATUS_PANIC,
        Slice,
    },
    log, provider, v1,
};

/// Threads of a plugin's runtime: cloud calls wait for the network, one core is plenty.
const WORKER_THREADS: usize = 2;
/// Stack of each: a cloud's model of a cluster, read from JSON by a build without optimization, needs more than the usual
/// 2 MiB. Only what is used of it becomes memory.
const STACK_BYTES: usize = 16 << 20;
/// Ending an instance waits this long for what still runs.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// Exports a [`ProviderPlugin`] from a cdylib.
///
/// ```ignore
/// landlord_provider_api::export_provider!(MyProvider);
/// ```
#[macro_export]
macro_rules! export_provider {
    ($provider:ty) => {
        /// Entry point of the plugin library; see `landlord_provider_api::abi`.
        #[allow(unsafe_code, reason = "the exported name is the contract's only symbol")]
        #[unsafe(no_mangle)]
        pub extern "C" fn landlord_plugin() -> *const $crate::abi::PluginTable {
            static TABLE: $crate::abi::PluginTable = $crate::export::table::<$provider>();
            &TABLE
        }
    };
}

/// The table of a provider.
#[must_use]
pub const fn table<P: ProviderPlugin>() -> PluginTable {
    PluginTable {
        magic: MAGIC,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        struct_size: size_of::<PluginTable>(),
        create: create::<P>,
        call: call::<P>,
        cancel: cancel::<P>,
        destroy: destroy::<P>,
    }
}

struct Instance<P> {
    runtime: tokio::runtime::Runtime,
    provider: Arc<OnceLock<P>>,
    calls: Arc<Mutex<HashMap<u64, AbortHandle>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The map stays whole whatever panicked while it was locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(unsafe_code, reason = "the plugin boundary: instances cross it as raw pointers")]
mod raw {
    use super::{HostTable, Instance, c_void};

    /// The host's table, which lives as long as the process.
    pub(super) fn host(host: *const HostTable) -> Option<&'static HostTable> {
        // SAFETY: the ABI promises a valid table for the life of the process, or null.
        unsafe { host.as_ref() }
    }

    pub(super) fn instance<'a, P>(instance: *mut c_void) -> Option<&'a Instance<P>> {
        // SAFETY: the host hands back what `create::<P>` returned and has not destroyed it.
        unsafe { instance.cast::<Instance<P>>().as_ref() }
    }

    pub(super) fn take<P>(instance: *mut c_void) -> Option<Box<Instance<P>>> {
        // SAFETY: as above, and `destroy` is called once.
        (!instance.is_null()).then(|| unsafe { Box::from_raw(instance.cast()) })
    }

    /// The caller's context, carried to the thread that completes the call.
    pub(super) struct Context(pub(super) *mut c_void);

    // SAFETY: by the rules of the ABI the completion may be called from any thread.
    unsafe impl Send for Context {}

    impl Context {
        /// Completes the call. Takes the wrapper as a whole: a bare pointer would not be Send.
        pub(super) fn complete(self, done: super::Completion, status: u32, payload: Vec<u8>) {
            done(self.0, status, super::Buffer::from_vec(payload));
        }
    }
}

extern "C" fn create<P: ProviderPlugin>(host: *const HostTable) -> *mut c_void {
    let made = std::panic::catch_unwind(|| {
        if let Some(host) = raw::host(host) {
            log::forward(host);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .enable_all()
            .thread_name(P::NAME)
            .thread_stack_size(STACK_BYTES)
            .build()
            .ok()?;
        Some(Instance::<P> {
            runtime,
            provider: Arc::new(OnceLock::new()),
            calls: Arc::new(Mutex::new(HashMap::new())),
        })
    });
    match made {
        Ok(Some(instance)) => Box::into_raw(Box::new(instance)).cast(),
        _ => std::ptr::null_mut(),
    }
}

extern "C" fn call<P: ProviderPlugin>(
    instance: *mut c_void,
    method: u32,
    call_id: u64,
    deadline_ms: u64,
    request: Slice,
    context: *mut c_void,
    done: Completion,
) {
    let context = raw::Context(context);
    let Some(instance) = raw::instance::<P>(instance) else {
        done(context.0, STATUS_PANIC, Buffer::from_vec(b"null instance".to_vec()));
        return;
    };
    let request = request.to_vec();
    let provider = Arc::clone(&instance.provider);
    let (abort, registration) = AbortHandle::new_pair();
    locked(&instance.calls).insert(call_id, abort);
    let calls = Arc::clone(&instance.calls);
    let work = async move {
        let deadline = Duration::from_millis(deadline_ms);
        let handled = tokio::time::timeout(deadline, handle::<P>(&provider, method, &request));
        let guarded = AssertUnwindSafe(handled).catch_unwind();
        let (status, payload) = match futures::future::Abortable::new(guarded, registration).await {
            Ok(Ok(Ok(Ok(response)))) => (STATUS_OK, response),
            Ok(Ok(Ok(Err(error)))) => (STATUS_ERROR, v1::Error::from(error).encode_to_vec()),
            Ok(Ok(Err(_elapsed))) => (STATUS_ERROR, late(method)),
            Ok(Err(panic)) => (STATUS_PANIC, text(&*panic).into_bytes()),
            Err(_aborted) => (STATUS_ERROR, late(method)),
        };
        locked(&calls).remove(&call_id);
        context.complete(done, status, payload);
    };
    instance.runtime.spawn(work);
}

fn late(method: u32) -> Vec<u8> {
    let name = Method::from_number(method).map_or("call", Method::name);
    let error = ProviderError::new(ErrorKind::Transient, format!("{name} did not end in time"));
    v1::Error::from(error).encode_to_vec()
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".into())
}

extern "C" fn cancel<P: ProviderPlugin>(instance: *mut c_void, call_id: u64) {
    if let Some(instance) = raw::instance::<P>(instance)
        && let Some(abort) = locked(&instance.calls).get(&call_id)
    {
        abort.abort();
    }
}

extern "C" fn destroy<P: ProviderPlugin>(instance: *mut c_void) {
    if let Some(instance) = raw::take::<P>(instance) {
        instance.runtime.shutdown_timeout(SHUTDOWN_PATIENCE);
    }
}

async fn handle<P: ProviderPlugin>(
    provider: &OnceLock<P>,
    method: u32,
    request: &[u8],
) -> Result<Vec<u8>, ProviderError> {
    let Some(method) = Method::from_number(method) else {
        let problem = format!("this plugin has no method {method}; it is older than the daemon");
        return Err(ProviderError::new(ErrorKind::Internal, problem));
    };
    match method {
        Method::Describe => return Ok(provider::describe::<P>().encode_to_vec()),
        Method::Configure => {
            let configured = P::configure(decode(method, request)?).await?;
            let again = |_| ProviderError::new(ErrorKind::Internal, "configured twice");
            provider.set(configured).map_err(again)?;
            return Ok(v1::ConfigureResponse {}.encode_to_vec());
        }
        _ => {}
    }
    let Some(provider) = provider.get() else {
        let problem = format!("{} before Configure", method.name());
        return Err(ProviderError::new(ErrorKind::Internal, problem));
    };
    dispatch(provider, method, request).await
}

fn decode<M: Message + Default>(method: Method, request: &[u8]) -> Result<M, ProviderError> {
    M::decode(request).map_err(|error| {
        let problem = format!("the request of {} can't be decoded: {error}", method.name());
        ProviderError::new(ErrorKind::Internal, problem)
    })
}

async fn dispatch<P: ProviderPlugin>(provider: &P, method: Method, request: &[u8]) -> Result<Vec<u8>, ProviderError> {
    macro_rules! run {
        ($function:ident, $request:ident) => {{
            let request: v1::$request = decode(method, request)?;
            let traceparent = request.scope.as_ref().map(|scope| scope.traceparent.clone()).unwrap_or_default();
            log::TRACEPARENT.scope(traceparent, provider.$function(request)).await?.encode_to_vec()
        }};
    }
    Ok(match method {
        Method::Describe | Method::Configure => Vec::new(),
        Method::Validate => run!(validate, ValidateRequest),
        Method::EnsureNetwork => run!(ensure_network, EnsureNetworkRequest),
        Method::EnsureCluster => run!(ensure_cluster, EnsureClusterRequest),
        Method::EnsureAddons => run!(ensure_addons, EnsureAddonsRequest),
        Method::KubeAccess => run!(kube_access, KubeAccessRequest),
        Method::EnsureNodePool => run!(ensure_node_pool, EnsureNodePoolRequest),
        Method::EnsureDnsZone => run!(ensure_dns_zone, EnsureDnsZoneRequest),
        Method::EnsureDnsRecords => run!(ensure_dns_records, EnsureDnsRecordsRequest),
        Method::EnsureIdentity => run!(ensure_identity, EnsureIdentityRequest),
        Method::Observe => run!(observe, ObserveRequest),
        Method::Delete => run!(delete, DeleteRequest),
        Method::ListOwned => run!(list_owned, ListOwnedRequest),
    })
}
