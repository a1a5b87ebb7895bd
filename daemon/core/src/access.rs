//! Who calls, what is called, and upon what: the values of which a decision about access is made. Knows no policy.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{CustomerId, Environment, EnvironmentName, OperationId, Owner, Placement, State, Timestamp};

/// Group of those who may do everything.
pub const OPERATORS: &str = "landlord:operators";

/// How a principal has authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// By the user id of a process of this machine.
    LocalUser,
    /// By a client certificate.
    Certificate,
    /// By a bearer token.
    Token,
}

impl AuthMethod {
    /// As log and API call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LocalUser => "LOCAL_USER",
            Self::Certificate => "CERTIFICATE",
            Self::Token => "TOKEN",
        }
    }
}

/// Somebody who has authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Name, as policies and the audit log call it; unique over all methods.
    pub name: String,
    /// Groups, as policies call them.
    pub groups: BTreeSet<String>,
    /// The customer that it acts for; `None`: no particular one. Whoever acts for one has nothing to do with what is another's,
    /// whatever policies say.
    pub customer: Option<CustomerId>,
    /// How it has authenticated.
    pub method: AuthMethod,
    /// When what it has shown ends; `None`: with its connection.
    pub expire_time: Option<Timestamp>,
}

impl Principal {
    /// Whether a resource can be any of its business: it is not another customer's.
    #[must_use]
    pub fn reaches(&self, resource: &Resource) -> bool {
        match (&self.customer, resource.customer()) {
            (Some(own), Some(customer)) => own == customer,
            (None, _) | (_, None) => true,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What an action needs, roughly; policies name these instead of single actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionGroup {
    /// Changes nothing.
    Read,
    /// Changes what belongs to one customer.
    Operate,
    /// Changes what customers share, or gives rights beyond one tenant.
    Administer,
    /// About the caller itself: allowed to whoever has authenticated.
    Own,
}

impl ActionGroup {
    /// As policies call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Administer => "administer",
            Self::Own => "own",
        }
    }
}

/// Kind of the resources that an action is upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// The installation.
    Installation,
    /// A customer.
    Customer,
    /// A tenant.
    Tenant,
    /// A host cluster.
    HostCluster,
    /// An operation.
    Operation,
    /// A provider.
    Provider,
}

impl ResourceKind {
    /// As policies call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Installation => "Installation",
            Self::Customer => "Customer",
            Self::Tenant => "Tenant",
            Self::HostCluster => "HostCluster",
            Self::Operation => "Operation",
            Self::Provider => "Provider",
        }
    }

    /// What whoever may not do this does not see.
    #[must_use]
    pub fn read(self) -> Action {
        match self {
            Self::Installation => Action::ListTenantClasses,
            Self::Customer => Action::ListTenants,
            Self::Tenant => Action::GetTenant,
            Self::HostCluster => Action::GetHostCluster,
            Self::Operation => Action::GetOperation,
            Self::Provider => Action::GetProvider,
        }
    }
}

macro_rules! actions {
    ($($service:literal { $($action:ident: $group:ident $($kind:ident)|+,)+ })+) => {
        /// What can be done. One for each rpc, and for what an rpc can do beyond its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the rpcs of the same names are documented in the protobuf files")]
        pub enum Action { $($($action,)+)+ }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$($(Self::$action,)+)+];

            /// As policies call it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($(Self::$action => stringify!($action),)+)+ }
            }

            /// The gRPC service whose method it is; empty: it is no rpc by itself.
            #[must_use]
            pub fn service(self) -> &'static str {
                match self { $($(Self::$action => $service,)+)+ }
            }

            /// Its group.
            #[must_use]
            pub fn group(self) -> ActionGroup {
                match self { $($(Self::$action => ActionGroup::$group,)+)+ }
            }

            /// What it can be upon.
            #[must_use]
            pub fn kinds(self) -> &'static [ResourceKind] {
                match self { $($(Self::$action => &[$(ResourceKind::$kind),+],)+)+ }
            }
        }
    };
}

actions! {
    "landlord.v1.TenantService" {
        CreateTenant: Operate Customer|Tenant,
        GetTenant: Read Tenant,
        ListTenants: Read Customer|Tenant,
        UpdateTenant: Operate Tenant,
        DeleteTenant: Operate Tenant,
        RetryTenant: Operate Tenant,
        WatchTenants: Read Tenant,
        ListTenantEvents: Read Tenant,
        ExplainPlacement: Read Customer,
        MoveTenant: Operate Tenant,
        GenerateKubeconfig: Operate Tenant,
        VerifyTenant: Operate Tenant,
        GetTenantAccess: Operate Tenant,
        RotateTenantCredentials: Operate Tenant,
        UpdateTenantRevision: Operate Tenant,
        GetTenantLogs: Operate Tenant,
        DiffTenant: Operate Tenant,
    }
    "landlord.v1.TenantClassService" {
        ListTenantClasses: Read Installation,
        GetTenantClass: Read Installation,
    }
    "landlord.v1.HostClusterService" {
        CreateHostCluster: Administer HostCluster,
        AdoptHostCluster: Administer HostCluster,
        GetHostCluster: Read HostCluster,
        ListHostClusters: Read HostCluster,
        CordonHostCluster: Administer HostCluster,
        UncordonHostCluster: Administer HostCluster,
        WatchHostClusters: Read HostCluster,
        ListHostClusterEvents: Read HostCluster,
        RetryHostCluster: Administer HostCluster,
        UpdateHostClusterRevision: Administer HostCluster,
        DeleteHostCluster: Administer HostCluster,
    }
    "landlord.v1.ProviderService" {
        ListProviders: Read Provider,
        GetProvider: Read Provider,
    }
    "landlord.v1.OrphanService" {
        ListOrphans: Administer Installation,
        DeleteOrphan: Administer Installation,
    }
    "landlord.v1.DaemonService" {
        ListDaemons: Read Installation,
        GetDaemon: Read Installation,
    }
    "landlord.v1.WebhookService" {
        ListWebhooks: Read Installation, GetWebhook: Read Installation,
        ReplayWebhook: Administer Installation, TestWebhook: Administer Installation,
    }
    "landlord.v1.AuditService" { ListAuditEvents: Read Installation, }
    "landlord.v1.CustomerService" {
        CreateCustomer: Administer Customer,
        GetCustomer: Read Customer,
        ListCustomers: Read Customer,
        UpdateCustomer: Administer Customer,
        DeleteCustomer: Administer Customer,
    }
    "landlord.v1.AuthService" {
        WhoAmI: Own Installation,
        CheckAccess: Own Installation,
    }
    "google.longrunning.Operations" {
        ListOperations: Read Operation,
        GetOperation: Read Operation,
        WaitOperation: Read Operation,
        CancelOperation: Operate Operation,
        DeleteOperation: Administer Operation,
    }
    "grpc.reflection" {
        Reflect: Own Installation,
    }
    "" {
        GenerateOperatorKubeconfig: Administer Tenant,
        CheckAccessOfOthers: Administer Installation,
    }
}

impl Action {
    /// The action of a gRPC path such as `/landlord.v1.TenantService/GetTenant`; `None`: no rule is known for it.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        if matches!(service, "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection") {
            return Some(Self::Reflect);
        }
        Self::ALL.iter().copied().find(|action| action.service() == service && action.as_str() == method)
    }

    /// The action of a policy's name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == name)
    }
}

/// What is known of an environment beside its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnvironmentAttributes {
    /// Class.
    pub class: String,
    /// Isolation level.
    pub level: String,
    /// Provider.
    pub provider: String,
    /// Region.
    pub region: String,
    /// State.
    pub state: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// What an action is upon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// What is the installation's.
    Installation,
    /// A customer.
    Customer(CustomerId),
    /// A tenant or host cluster.
    Environment {
        /// Name.
        name: EnvironmentName,
        /// `None`: its record is gone, or not there yet.
        attributes: Option<EnvironmentAttributes>,
    },
    /// An operation of a tenant or host cluster.
    Operation {
        /// Id.
        id: OperationId,
        /// Name of the environment.
        of: EnvironmentName,
        /// The environment's.
        attributes: Option<EnvironmentAttributes>,
    },
    /// A provider, by its resource name.
    Provider(String),
}

impl Resource {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Installation => ResourceKind::Installation,
            Self::Customer(_) => ResourceKind::Customer,
            Self::Environment { name: EnvironmentName::Tenant(_), .. } => ResourceKind::Tenant,
            Self::Environment { name: EnvironmentName::HostCluster(_), .. } => ResourceKind::HostCluster,
            Self::Operation { .. } => ResourceKind::Operation,
            Self::Provider(_) => ResourceKind::Provider,
        }
    }

    /// Whose it is; `None`: no customer's.
    #[must_use]
    pub fn customer(&self) -> Option<&CustomerId> {
        match self {
            Self::Customer(id) => Some(id),
            Self::Environment { name, .. } | Self::Operation { of: name, .. } => name.customer(),
            Self::Installation | Self::Provider(_) => None,
        }
    }

    /// Its resource name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Installation => "installation".into(),
            Self::Customer(id) => format!("customers/{id}"),
            Self::Environment { name, .. } => name.to_string(),
            Self::Operation { id, .. } => format!("operations/{id}"),
            Self::Provider(name) => name.clone(),
        }
    }
}

impl EnvironmentAttributes {
    /// Of what is ordered and not there yet.
    #[must_use]
    pub fn of_order(placement: &Placement, labels: &BTreeMap<String, String>) -> Self {
        Self {
            class: placement.class.to_string(),
            level: placement.level.as_str().into(),
            provider: placement.provider.to_string(),
            region: placement.region.clone(),
            state: State::Pending.as_str().into(),
            labels: labels.clone(),
        }
    }
}

impl From<&Environment> for EnvironmentAttributes {
    fn from(environment: &Environment) -> Self {
        let labels = match &environment.owner {
            Owner::Tenant(tenant) => &tenant.spec.labels,
            Owner::HostCluster(host) => &host.spec.labels,
        };
        let state = environment.status.state.as_str().into();
        Self { state, ..Self::of_order(&environment.placement, labels) }
    }
}

impl From<&Environment> for Resource {
    fn from(environment: &Environment) -> Self {
        Self::Environment { name: environment.name(), attributes: Some(environment.into()) }
    }
}

/// What was decided, and by which policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Names of the policies that decided; none: nothing allows it.
    pub policies: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_acts_for_a_customer_reaches_no_other() {
        let principal = |customer: Option<&str>| Principal {
            name: "somebody".into(),
            groups: [OPERATORS.to_owned()].into(),
            customer: customer.map(|id| id.parse().unwrap()),
            method: AuthMethod::Token,
            expire_time: None,
        };
        let name = EnvironmentName::Tenant("customers/acme/tenants/prod".parse().unwrap());
        let host = EnvironmentName::HostCluster("one".parse().unwrap());
        let id = "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4".parse().unwrap();
        let of_acme = [
            Resource::Customer("acme".parse().unwrap()),
            Resource::Environment { name: name.clone(), attributes: None },
            Resource::Operation { id, of: name, attributes: None },
        ];
        for resource in &of_acme {
            assert!(principal(None).reaches(resource) && principal(Some("acme")).reaches(resource), "{resource:?}");
            assert!(!principal(Some("globex")).reaches(resource), "{resource:?}");
        }
        for shared in [Resource::Installation, Resource::Environment { name: host, attributes: None }] {
            assert!(principal(Some("globex")).reaches(&shared), "{shared:?}");
        }
    }

    #[test]
    fn actions_are_found_by_path_and_by_name() {
        assert_eq!(Action::of_path("/landlord.v1.TenantService/GetTenant"), Some(Action::GetTenant));
        for unknown in [
            "/landlord.v1.HostClusterService/GetTenant",
            "/landlord.v1.TenantService/",
            "GetTenant",
            "/",
            "",
            "//GetTenant",
        ] {
            assert_eq!(Action::of_path(unknown), None, "{unknown}");
        }
        for action in Action::ALL {
            assert_eq!(Action::of_name(action.as_str()), Some(*action));
            assert!(!action.kinds().is_empty());
        }
    }
}
