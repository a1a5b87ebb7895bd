//! Certificates that an authority is asked for, and how many of them it gives. All tenants of an installation, in whatever cluster,
//! share what an authority gives for a domain. Pure.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{DesiredState, Stage, StageRecord, StageState, Timestamp};

/// Longest window of a limit: orders are remembered for so long, also of tenants that are gone.
pub const ORDER_WINDOW_MAX: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// Who must do what when an authority gives no more for now.
const WAIT_REMEDY: &str = "it goes on by itself; sooner if the operator has the authority raise the limit and says so in \
                               acme_limits, or issues by another authority (for trials by its staging server), or orders tenants \
                               below another registered domain";

/// An ACME server by the address of its directory, the same however that is written: its limits are those of one server.
#[must_use]
pub fn authority(directory: &str) -> String {
    let (scheme, rest) = directory.trim().split_once("://").unwrap_or(("https", directory.trim()));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    format!("{}://{host}{}", scheme.to_ascii_lowercase(), path.trim_end_matches('/'))
}

/// One certificate that an authority is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateOrder {
    /// The ACME server, as [`authority`] writes it.
    pub authority: String,
    /// Names that it is for; all are within one tenant's domain.
    pub names: BTreeSet<String>,
}

impl CertificateOrder {
    /// Of the ACME server with this directory.
    #[must_use]
    pub fn of(directory: &str, names: BTreeSet<String>) -> Self {
        Self { authority: authority(directory), names }
    }

    /// All names in one text, the same for the same names.
    #[must_use]
    pub fn joined(&self) -> String {
        self.names.iter().map(String::as_str).collect::<Vec<_>>().join(",")
    }

    /// The domain that was bought from a registrar, by which authorities count: one label below a public suffix.
    #[must_use]
    pub fn registered_domain(&self) -> String {
        let first = self.names.first().map(|name| name.trim_start_matches("*.")).unwrap_or_default();
        psl::domain_str(first).unwrap_or(first).to_owned()
    }
}

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLimit {
    /// Most; 0: no limit.
    pub max: u32,
    /// In any stretch of this length.
    pub window: Duration,
}

/// What an authority gives an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLimits {
    /// Orders altogether.
    pub orders: OrderLimit,
    /// Certificates for names within one registered domain.
    pub registered_domain: OrderLimit,
    /// Certificates for exactly the same names.
    pub same_names: OrderLimit,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitedBy {
    /// Orders altogether.
    Orders,
    /// Certificates for names within one registered domain.
    RegisteredDomain,
    /// Certificates for exactly the same names.
    SameNames,
}

impl OrderLimits {
    /// Of an authority that gives any number.
    pub const NONE: Self = {
        let none = OrderLimit { max: 0, window: ORDER_WINDOW_MAX };
        Self { orders: none, registered_domain: none, same_names: none }
    };

    /// Each limit that there is.
    pub fn each(&self) -> impl Iterator<Item = (LimitedBy, OrderLimit)> {
        let all = [
            (LimitedBy::Orders, self.orders),
            (LimitedBy::RegisteredDomain, self.registered_domain),
            (LimitedBy::SameNames, self.same_names),
        ];
        all.into_iter().filter(|(_, limit)| limit.max > 0)
    }
}

/// What an order has to wait for; kept as the status of the stage that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateWait {
    /// The ACME server, as [`authority`] writes it.
    pub authority: String,
    /// Which limit is reached.
    pub limited_by: LimitedBy,
    /// How many this installation has ordered within the window: more than it may, if the limit was lowered.
    pub ordered: u32,
    /// How many it may.
    pub max: u32,
    /// The window, seconds.
    pub window_seconds: u64,
    /// What the order is for: a registered domain, or names.
    pub of: String,
    /// When the next one can be ordered.
    pub until: Timestamp,
}

impl fmt::Display for CertificateWait {
    /// The cause, and who must do what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authority, ordered, max, of, until, .. } = self;
        let what = match self.limited_by {
            LimitedBy::Orders => String::new(),
            LimitedBy::RegisteredDomain => format!(" for names within {of}"),
            LimitedBy::SameNames => format!(" for exactly {of}"),
        };
        let hours = self.window_seconds.div_ceil(60 * 60);
        write!(
            f,
            "waiting to order a certificate of {authority}: this installation has ordered {ordered}{what} in {hours} hours, and \
             acme_limits allows {max}; the next can be ordered at {until}; {WAIT_REMEDY}"
        )
    }
}

/// What a stage waits for; `None`: for no certificate.
#[must_use]
pub fn wait(record: &StageRecord) -> Option<CertificateWait> {
    let waits = record.state == StageState::Running
        && record.desired_state == DesiredState::Present
        && is_ordered_by(&record.stage);
    waits.then(|| serde_json::from_slice(&record.status).ok()).flatten()
}

/// What an environment's stages wait for of authorities in its present generation, with who must do what.
#[must_use]
pub fn waits(stages: &[StageRecord], generation: i64) -> Vec<String> {
    let waits = stages.iter().filter(|record| record.generation == generation).filter_map(wait);
    // Whatever several stages wait for is said once.
    waits.map(|wait| wait.to_string()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether a stage may make what orders a certificate.
#[must_use]
pub fn is_ordered_by(stage: &Stage) -> bool {
    matches!(stage, Stage::Platform(_) | Stage::Isolation)
}

/// Whether a certificate can be ordered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowance {
    /// It can; its place is taken.
    Granted,
    /// It has to wait.
    Wait(CertificateWait),
}

#[cfg(test)]
impl CertificateWait {
    /// One for tests that look at its end only.
    pub(crate) fn sample(until: Timestamp) -> Self {
        let (authority, of) = ("https://a".into(), String::new());
        Self { authority, limited_by: LimitedBy::Orders, ordered: 1, max: 1, window_seconds: 60, of, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal;

    fn order(names: &[&str]) -> CertificateOrder {
        CertificateOrder::of("https://a", names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn a_server_is_one_however_its_address_is_written() {
        let one = "https://acme.example.com/directory";
        for other in [
            one,
            "https://acme.example.com/directory/",
            "HTTPS://Acme.Example.com:443/directory",
            " https://acme.example.com/directory\n",
        ] {
            assert_eq!(authority(other), one, "{other:?}");
        }
        for other in ["https://acme.example.com/Directory", "https://acme.example.com:8443/directory"] {
            assert_ne!(authority(other), one, "{other:?}");
        }
        assert_eq!(authority("https://acme.example.com/"), "https://acme.example.com");
    }

    #[test]
    fn an_order_is_counted_by_the_domain_that_was_bought() {
        let counted = |names: &[&str]| order(names).registered_domain();
        assert_eq!(counted(&["*.acme.example.com"]), "example.com");
        assert_eq!(counted(&["chat.acme.example.co.uk", "files.acme.example.co.uk"]), "example.co.uk");
        assert_eq!(counted(&["*.acme.github.io"]), "acme.github.io", "a private suffix counts as one");
        assert_eq!(order(&["b.example.com", "a.example.com"]), order(&["a.example.com", "b.example.com"]));
        assert_eq!(order(&["b.example.com", "a.example.com"]).joined(), "a.example.com,b.example.com");
    }

    #[test]
    fn a_wait_says_which_limit_and_until_when() {
        let wait = CertificateWait {
            authority: "https://acme.example.com/directory".into(),
            limited_by: LimitedBy::RegisteredDomain,
            ordered: 50,
            max: 20,
            window_seconds: 7 * 24 * 60 * 60,
            of: "example.com".into(),
            until: Timestamp(0),
        };
        let cause = wait.to_string();
        for part in
            ["acme.example.com/directory", "50 for names within example.com in 168 hours", "allows 20;", "1970-01-01"]
        {
            assert!(cause.contains(part), "{part} is not in {cause}");
        }
        let kept: CertificateWait = serde_json::from_str(&serde_json::to_string(&wait).unwrap()).unwrap();
        assert_eq!(kept, wait);
    }

    #[test]
    fn a_stage_waits_while_it_runs_and_for_its_generation_only() {
        let status = serde_json::to_vec(&CertificateWait::sample(Timestamp(0)));
        let present = DesiredState::Present;
        let record = journal::intend(&Stage::Isolation, present, 2, Duration::ZERO, None, Timestamp(0));
        let waiting = StageRecord { status: status.unwrap(), ..record };
        assert_eq!(waits(std::slice::from_ref(&waiting), 2).len(), 1);
        assert_eq!(waits(std::slice::from_ref(&waiting), 3), Vec::<String>::new(), "of an order that was replaced");
        for other in [
            StageRecord { state: StageState::Done, ..waiting.clone() },
            StageRecord { state: StageState::Failed, ..waiting.clone() },
            StageRecord { desired_state: DesiredState::Absent, ..waiting.clone() },
            StageRecord { stage: Stage::Verify, ..waiting.clone() },
            StageRecord { status: Vec::new(), ..waiting.clone() },
        ] {
            assert_eq!(wait(&other), None, "{other:?}");
        }
    }

    #[test]
    fn a_limit_of_none_is_none() {
        let (some, none) =
            (OrderLimit { max: 1, window: ORDER_WINDOW_MAX }, OrderLimit { max: 0, window: ORDER_WINDOW_MAX });
        let limits = OrderLimits { orders: none, registered_domain: some, same_names: none };
        assert_eq!(limits.each().map(|(by, _)| by).collect::<Vec<_>>(), [LimitedBy::RegisteredDomain]);
    }
}
