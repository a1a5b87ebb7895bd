//! Names as types that cannot hold a bad value. Parsing is the only way in.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest DNS label, RFC 1035 section 2.3.4.
pub const LABEL_CHARS_MAX: usize = 63;
/// Longest customer or tenant id: leaves room in 63-character Kubernetes names.
pub const ID_CHARS_MAX: usize = 40;

/// A name that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} {problem}")]
pub struct InvalidName {
    /// What kind of name.
    pub what: &'static str,
    /// The offending value, shortened.
    pub value: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

fn label(what: &'static str, value: &str, chars_max: usize) -> Result<(), InvalidName> {
    let bad = |problem: String| {
        let value = value.chars().take(LABEL_CHARS_MAX).collect();
        Err(InvalidName { what, value, problem })
    };
    if value.is_empty() || value.len() > chars_max {
        return bad(format!("must have 1 to {chars_max} characters"));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !value.chars().all(allowed) {
        return bad("may contain only a-z, 0-9 and '-'".into());
    }
    if !value.starts_with(|c: char| c.is_ascii_lowercase()) || value.ends_with('-') {
        return bad("must start with a letter and not end with '-'".into());
    }
    Ok(())
}

macro_rules! label_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                label($what, value, $max)?;
                Ok(Self(value.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label_type!(
    /// Id of a customer: who signed.
    CustomerId, "customer id", ID_CHARS_MAX
);
label_type!(
    /// Id of a tenant within its customer.
    TenantId, "tenant id", ID_CHARS_MAX
);
label_type!(
    /// Id of a host cluster.
    HostClusterId, "host cluster id", ID_CHARS_MAX
);
label_type!(
    /// Name of a class.
    ClassName, "class", LABEL_CHARS_MAX
);
label_type!(
    /// Name of a provider.
    ProviderName, "provider", LABEL_CHARS_MAX
);
label_type!(
    /// Name of a stack.
    StackName, "stack", LABEL_CHARS_MAX
);
label_type!(
    /// Name of a platform.
    PlatformName, "platform", LABEL_CHARS_MAX
);
label_type!(
    /// Name of an app release within a stack.
    AppName, "app", ID_CHARS_MAX
);

/// Resource name of a tenant: `customers/{customer}/tenants/{tenant}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TenantName {
    /// Who signed.
    pub customer: CustomerId,
    /// Which of their environments.
    pub tenant: TenantId,
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "customers/{}/tenants/{}", self.customer, self.tenant)
    }
}

/// Resource name of an environment: a tenant's, or `hostClusters/{host_cluster}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnvironmentName {
    /// Of a tenant.
    Tenant(TenantName),
    /// Of a host cluster.
    HostCluster(HostClusterId),
}

impl EnvironmentName {
    /// The tenant's name; `None`: it is a host cluster's.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantName> {
        match self {
            Self::Tenant(name) => Some(name),
            Self::HostCluster(_) => None,
        }
    }

    /// The host cluster's id; `None`: it is a tenant's name.
    #[must_use]
    pub fn host_cluster(&self) -> Option<&HostClusterId> {
        match self {
            Self::Tenant(_) => None,
            Self::HostCluster(id) => Some(id),
        }
    }

    /// Whose it is; `None`: a host cluster belongs to no customer.
    #[must_use]
    pub fn customer(&self) -> Option<&CustomerId> {
        self.tenant().map(|name| &name.customer)
    }

    /// The last part of the name: the tenant's or the host cluster's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Tenant(name) => name.tenant.as_str(),
            Self::HostCluster(id) => id.as_str(),
        }
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(name) => name.fmt(f),
            Self::HostCluster(id) => write!(f, "hostClusters/{id}"),
        }
    }
}

impl From<TenantName> for EnvironmentName {
    fn from(name: TenantName) -> Self {
        Self::Tenant(name)
    }
}

impl From<HostClusterId> for EnvironmentName {
    fn from(id: HostClusterId) -> Self {
        Self::HostCluster(id)
    }
}

impl FromStr for EnvironmentName {
    type Err = InvalidName;
    fn from_str(value: &str) -> Result<Self, InvalidName> {
        match value.strip_prefix("hostClusters/") {
            Some(id) => id.parse().map(Self::HostCluster),
            None => value.parse().map(Self::Tenant),
        }
    }
}

impl FromStr for TenantName {
    type Err = InvalidName;
    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let malformed = || InvalidName {
            what: "tenant name",
            value: value.chars().take(2 * LABEL_CHARS_MAX).collect(),
            problem: "must have the form customers/{customer}/tenants/{tenant}".into(),
        };
        let rest = value.strip_prefix("customers/").ok_or_else(malformed)?;
        let (customer, tenant) = rest.split_once("/tenants/").ok_or_else(malformed)?;
        Ok(Self { customer: customer.parse()?, tenant: tenant.parse()? })
    }
}

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                uuid::Uuid::parse_str(value).map(Self).map_err(|_| InvalidName {
                    what: $what,
                    value: value.chars().take(LABEL_CHARS_MAX).collect(),
                    problem: "must be a UUID".into(),
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

uuid_type!(
    /// A tenant's identity for life. Cloud names come from it; a deleted tenant's is never reused.
    TenantUid, "tenant uid"
);
uuid_type!(
    /// Id of an operation; its resource name is `operations/{id}`.
    OperationId, "operation id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_tenant_becomes_the_name_of_a_host_cluster() {
        let name: EnvironmentName = "hostClusters/shared-1".parse().unwrap();
        assert_eq!(name.to_string(), "hostClusters/shared-1");
        assert_eq!((name.host_cluster().map(HostClusterId::as_str), name.customer()), (Some("shared-1"), None));
        for text in ["hostClusters/shared-1", "customers//tenants/shared-1", "/tenants/shared-1"] {
            assert!(text.parse::<TenantName>().is_err(), "{text}");
        }
        assert!("".parse::<CustomerId>().is_err());
        assert_eq!("customers/a/tenants/b".parse::<EnvironmentName>().unwrap().host_cluster(), None);
        assert!("customers//tenants/shared-1".parse::<EnvironmentName>().is_err());
    }
}
