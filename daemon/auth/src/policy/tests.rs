//! What the shipped policies allow and refuse, and how a folder of own ones is followed.

use landlord_core::access::{AuthMethod, EnvironmentAttributes};

use super::*;

fn principal(group: &str, customer: Option<&str>) -> Principal {
    Principal {
        name: "somebody \"quoted\"".into(),
        groups: [group.to_owned()].into(),
        customer: customer.map(|id| id.parse().unwrap()),
        method: AuthMethod::Token,
        expire_time: None,
    }
}

fn tenant(customer: &str, class: &str, labels: &[(&str, &str)]) -> Resource {
    let attributes = EnvironmentAttributes {
        class: class.into(),
        level: "CLUSTER".into(),
        provider: "sky".into(),
        region: "here".into(),
        state: "READY".into(),
        labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    };
    let name = format!("customers/{customer}/tenants/prod").parse().unwrap();
    Resource::Environment { name: landlord_core::EnvironmentName::Tenant(name), attributes: Some(attributes) }
}

fn host() -> Resource {
    let id: landlord_core::HostClusterId = "one".parse().unwrap();
    Resource::Environment { name: id.into(), attributes: None }
}

fn operation(of: &Resource) -> Resource {
    let Resource::Environment { name, attributes } = of.clone() else { panic!("no environment") };
    Resource::Operation { id: "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4".parse().unwrap(), of: name, attributes }
}

#[test]
fn the_shipped_policies_say_who_does_what() {
    let policies = Policies::open(None).unwrap();
    let acme = tenant("acme", "small", &[]);
    let globex = tenant("globex", "small", &[]);
    let customer = |id: &str| Resource::Customer(id.parse().unwrap());
    let provider = Resource::Provider("providers/sky.main".into());
    // Per caller: what it may of acme's tenant, of globex' tenant, of a host cluster, of the installation.
    let callers = [
        (principal("landlord:operators", None), "rwak", "rwak", "rwa", true),
        (principal("landlord:auditors", None), "r", "r", "r", true),
        (principal("landlord:portals", None), "rwk", "rwk", "", false),
        (principal("landlord:customer-portals", Some("acme")), "rwk", "", "", false),
        (principal("landlord:customer-portals", None), "", "", "", false),
        (principal("landlord:customer-users", Some("acme")), "rk", "", "", false),
        (principal("corp:landlord:operators", Some("acme")), "", "", "", false),
        (principal("", Some("acme")), "", "", "", false),
    ];
    for (caller, of_acme, of_globex, of_host, of_providers) in callers {
        let may = |action, resource: &Resource| policies.authorize(&caller, action, resource).allowed;
        for (resource, rights) in [(&acme, of_acme), (&globex, of_globex)] {
            assert_eq!(may(Action::GetTenant, resource), rights.contains('r'), "{caller:?} {resource:?}");
            assert_eq!(may(Action::WatchTenants, resource), rights.contains('r'), "{caller:?}");
            assert_eq!(may(Action::GetOperation, &operation(resource)), rights.contains('r'), "{caller:?}");
            assert_eq!(may(Action::DeleteTenant, resource), rights.contains('w'), "{caller:?}");
            assert_eq!(may(Action::CancelOperation, &operation(resource)), rights.contains('w'), "{caller:?}");
            assert_eq!(may(Action::GenerateKubeconfig, resource), rights.contains('k'), "{caller:?}");
            assert_eq!(may(Action::GenerateOperatorKubeconfig, resource), rights.contains('a'), "{caller:?}");
        }
        assert_eq!(may(Action::ListTenants, &customer("acme")), of_acme.contains('r'), "{caller:?}");
        assert_eq!(may(Action::CreateTenant, &customer("globex")), of_globex.contains('w'), "{caller:?}");
        assert_eq!(may(Action::GetHostCluster, &host()), of_host.contains('r'), "{caller:?}");
        assert_eq!(may(Action::GetOperation, &operation(&host())), of_host.contains('r'), "{caller:?}");
        assert_eq!(may(Action::CordonHostCluster, &host()), of_host.contains('a'), "{caller:?}");
        assert_eq!(may(Action::GetProvider, &provider), of_providers, "{caller:?}");
        assert!(may(Action::WhoAmI, &Resource::Installation));
    }
    // A customer narrows every group.
    let bound = principal("landlord:operators", Some("acme"));
    assert!(policies.authorize(&bound, Action::DeleteTenant, &acme).allowed);
    assert!(!policies.authorize(&bound, Action::DeleteTenant, &globex).allowed);
    assert!(!policies.authorize(&bound, Action::GetOperation, &operation(&globex)).allowed);
    let decision = policies.authorize(&principal("landlord:auditors", None), Action::GetTenant, &acme);
    assert_eq!(decision.policies, ["shipped/auditors"]);
}

#[test]
fn own_policies_add_to_the_shipped_ones_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.cedar");
    std::fs::write(
        &file,
        "@id(\"gold-only\") permit (principal in Group::\"corp:gold\", action in Action::\"read\", resource is Tenant)
           when { resource.hasTag(\"tier\") && resource.getTag(\"tier\") == \"gold\" };
         @id(\"never-large\") forbid (principal, action == Action::\"DeleteTenant\", resource is Tenant)
           when { resource has class && resource.class == \"large\" };",
    )
    .unwrap();
    let policies = Policies::open(Some(folder.path().into())).unwrap();
    let gold = principal("corp:gold", None);
    let may = |caller: &Principal, action, resource: &Resource| policies.authorize(caller, action, resource).allowed;
    assert!(may(&gold, Action::GetTenant, &tenant("acme", "small", &[("tier", "gold")])));
    assert!(!may(&gold, Action::GetTenant, &tenant("acme", "small", &[("tier", "lead")])));
    assert!(!may(&gold, Action::GetTenant, &tenant("acme", "small", &[])));
    let operator = principal("landlord:operators", None);
    assert!(may(&operator, Action::DeleteTenant, &tenant("acme", "small", &[])));
    assert!(!may(&operator, Action::DeleteTenant, &tenant("acme", "large", &[])));
    // Whose policy decided is reported, also where a site calls its own as the shipped ones.
    let decided = |caller, resource: &Resource| policies.authorize(caller, Action::GetTenant, resource).policies;
    assert_eq!(decided(&gold, &tenant("acme", "small", &[("tier", "gold")])), ["site.cedar/gold-only"]);
    let alike = "@id(\"operators\") permit (principal in Group::\"corp:gold\", action, resource is HostCluster);";
    let (folder_of_alike, host) = (tempfile::tempdir().unwrap(), host());
    std::fs::write(folder_of_alike.path().join("shipped.cedar"), alike).unwrap();
    let policies_alike = Policies::open(Some(folder_of_alike.path().into())).unwrap();
    let decided = |caller| policies_alike.authorize(caller, Action::GetHostCluster, &host).policies;
    assert_eq!(
        (decided(&gold), decided(&operator)),
        (vec!["shipped.cedar/operators".into()], vec!["shipped/operators".into()])
    );
    assert!(!policies.reload().unwrap());
    let broken = [
        "permit (principal, action, resource",
        "permit (principal, action == Action::\"BurnTenant\", resource);",
        "permit (principal, action, resource) when { resource.colour == \"red\" };",
        "permit (principal is Robot, action, resource);",
        "permit (principal == ?principal, action, resource);",
    ];
    for text in broken {
        std::fs::write(&file, text).unwrap();
        assert!(policies.reload().is_err(), "{text}");
        assert!(Policies::open(Some(folder.path().into())).is_err(), "{text}");
        assert!(may(&gold, Action::GetTenant, &tenant("acme", "small", &[("tier", "gold")])), "{text}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(policies.reload().unwrap());
    assert!(!may(&gold, Action::GetTenant, &tenant("acme", "small", &[("tier", "gold")])));
}

/// What each group may, written once more in another way.
fn expected(caller: &Principal, action: Action, resource: &Resource) -> bool {
    let group = action.group();
    let of_customers = resource.customer().is_some();
    let own = caller.customer.is_some() && caller.customer.as_ref() == resource.customer();
    let classes = matches!(action, Action::ListTenantClasses | Action::GetTenantClass);
    let portal = matches!(group, ActionGroup::Read | ActionGroup::Operate);
    match caller.groups.first().map_or("", String::as_str) {
        "landlord:operators" => true,
        "landlord:auditors" => group == ActionGroup::Read,
        "landlord:portals" => portal && (of_customers || classes),
        "landlord:customer-portals" => portal && own || classes,
        "landlord:customer-users" => {
            let handed_over = ["GenerateKubeconfig", "GetTenantAccess", "RotateTenantCredentials", "GetTenantLogs"];
            own && (group == ActionGroup::Read || handed_over.contains(&action.as_str()))
        }
        _ => false,
    }
}

/// What policies decide otherwise than the table, over every group, action and kind of resource; groups that `first` speaks of
/// come first.
fn mismatches(policies: &Policies, first: &str) -> impl Iterator<Item = String> {
    let groups = ["operators", "auditors", "portals", "customer-portals", "customer-users", "others"];
    let mut groups = groups.map(|group| format!("landlord:{group}"));
    groups.sort_by_key(|group| !first.contains(&format!("\"{group}\"")));
    let acme = tenant("acme", "small", &[]);
    let resources = [
        Resource::Installation,
        Resource::Customer("acme".parse().unwrap()),
        Resource::Customer("globex".parse().unwrap()),
        Resource::Provider("providers/sky.main".into()),
        host(),
        operation(&host()),
        operation(&acme),
        operation(&tenant("globex", "small", &[])),
        acme,
        tenant("globex", "small", &[]),
    ];
    let callers = groups.into_iter().flat_map(|group| [None, Some("acme")].map(|customer| principal(&group, customer)));
    let actions = || Action::ALL.iter().copied().filter(|action| action.group() != ActionGroup::Own);
    let questions = callers.flat_map(move |caller| actions().map(move |action| (caller.clone(), action)));
    questions.flat_map(move |(caller, action)| {
        let upon = resources.iter().filter(|resource| action.kinds().contains(&resource.kind()));
        let wrong = upon.filter(|resource| {
            let expected = caller.reaches(resource) && expected(&caller, action, resource);
            policies.authorize(&caller, action, resource).allowed != expected
        });
        let named =
            |resource: &Resource| format!("{:?} {:?}: {action:?} {}", caller.groups, caller.customer, resource.name());
        wrong.map(named).collect::<Vec<_>>()
    })
}

/// The shipped policies as text, one after the other.
fn shipped() -> Vec<String> {
    let (_, text) = load::read(None).unwrap().remove(0);
    let policies: Vec<String> = text.split("@id(").skip(1).map(|policy| format!("@id({policy}")).collect();
    assert!(policies.len() >= 8, "{policies:?}");
    policies
}

fn policies_of(text: String) -> Policies {
    let schema = schema::parse().unwrap();
    let content = vec![(PathBuf::from("shipped"), text)];
    let set = load::validated(&schema, &content).unwrap();
    Policies { folder: None, schema, set: RwLock::new(Loaded::new(set, content, Arc::default())) }
}

#[test]
fn the_shipped_policies_are_the_table_and_each_of_them_and_of_their_conditions_is_needed() {
    assert_eq!(mismatches(&Policies::open(None).unwrap(), "").collect::<Vec<_>>(), Vec::<String>::new());
    let all = shipped();
    for (index, policy) in all.iter().enumerate() {
        let name = policy.lines().next().unwrap();
        let without: String =
            all.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, text)| text.as_str()).collect();
        let found = mismatches(&policies_of(without), policy).next();
        assert!(found.is_some(), "nobody notices that {name} is gone");
        let Some(at) = policy.find("when {") else { continue };
        let mut unconditional = all.clone();
        unconditional[index] = format!("{};\n", &policy[..at]);
        let found = mismatches(&policies_of(unconditional.concat()), policy).next();
        assert!(found.is_some(), "nobody notices that {name} has no condition");
    }
}

#[test]
fn the_readme_says_what_is_missed_without_each_shipped_policy() {
    let all = shipped();
    let mut table = String::from("| without the policy | the first that is refused wrongly |\n|---|---|\n");
    for (index, policy) in all.iter().enumerate() {
        let name = policy.split('"').nth(1).unwrap();
        let without: String = all.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, text)| &**text).collect();
        let missed = mismatches(&policies_of(without), policy).next().unwrap();
        let missed =
            missed.replace(['{', '}', '"'], "").replace("Some(CustomerId(acme))", "of acme").replace(" None", "");
        table.push_str(&format!("| `{name}` | {missed} |\n"));
    }
    assert!(include_str!("../../README.md").contains(&table), "daemon/auth/README.md must have:\n{table}");
}

#[test]
fn policies_speak_of_a_customers_labels() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("site.cedar"),
        "@id(\"bank-desk\") permit (principal in Group::\"corp:bank-desk\", action in Action::\"read\", resource)
           when { resource is Customer && resource.hasTag(\"sector\") && resource.getTag(\"sector\") == \"bank\" };
         @id(\"own-sector\") permit (principal in Group::\"corp:gold\", action == Action::\"CreateTenant\", resource is Customer)
           when { principal has customer && principal.customer.hasTag(\"tier\") };",
    )
    .unwrap();
    let policies = Policies::open(Some(folder.path().into())).unwrap();
    let customer = |id: &str| Resource::Customer(id.parse().unwrap());
    let may = |group: &str, own: Option<&str>, action, id: &str| {
        policies.authorize(&principal(group, own), action, &customer(id)).allowed
    };
    let labels = |sector: &str| -> CustomerLabels {
        [(
            "acme".parse().unwrap(),
            [("sector".to_owned(), sector.to_owned()), ("tier".to_owned(), "1".to_owned())].into(),
        )]
        .into()
    };
    let desk = |id: &str| may("corp:bank-desk", None, Action::ListTenants, id);
    assert!(!desk("acme"));
    policies.know_customers(labels("bank"));
    assert!(desk("acme") && !desk("globex"));
    assert!(may("corp:gold", Some("acme"), Action::CreateTenant, "acme"));
    assert!(!may("corp:gold", Some("globex"), Action::CreateTenant, "globex"));
    // What was decided before goes with what it was decided by.
    policies.know_customers(labels("steel"));
    assert!(!desk("acme"));
    policies.know_customers(labels("bank"));
    assert!(desk("acme"));
    std::fs::remove_file(folder.path().join("site.cedar")).unwrap();
    assert!(policies.reload().unwrap());
    assert!(!desk("acme"));
}
