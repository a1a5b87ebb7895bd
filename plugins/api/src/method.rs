//! The methods of the contract with their stable numbers. The names are those of
//! `MethodCost.method` and `ExpectedDuration.method`, where deletes are distinguished by kind
//! (`DeleteCluster`, …).

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// A method. The number crosses the ABI and is never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Method {
            $($(#[$doc])* $name = $number,)*
        }

        impl Method {
            /// All methods.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The method with a number.
            #[must_use]
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

methods! {
    /// `DescribeRequest` → `DescribeResponse`; allowed before Configure.
    Describe = 1,
    /// `ConfigureRequest` → `ConfigureResponse`; once, before all others but Describe.
    Configure = 2,
    /// `ValidateRequest` → `ValidateResponse`.
    Validate = 3,
    /// `EnsureNetworkRequest` → `EnsureNetworkResponse`.
    EnsureNetwork = 10,
    /// `EnsureClusterRequest` → `EnsureClusterResponse`.
    EnsureCluster = 11,
    /// `EnsureAddonsRequest` → `EnsureAddonsResponse`.
    EnsureAddons = 12,
    /// `KubeAccessRequest` → `KubeAccess`.
    KubeAccess = 13,
    /// `EnsureNodePoolRequest` → `EnsureNodePoolResponse`.
    EnsureNodePool = 14,
    /// `EnsureDnsZoneRequest` → `EnsureDnsZoneResponse`.
    EnsureDnsZone = 15,
    /// `EnsureDnsRecordsRequest` → `EnsureDnsRecordsResponse`.
    EnsureDnsRecords = 16,
    /// `EnsureIdentityRequest` → `EnsureIdentityResponse`.
    EnsureIdentity = 17,
    /// `ObserveRequest` → `ObserveResponse`.
    Observe = 30,
    /// `DeleteRequest` → `DeleteResponse`.
    Delete = 31,
    /// `ListOwnedRequest` → `ListOwnedResponse`.
    ListOwned = 32,
}
