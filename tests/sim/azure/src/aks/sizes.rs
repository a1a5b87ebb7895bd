//! Machine sizes, their families, and the vCPU quotas.
//!
//! Names: <https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions>; quotas:
//! <https://learn.microsoft.com/azure/virtual-machines/quotas>; how AKS refuses:
//! <https://learn.microsoft.com/troubleshoot/azure/azure-kubernetes/create-upgrade-delete/error-code-insufficientvcpuquota>.

use super::{super::kind::AzureKind, super::resource, refuse};
use cloudsim_core::{call::Result, ctx::Ctx, object::Object};
use std::collections::BTreeMap;

/// What a size is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    /// `standardDSv5Family` and so on.
    pub(crate) family: String,
    /// Processors.
    pub(crate) vcpus: u32,
    /// Memory.
    pub(crate) memory_mib: u64,
}

/// Reads `Standard_D4ads_v5`; `None` if it is no such name.
#[must_use]
pub(crate) fn parse(name: &str) -> Option<Size> {
    let rest = name.strip_prefix("Standard_")?;
    let (size, version) = rest.split_once('_').map_or((rest, ""), |(s, v)| (s, v));
    let letters: String = size.chars().take_while(char::is_ascii_alphabetic).collect();
    let digits: String = size.chars().skip(letters.len()).take_while(char::is_ascii_digit).collect();
    let features = &size[letters.len() + digits.len()..];
    let vcpus: u32 = digits.parse().ok()?;
    let known = !letters.is_empty() && letters.chars().all(|c| c.is_ascii_uppercase()) && (1..=416).contains(&vcpus);
    if !known || !(version.is_empty() || version.starts_with('v')) {
        return None;
    }
    let gib_per_vcpu = match letters.chars().next() {
        Some('F') => 2,
        Some('E' | 'L') => 8,
        Some('M') => 16,
        _ => 4,
    };
    let family = format!("standard{letters}{}{version}Family", features.to_uppercase());
    Some(Size { family, vcpus, memory_mib: u64::from(vcpus) * gib_per_vcpu * 1_024 })
}

/// The size and number of machines of a pool.
fn demand(pool: &Object) -> Option<(Size, u64)> {
    let size = parse(resource::doc_text(pool, "/properties/vmSize"))?;
    Some((size, super::names::count_of(pool)))
}

/// vCPUs in use in a location, by family.
pub(crate) fn used(ctx: &mut Ctx<'_>, location: &str) -> BTreeMap<String, u64> {
    let mut used = BTreeMap::new();
    // By reference: every PUT of a cluster inspects all pools of its subscription.
    for pool in ctx.scope().of_kind(AzureKind::AgentPool) {
        if pool.is_live()
            && pool.text("location") == location
            && let Some((size, count)) = demand(pool)
        {
            *used.entry(size.family).or_insert(0) += u64::from(size.vcpus) * count;
        }
    }
    used
}

/// Refuses what the quotas do not allow; `more` is machines on top of what is in use.
///
/// # Errors
/// ErrCode_InsufficientVCPUQuota; a size that does not exist.
pub(super) fn check(ctx: &mut Ctx<'_>, location: &str, wanted: &[(String, u64)]) -> Result<()> {
    let used = used(ctx, location);
    let account = ctx.key.account.clone();
    let limit = |ctx: &Ctx<'_>, name: &str| ctx.world.quotas.limit(&account, name);
    let mut by_family: BTreeMap<String, u64> = BTreeMap::new();
    for (name, more) in wanted {
        let Some(size) = parse(name) else {
            let message =
                format!("The VM size of {name} is not allowed in your subscription in location '{location}'.");
            return Err(refuse("BadRequest", message));
        };
        *by_family.entry(size.family).or_insert(0) += u64::from(size.vcpus) * more;
    }
    let total: u64 = by_family.values().sum();
    let left = limit(ctx, "regional-vcpus").saturating_sub(used.values().sum());
    if total > left {
        let message = format!(
            "Insufficient regional vcpu quota left for location {location}. left regional vcpu quota {left}, requested quota {total}. If you want to increase the quota, please follow this instruction: https://learn.microsoft.com/azure/quotas/view-quotas. Surge nodes would also consume vcpu quota, please consider use smaller maxSurge or use maxUnavailable to proceed upgrade without surge nodes, details: aka.ms/aks/maxUnavailable."
        );
        return Err(refuse("ErrCode_InsufficientVCPUQuota", message));
    }
    for (family, more) in by_family {
        let left = limit(ctx, "vcpus-per-family").saturating_sub(used.get(&family).copied().unwrap_or(0));
        if more > left {
            let message = format!(
                "Insufficient vcpu quota requested {more}, remaining {left} for family {family} for region {location}. Surge nodes would also consume vcpu quota, please consider use smaller maxSurge or use maxUnavailable to proceed upgrade without surge nodes, details: aka.ms/aks/maxUnavailable."
            );
            return Err(refuse("ErrCode_InsufficientVCPUQuota", message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_read_from_their_names() {
        let size = parse("Standard_D4ads_v5").expect("a size");
        assert_eq!((size.family.as_str(), size.vcpus, size.memory_mib), ("standardDADSv5Family", 4, 16_384));
        assert_eq!(parse("Standard_B2ms").expect("a size").family, "standardBMSFamily");
        for bad in ["m5.large", "Standard_", "Standard_D", "Standard_D0s_v5", "Standard_D2s_x5"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
