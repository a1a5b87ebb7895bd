//! The values of isolation settings: addresses, groups, labels, names. Parsing is the only way in.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::TenantUid;

/// Longest name of a group that an identity provider sends; Kubernetes sets no bound.
const GROUP_CHARS_MAX: usize = 253;
/// Longest Kubernetes label value and namespace name.
const LABEL_CHARS_MAX: usize = 63;

/// A guardrail that can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} {problem}")]
pub struct InvalidIsolationSetting {
    /// Which.
    pub what: &'static str,
    /// The offending value, shortened.
    pub value: String,
    /// What is wrong and what would be right.
    pub problem: &'static str,
}

pub(super) fn invalid(what: &'static str, value: &str, problem: &'static str) -> InvalidIsolationSetting {
    InvalidIsolationSetting { what, value: value.chars().take(GROUP_CHARS_MAX).collect(), problem }
}

macro_rules! text_serde {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidIsolationSetting;
            fn try_from(text: String) -> Result<Self, InvalidIsolationSetting> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

/// A block of addresses, IPv4 or IPv6, in its canonical form: no bits set behind the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Bits that all addresses share.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether every address of `other` is in it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        let shared = |a: u128, b: u128, bits: u32| {
            let differing = bits - u32::from(self.prefix);
            differing >= 128 || (a ^ b) >> differing == 0
        };
        self.prefix <= other.prefix
            && match (self.address, other.address) {
                (IpAddr::V4(a), IpAddr::V4(b)) => shared(u32::from(a).into(), u32::from(b).into(), 32),
                (IpAddr::V6(a), IpAddr::V6(b)) => shared(a.into(), b.into(), 128),
                _ => false,
            }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = InvalidIsolationSetting;
    fn from_str(text: &str) -> Result<Self, InvalidIsolationSetting> {
        let bad = |problem| Err(invalid("CIDR", text, problem));
        let Some((address, prefix)) = text.split_once('/') else {
            return bad("must be an address and a prefix length, such as 10.0.0.0/8");
        };
        let (Ok(address), Ok(prefix)) = (address.parse::<IpAddr>(), prefix.parse::<u8>()) else {
            return bad("must be an address and a prefix length, such as 10.0.0.0/8");
        };
        let (bits, value): (u32, u128) = match address {
            IpAddr::V4(address) => (32, u32::from(address).into()),
            IpAddr::V6(address) => (128, address.into()),
        };
        if u32::from(prefix) > bits {
            return bad("has a prefix length that is longer than its address");
        }
        let host_bits = bits - u32::from(prefix);
        if host_bits < 128 && value & ((1 << host_bits) - 1) != 0 || host_bits == 128 && value != 0 {
            return bad("has bits set behind its prefix length");
        }
        Ok(Self { address, prefix })
    }
}

text_serde!(Cidr);

/// Version of the Pod Security Standards that is enforced: `v1.` and a minor, never `latest`, so that a new
/// Kubernetes version of the host cluster changes nothing that was agreed
/// (<https://kubernetes.io/docs/concepts/security/pod-security-admission/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PodSecurityVersion(u16);

impl Default for PodSecurityVersion {
    /// The newest version that changed `restricted`: since v1.34 probes and hooks must not name a host.
    fn default() -> Self {
        Self(34)
    }
}

impl fmt::Display for PodSecurityVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}", self.0)
    }
}

impl FromStr for PodSecurityVersion {
    type Err = InvalidIsolationSetting;
    fn from_str(text: &str) -> Result<Self, InvalidIsolationSetting> {
        // Before 1.25 `restricted` allowed what it forbids today.
        let minor = text.strip_prefix("v1.").and_then(|minor| minor.parse().ok()).filter(|minor| *minor >= 25);
        minor.map(Self).ok_or_else(|| invalid("Pod Security version", text, "must be pinned, v1.25 or newer"))
    }
}

text_serde!(PodSecurityVersion);

/// Group of the customer's people as the cluster's OIDC configuration names it, prefix included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CustomerGroup(String);

impl CustomerGroup {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CustomerGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CustomerGroup {
    type Err = InvalidIsolationSetting;
    fn from_str(text: &str) -> Result<Self, InvalidIsolationSetting> {
        let bad = |problem| Err(invalid("customer group", text, problem));
        if text.is_empty() || text.len() > GROUP_CHARS_MAX || text.chars().any(char::is_control) {
            return bad("must have 1 to 253 printable characters");
        }
        // Everybody, or the cluster's own parts: never one customer.
        if text.starts_with("system:") {
            return bad("must not be one of Kubernetes' own groups (system:…)");
        }
        Ok(Self(text.to_owned()))
    }
}

text_serde!(CustomerGroup);

/// Value of the label and taint `landlord.dev/tenant` on the nodes of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PoolLabel(String);

impl PoolLabel {
    /// The label of a tenant's pool, made of its uid.
    #[must_use]
    pub fn of(uid: TenantUid) -> Self {
        Self(uid.0.simple().to_string())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PoolLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PoolLabel {
    type Err = InvalidIsolationSetting;
    fn from_str(text: &str) -> Result<Self, InvalidIsolationSetting> {
        // Kubernetes allows more; these need no quoting in a selector or expression.
        let fine = (1..=LABEL_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(invalid(
                "pool label",
                text,
                "must have 1 to 63 of a-z, 0-9 and '-', and neither begin nor end with '-'",
            ))
        }
    }
}

text_serde!(PoolLabel);

/// Name of an object of the operator's: a class of Gateways, an issuer, a Secret. RFC 1123.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(String);

impl ObjectName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectName {
    type Err = InvalidIsolationSetting;
    fn from_str(text: &str) -> Result<Self, InvalidIsolationSetting> {
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= GROUP_CHARS_MAX && text.split('.').all(label) {
            return Ok(Self(text.to_owned()));
        }
        Err(invalid("name", text, "must have at most 253 of a-z, 0-9, '-' and '.', as Kubernetes names do"))
    }
}

text_serde!(ObjectName);

/// A namespace of one tenant on a shared cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantNamespace(String);

/// What a tenant's namespace begins with; no namespace of Kubernetes or a cloud does.
const NAMESPACE_PREFIX: &str = "tenant-";

impl TenantNamespace {
    /// The namespace of a tenant, made of its uid: never reused, and nothing in it is a customer's word.
    #[must_use]
    pub fn of(uid: TenantUid) -> Self {
        Self(format!("{NAMESPACE_PREFIX}{}", uid.0.simple()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TenantNamespace {
    type Err = InvalidIsolationSetting;
    fn from_str(text: &str) -> Result<Self, InvalidIsolationSetting> {
        let uid = text.strip_prefix(NAMESPACE_PREFIX).and_then(|uid| uuid::Uuid::try_parse(uid).ok());
        match uid.map(|uid| Self::of(TenantUid(uid))) {
            Some(namespace) if namespace.as_str() == text => Ok(namespace),
            _ => Err(invalid("namespace", text, "must be tenant- and the 32 digits of a tenant's uid")),
        }
    }
}

text_serde!(TenantNamespace);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_canonical() {
        for fine in ["0.0.0.0/0", "::/0", "10.0.0.0/8", "169.254.169.254/32", "fd00:ec2::254/128"] {
            assert_eq!(fine.parse::<Cidr>().unwrap().to_string(), fine);
        }
        for bad in ["10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "::1/0", "10.0.0.0/08x", "a/8", ""] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn blocks_lie_in_each_other() {
        let cases = [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("0.0.0.0/0", "255.255.255.255/32", true),
            ("::/0", "10.0.0.0/8", false),
            ("fc00::/7", "fd00:ec2::254/128", true),
            ("10.0.0.0/8", "11.0.0.0/8", false),
        ];
        for (outer, inner, expected) in cases {
            let (a, b): (Cidr, Cidr) = (outer.parse().unwrap(), inner.parse().unwrap());
            assert_eq!(a.contains(b), expected, "{outer} {inner}");
        }
    }

    #[test]
    fn names_come_from_the_uid() {
        let uid = TenantUid(uuid::Uuid::from_u128(7));
        let namespace = TenantNamespace::of(uid);
        assert_eq!(namespace.as_str(), "tenant-00000000000000000000000000000007");
        assert_eq!(namespace.as_str().parse::<TenantNamespace>().unwrap(), namespace);
        for bad in ["kube-system", "tenant-", "tenant-7", "tenant-00000000-0000-0000-0000-000000000007"] {
            assert!(bad.parse::<TenantNamespace>().is_err(), "{bad}");
        }
        assert_eq!(PoolLabel::of(uid).as_str().len(), 32);
    }

    #[test]
    fn words_that_open_a_hole_are_refused() {
        for group in ["system:masters", "system:authenticated", "", "a\nb"] {
            assert!(group.parse::<CustomerGroup>().is_err(), "{group}");
        }
        assert!("oidc:acme-developers".parse::<CustomerGroup>().is_ok());
        for version in ["latest", "v1.24", "1.34", "v2.0", ""] {
            assert!(version.parse::<PodSecurityVersion>().is_err(), "{version}");
        }
        assert_eq!(PodSecurityVersion::default().to_string(), "v1.34");
        for pool in ["", "-a", "A", "a.b", "a'b"] {
            assert!(pool.parse::<PoolLabel>().is_err(), "{pool}");
        }
    }
}
