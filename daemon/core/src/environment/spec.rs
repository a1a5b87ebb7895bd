//! The spec: parsed once, with all violations together, into types that cannot be wrong.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::ClassName;

/// Largest storage: the largest gp3 volume is 64 TiB
/// (<https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html>).
pub const STORAGE_GIB_MAX: u32 = 65_536;
/// Most nodes of one tenant: far above any placement, below every provider's node pool limit.
pub const NODE_COUNT_MAX: u32 = 100;
/// Largest stack values as JSON: a Kubernetes Secret (1 MiB) must hold several Helm revisions.
pub const STACK_VALUES_BYTES_MAX: usize = 32 * 1024;
/// Most labels, each of Kubernetes' label size.
const LABELS_MAX: usize = 32;
const LABEL_CHARS_MAX: usize = 63;
/// Longest display name.
pub const DISPLAY_NAME_CHARS_MAX: usize = 63;
/// Longest domain: leaves room for `sftp.` and ACME challenge prefixes below the 253 of RFC 1035.
pub const DOMAIN_CHARS_MAX: usize = 200;
const REGION_CHARS_MAX: usize = 63;

/// One thing wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Path of the field as in the API, for example `spec.domain`.
    pub field: String,
    /// What is wrong and what would be right.
    pub description: String,
}

/// Everything wrong with a request, never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Violations(pub Vec<Violation>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", violation.field, violation.description)?;
        }
        Ok(())
    }
}

/// Domain of a tenant: lower case, without the final dot, at least two labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl Domain {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its labels from the last to the first, each with a dot: `com.example.acme.`. With this begin the same text of every
    /// domain below it, and that of no other.
    #[must_use]
    pub fn reversed(&self) -> String {
        self.0.rsplit('.').fold(String::with_capacity(self.0.len() + 1), |text, label| text + label + ".")
    }

    /// The same of every domain above it that may be a tenant's, the highest first.
    #[must_use]
    pub fn reversed_above(&self) -> Vec<String> {
        let own = self.reversed();
        let ends = own.match_indices('.').map(|(end, _)| own.get(..=end).unwrap_or_default().to_owned());
        // One label alone is nobody's, and the last is the domain itself.
        ends.skip(1).filter(|above| *above != own).collect()
    }
}

impl TryFrom<String> for Domain {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > DOMAIN_CHARS_MAX {
            return Err(format!("must have 1 to {DOMAIN_CHARS_MAX} characters"));
        }
        let mut faults: Vec<String> = text.split('.').filter_map(label_fault).collect();
        if text.split('.').count() < 2 {
            faults.push("has one label only".into());
        }
        if text.rsplit('.').next().is_some_and(|tld| !tld.is_empty() && tld.bytes().all(|b| b.is_ascii_digit())) {
            faults.push("is an address".into());
        }
        if faults.is_empty() {
            return Ok(Self(text));
        }
        let ascii = idna::domain_to_ascii(text.trim_end_matches('.')).ok().filter(|ascii| *ascii != text);
        let hint = ascii.filter(|ascii| Self::try_from(ascii.clone()).is_ok());
        let hint = hint.map(|ascii| format!("; write it as {ascii}")).unwrap_or_default();
        faults.dedup();
        Err(format!("must be a lower-case domain name such as acme.example.com: it {}{hint}", faults.join(", ")))
    }
}

/// What is wrong with a label of a domain.
fn label_fault(label: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if label.is_empty() {
        return Some("has an empty label".into());
    }
    if label.len() > 63 {
        return Some("has a label of more than 63 characters".into());
    }
    if let Some(wrong) = label.chars().find(|c| !allowed(*c)) {
        return Some(format!("has {wrong:?} in {label:?}"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Some(format!("has a dash at an end of {label:?}"));
    }
    let is_idn = label.starts_with("xn--");
    (is_idn && idna::domain_to_unicode(label).1.is_err()).then(|| format!("has {label:?}, which is no valid IDN label"))
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

/// Storage for the customer's files, in GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct StorageSize(u32);

impl StorageSize {
    /// In GiB.
    #[must_use]
    pub fn gib(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for StorageSize {
    type Error = String;
    fn try_from(gib: u32) -> Result<Self, String> {
        if (1..=STORAGE_GIB_MAX).contains(&gib) {
            Ok(Self(gib))
        } else {
            Err(format!("must be 1 to {STORAGE_GIB_MAX} GiB, not {gib}"))
        }
    }
}

impl From<StorageSize> for u32 {
    fn from(size: StorageSize) -> Self {
        size.0
    }
}

/// Number of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct NodeCount(u32);

impl NodeCount {
    /// As a number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for NodeCount {
    type Error = String;
    fn try_from(count: u32) -> Result<Self, String> {
        if (1..=NODE_COUNT_MAX).contains(&count) {
            Ok(Self(count))
        } else {
            Err(format!("must be 1 to {NODE_COUNT_MAX}, not {count}"))
        }
    }
}

impl From<NodeCount> for u32 {
    fn from(count: NodeCount) -> Self {
        count.0
    }
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// Name for humans.
    pub display_name: String,
    /// Labels, usable in placement rules.
    pub labels: BTreeMap<String, String>,
    /// Class ordered; `None`: the placement rules choose.
    pub class: Option<ClassName>,
    /// Region wished for; the class must offer it. `None`: the class's first.
    pub region: Option<String>,
    /// Domain under which the environment responds.
    pub domain: Domain,
    /// Storage for files. Can only grow.
    pub storage: StorageSize,
    /// Nodes; `None`: the class's number.
    pub node_count: Option<NodeCount>,
    /// Values handed to the stack's charts, below the values contract.
    pub stack_values: serde_json::Map<String, serde_json::Value>,
    /// Delete is refused while set.
    pub deletion_protection: bool,
    /// No work is done while set, except deletion.
    pub paused: bool,
}

/// A spec before it is checked, in plain types.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields of TenantSpec, unchecked")]
pub struct SpecInput {
    pub display_name: String,
    pub labels: BTreeMap<String, String>,
    pub class: String,
    pub region: String,
    pub domain: String,
    pub storage_gib: i64,
    pub node_count: i64,
    pub stack_values: serde_json::Map<String, serde_json::Value>,
    pub deletion_protection: bool,
    pub paused: bool,
}

/// Collects everything that is wrong.
#[derive(Default)]
pub(super) struct Collector(Vec<Violation>);

impl Collector {
    pub(super) fn add(&mut self, field: &str, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    pub(super) fn check<T, E: fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// The checked value, if nothing is wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Violations> {
        if self.0.is_empty() { Ok(value) } else { Err(Violations(self.0)) }
    }
}

impl TenantSpec {
    /// Checks `input`, reporting everything that is wrong at once. Field paths are relative
    /// to the tenant resource (`domain`, `storage_gib`, …).
    ///
    /// # Errors
    /// All violations.
    pub fn parse(input: SpecInput) -> Result<Self, Violations> {
        let mut problems = Collector::default();
        if input.display_name.chars().count() > DISPLAY_NAME_CHARS_MAX {
            problems.add("display_name", format!("must have at most {DISPLAY_NAME_CHARS_MAX} characters"));
        }
        if let Some(hidden) = input.display_name.chars().find(|c| is_hidden(*c)) {
            let code = u32::from(hidden);
            problems.add("display_name", format!("must not contain the control character U+{code:04X}"));
        }
        check_labels(&input.labels, &mut problems);
        let class =
            (!input.class.is_empty()).then(|| problems.check("class", input.class.parse::<ClassName>())).flatten();
        check_region(&input.region, &mut problems);
        let domain = problems.check("domain", Domain::try_from(input.domain));
        let storage = problems.check(
            "storage_gib",
            u32::try_from(input.storage_gib)
                .map_err(|_| format!("must be 1 to {STORAGE_GIB_MAX} GiB, not {}", input.storage_gib))
                .and_then(StorageSize::try_from),
        );
        let node_count = check_node_count(input.node_count, &mut problems);
        let values_bytes = serde_json::to_vec(&input.stack_values).map_or(usize::MAX, |v| v.len());
        if values_bytes > STACK_VALUES_BYTES_MAX {
            problems.add(
                "stack_values",
                format!("must be at most {STACK_VALUES_BYTES_MAX} bytes as JSON, not {values_bytes}"),
            );
        }
        match (problems.0.is_empty(), domain, storage) {
            (true, Some(domain), Some(storage)) => Ok(Self {
                display_name: input.display_name,
                labels: input.labels,
                class,
                region: (!input.region.is_empty()).then_some(input.region),
                domain,
                storage,
                node_count,
                stack_values: input.stack_values,
                deletion_protection: input.deletion_protection,
                paused: input.paused,
            }),
            _ => Err(Violations(problems.0)),
        }
    }

    /// Whether going from `self` to `new` needs work in the cloud (a new generation), as
    /// opposed to a change of the record only.
    #[must_use]
    pub fn needs_work(&self, new: &Self) -> bool {
        self.storage != new.storage
            || self.node_count != new.node_count
            || self.stack_values != new.stack_values
            || self.domain != new.domain
            || self.class != new.class
            || self.region != new.region
    }

    /// Whether going from `self` to `new` changes nothing but that more is kept as it is: deletion protection or a pause that is
    /// turned on.
    #[must_use]
    pub fn only_holds(&self, new: &Self) -> bool {
        let held = |before: bool, after: bool| after || !before;
        let as_before = Self { deletion_protection: self.deletion_protection, paused: self.paused, ..new.clone() };
        as_before == *self && held(self.deletion_protection, new.deletion_protection) && held(self.paused, new.paused)
    }

    /// This spec with what a cancelled update may take back as `last` has it: number of nodes and stack values. Storage
    /// can only grow, so what was ordered stays. What is of the record only (names, labels, protection, pause) is as it
    /// was last reported.
    #[must_use]
    pub fn reverted_to(&self, last: &Self) -> Self {
        Self { node_count: last.node_count, stack_values: last.stack_values.clone(), ..self.clone() }
    }

    /// What forbids going from `self` to `new`; the paths are the API's.
    #[must_use]
    pub fn forbidden_changes(&self, new: &Self) -> Vec<Violation> {
        let mut problems = Collector::default();
        if self.domain != new.domain {
            problems.add("domain", "can't be changed; create a new tenant and delete this one");
        }
        if self.class != new.class {
            problems.add("class", "can't be changed; create a new tenant and delete this one");
        }
        if self.region != new.region {
            problems.add("region", "can't be changed; create a new tenant and delete this one");
        }
        if new.storage < self.storage {
            problems.add(
                "storage_gib",
                format!("can only grow: it is {} GiB, {} were requested", self.storage.gib(), new.storage.gib()),
            );
        }
        problems.0
    }
}

/// Control characters, and those that turn the direction of writing or are not seen: a name with one of them can pass for
/// another name, or change what a terminal shows.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

pub(super) fn check_region(region: &str, problems: &mut Collector) {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if region.len() > REGION_CHARS_MAX || !region.bytes().all(allowed) {
        problems.add("region", "must be a region name such as eu-central-1");
    }
}

/// 0: the class's number.
pub(super) fn check_node_count(count: i64, problems: &mut Collector) -> Option<NodeCount> {
    let checked = |count: i64| {
        u32::try_from(count)
            .map_err(|_| format!("must be 1 to {NODE_COUNT_MAX}, not {count}"))
            .and_then(NodeCount::try_from)
    };
    if count == 0 { None } else { problems.check("node_count", checked(count)) }
}

pub(super) fn check_labels(labels: &BTreeMap<String, String>, problems: &mut Collector) {
    if labels.len() > LABELS_MAX {
        problems.add("labels", format!("must be at most {LABELS_MAX}, not {}", labels.len()));
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let outer = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let ok = |text: &str| {
        let bytes = text.as_bytes();
        bytes.len() <= LABEL_CHARS_MAX && bytes.iter().all(|b| inner(*b)) && outer(bytes.first()) && outer(bytes.last())
    };
    for (key, value) in labels {
        if key.is_empty() || !ok(key) || !ok(value) {
            problems.add(
                &format!("labels[{:?}]", key.chars().take(LABEL_CHARS_MAX).collect::<String>()),
                "key and value must have at most 63 letters, digits, '-', '_' or '.', \
                 and begin and end with a letter or digit",
            );
        }
    }
}
