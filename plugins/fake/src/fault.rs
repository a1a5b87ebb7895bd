//! Scripted faults: what goes wrong, in which call, how often.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use landlord_provider_api::{ErrorKind, ProviderError};
use parking_lot::Mutex;
use serde::Deserialize;

/// Where a flood ends when nobody stops it: a test machine must survive a missing limit.
const FLOOD_BYTES_MAX: usize = 4 << 30;
const FLOOD_STEP_BYTES: usize = 16 << 20;

/// One scripted fault.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Method, with deletes by kind (`DeleteCluster`); `Delete` is any of them, `*` any method
    /// but Describe and Configure.
    pub method: String,
    /// What goes wrong: `"abort"`, `{"slow": {"delay_ms": 50}}`, ….
    pub action: Action,
    /// How often, also across restarts of the plugin's process; missing: always.
    #[serde(default)]
    pub times: Option<u64>,
    /// Name under which `times` is counted; missing: method and action.
    #[serde(default)]
    pub name: Option<String>,
    /// Only for this tenant; missing or empty: for all. Not for `garbage`, `block` and `twice`.
    #[serde(default)]
    pub tenant_uid: String,
    /// Whether the call takes effect first: "applied, but the response was lost".
    #[serde(default)]
    pub after: bool,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// The process aborts.
    Abort,
    /// A write to an invalid address.
    Segfault,
    /// The call never completes, but can be cancelled.
    Hang,
    /// The call never completes and burns a core.
    BusyHang,
    /// The call never returns to the host.
    Block,
    /// Allocates until something gives.
    Flood,
    /// Success, with bytes that are no response.
    Garbage,
    /// The call is completed, and then once more.
    Twice,
    /// A panic.
    Panic,
    /// The call takes longer.
    Slow {
        /// By how much.
        delay_ms: u64,
    },
    /// A typed error.
    Error {
        /// Kind as in the contract, for example `QUOTA`.
        kind: String,
        /// Message.
        #[serde(default)]
        message: String,
        /// The cloud's code.
        #[serde(default)]
        code: String,
        /// Remedy.
        #[serde(default)]
        remedy: String,
        /// The cloud's demand to wait.
        #[serde(default)]
        retry_after_ms: Option<u64>,
        /// Exhausted bucket.
        #[serde(default)]
        bucket: String,
    },
}

impl Action {
    /// Whether it happens at the C table, before the call is decoded.
    fn is_raw(&self) -> bool {
        matches!(self, Self::Garbage | Self::Block | Self::Twice)
    }

    /// Makes it happen.
    pub(crate) async fn inject(self) -> Result<(), ProviderError> {
        match self {
            Self::Abort => std::process::abort(),
            Self::Segfault => segfault(),
            Self::Hang => std::future::pending::<()>().await,
            Self::BusyHang => spin(),
            Self::Flood => flood(),
            Self::Panic => {
                let panic: fn() = || std::panic::panic_any("scripted panic");
                panic();
            }
            Self::Slow { delay_ms } => tokio::time::sleep(Duration::from_millis(delay_ms)).await,
            Self::Error { kind, message, code, remedy, retry_after_ms, bucket } => {
                return Err(ProviderError {
                    kind: kind_of(&kind)?,
                    message: if message.is_empty() { format!("scripted {kind}") } else { message },
                    code,
                    remedy,
                    retry_after: retry_after_ms.map(Duration::from_millis),
                    bucket,
                });
            }
            Self::Block | Self::Garbage | Self::Twice => {}
        }
        Ok(())
    }
}

fn kind_of(name: &str) -> Result<ErrorKind, ProviderError> {
    use ErrorKind::{Auth, Capacity, Conflict, Internal, Invalid, NameTaken, Quota, Throttled, Transient};
    let kinds = [Throttled, Quota, Auth, Invalid, Conflict, Capacity, Transient, NameTaken, Internal];
    kinds
        .into_iter()
        .find(|kind| kind.as_str() == name)
        .ok_or_else(|| ProviderError::new(Invalid, format!("a scripted fault names the unknown kind {name}")))
}

#[expect(unsafe_code, reason = "the point is to do what must never be done")]
fn segfault() {
    // Not null: the compiler would notice. The first page is never mapped.
    let nowhere = std::ptr::without_provenance_mut::<u8>(8);
    // SAFETY: none; the process is meant to be killed for this.
    unsafe { nowhere.write_volatile(1) };
}

pub(crate) fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

fn flood() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    while kept.len() * FLOOD_STEP_BYTES < FLOOD_BYTES_MAX {
        // Not zero: zeroed pages would cost nothing.
        kept.push(vec![1; FLOOD_STEP_BYTES]);
    }
}

/// The script of the process's only instance, for the exported table.
static SCRIPT: OnceLock<Arc<Faults>> = OnceLock::new();

/// Makes a script known to the exported table.
pub(crate) fn publish(faults: &Arc<Faults>) {
    let _ = SCRIPT.set(Arc::clone(faults));
}

/// The script that was made known.
pub(crate) fn published() -> Option<&'static Arc<Faults>> {
    SCRIPT.get()
}

/// The script, with the count of what already happened.
#[derive(Debug)]
pub(crate) struct Faults {
    fixed: Vec<Fault>,
    file: Option<PathBuf>,
    /// Counts by name; a file, since a fault may end the process.
    used: Mutex<PathBuf>,
}

impl Faults {
    /// Faults from the start, a file of further ones, and the folder that keeps their counts.
    pub(crate) fn new(fixed: Vec<Fault>, file: Option<PathBuf>, state_dir: &Path) -> Self {
        Self { fixed, file, used: Mutex::new(state_dir.join("faults-used.json")) }
    }

    /// The fault of a call at the C table, if there is one.
    pub(crate) fn take_raw(&self, method: &str) -> Option<Action> {
        // A script that can't be read is reported by the call itself.
        self.take(|fault| fault.action.is_raw() && matches(&fault.method, method)).ok()?
    }

    /// The fault of a call, before or after its effect.
    pub(crate) fn take_for(
        &self,
        method: &str,
        tenant_uid: &str,
        after: bool,
    ) -> Result<Option<Action>, ProviderError> {
        self.take(|fault| {
            !fault.action.is_raw()
                && fault.after == after
                && matches(&fault.method, method)
                && (fault.tenant_uid.is_empty() || fault.tenant_uid == tenant_uid)
        })
    }

    fn take(&self, fits: impl Fn(&Fault) -> bool) -> Result<Option<Action>, ProviderError> {
        let scripted = self.file.as_deref().map_or(Ok(Vec::new()), read_script)?;
        let mut fitting = self.fixed.iter().chain(&scripted).filter(|fault| fits(fault));
        Ok(fitting.find(|fault| self.count(fault)).map(|fault| fault.action.clone()))
    }

    /// Whether the fault still happens; counts it before it does.
    fn count(&self, fault: &Fault) -> bool {
        let Some(times) = fault.times else { return true };
        let path = self.used.lock();
        let text = fs::read(path.as_path()).unwrap_or_default();
        let mut used: BTreeMap<String, u64> = serde_json::from_slice(&text).unwrap_or_default();
        let name = fault.name.clone();
        let name = name.unwrap_or_else(|| format!("{} {:?}", fault.method, fault.action));
        let count = used.entry(name).or_default();
        if *count >= times {
            return false;
        }
        *count += 1;
        let text = serde_json::to_vec(&used).unwrap_or_default();
        fs::write(path.as_path(), text).is_ok()
    }
}

fn matches(pattern: &str, method: &str) -> bool {
    match pattern {
        "*" => !matches!(method, "Describe" | "Configure"),
        "Delete" => method.starts_with("Delete"),
        _ => pattern == method,
    }
}

/// A missing script holds no faults; replace one by renaming, so that it is never half there.
fn read_script(path: &Path) -> Result<Vec<Fault>, ProviderError> {
    let Ok(text) = fs::read(path) else { return Ok(Vec::new()) };
    serde_json::from_slice(&text).map_err(|error| {
        let problem = format!("the script {} can't be understood: {error}", path.display());
        ProviderError::new(ErrorKind::Invalid, problem)
    })
}
