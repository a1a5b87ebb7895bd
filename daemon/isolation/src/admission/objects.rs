//! Services, routes, secrets, claims and accounts of tenants: what may stand in them.

use landlord_kube::markers::{DEPLOYER, DOMAIN_ANNOTATION, RESERVED_PREFIX};

use super::policy::{Policy, Rule, of_namespace, rule};

/// All of them.
pub(super) fn policies() -> [Policy; 5] {
    [services(), routes(), secrets(), claims(), accounts()]
}

/// Whether the request is of somebody who may write the object's status: a controller or an administrator. No tenant may.
fn by_its_controller(group: &str, plural: &str) -> String {
    format!(
        "authorizer.group('{group}').resource('{plural}').subresource('status').namespace(request.namespace).check('update').allowed()"
    )
}

/// Who may have controllers take orders: the deployer, and who [writes the status](by_its_controller).
fn trusted(group: &str, plural: &str) -> String {
    format!(
        "request.userInfo.username == 'system:serviceaccount:' + request.namespace + ':{DEPLOYER}' || {}",
        by_its_controller(group, plural)
    )
}

/// What [`no_orders`] compares.
fn annotations() -> [(&'static str, String); 2] {
    let of = |object: &str| format!("has({object}.metadata.annotations) ? {object}.metadata.annotations : {{}}");
    [("annotations", of("object")), ("before", format!("oldObject == null ? {{}} : ({})", of("oldObject")))]
}

/// Controllers of clouds and of names take orders in annotations, also such as reach beyond the namespace.
fn no_orders() -> Rule {
    rule(
        "variables.trusted || variables.annotations.all(k, !k.contains('/') || \
         k.startsWith('kubectl.kubernetes.io/') || k.startsWith('meta.helm.sh/') || \
         (k in variables.before && variables.before[k] == variables.annotations[k]))",
        "annotations for controllers must not be set: keys with a prefix other than kubectl.kubernetes.io",
    )
}

fn services() -> Policy {
    let [annotations, before] = annotations();
    Policy {
        name: "tenant-services",
        group: "",
        resources: &["services"],
        operations: &["CREATE", "UPDATE"],
        variables: vec![("trusted", trusted("", "services")), annotations, before],
        rules: vec![
            rule(
                "!has(object.spec.type) || object.spec.type in ['ClusterIP', 'LoadBalancer']",
                "the type must be ClusterIP, or LoadBalancer within the quota",
            ),
            // An address that is announced belongs to whoever announces it: CVE-2020-8554.
            rule("!has(object.spec.externalIPs) || object.spec.externalIPs.size() == 0", "externalIPs must not be set"),
            // An address of the cloud's that another tenant has: clouds share one between Services that ask for it.
            rule(
                "!has(object.spec.loadBalancerIP) || object.spec.loadBalancerIP == ''",
                "loadBalancerIP must not be set: the cloud gives an address",
            ),
            rule(
                "variables.trusted || !has(object.spec.loadBalancerClass) || object.spec.loadBalancerClass == ''",
                "loadBalancerClass must not be set",
            ),
            no_orders(),
        ],
    }
}

/// On a Gateway that several tenants share, the more specific route wins: whose a name is must not be left to them.
fn routes() -> Policy {
    let group = "gateway.networking.k8s.io";
    let [annotations, before] = annotations();
    let domain = ("domain", of_namespace("annotations", DOMAIN_ANNOTATION));
    Policy {
        name: "tenant-routes",
        group,
        resources: &["httproutes"],
        operations: &["CREATE", "UPDATE"],
        variables: vec![domain, ("trusted", trusted(group, "httproutes")), annotations, before],
        rules: vec![
            rule(
                "variables.domain != '' && has(object.spec.hostnames) && object.spec.hostnames.size() > 0 && \
                 object.spec.hostnames.all(h, h == variables.domain || h.endsWith('.' + variables.domain))",
                "hostnames must be named, and lie in the tenant's domain",
            ),
            no_orders(),
        ],
    }
}

fn secrets() -> Policy {
    Policy {
        name: "tenant-secrets",
        group: "",
        resources: &["secrets"],
        operations: &["CREATE", "UPDATE"],
        variables: Vec::new(),
        rules: vec![rule(
            "!has(object.type) || object.type != 'kubernetes.io/service-account-token'",
            "a Secret must not ask for an account's token",
        )],
    }
}

fn claims() -> Policy {
    let bound_by_controller = by_its_controller("", "persistentvolumeclaims");
    Policy {
        name: "tenant-claims",
        group: "",
        resources: &["persistentvolumeclaims"],
        operations: &["CREATE", "UPDATE"],
        variables: vec![
            ("volume", "has(object.spec.volumeName) ? object.spec.volumeName : ''".into()),
            ("before", "oldObject != null && has(oldObject.spec.volumeName) ? oldObject.spec.volumeName : ''".into()),
        ],
        rules: vec![
            rule(
                format!("variables.volume == variables.before || ({bound_by_controller})"),
                "volumeName must not be set: a claim gets a volume of its own",
            ),
            // Both take a volume that is there, and somebody's.
            rule(
                "!has(object.spec.storageClassName) || object.spec.storageClassName != ''",
                "storageClassName must be a class, or left out: a claim gets a volume of its own",
            ),
            rule("!has(object.spec.selector)", "selector must not be set: a claim gets a volume of its own"),
        ],
    }
}

/// The deployer may write accounts, for charts have them; not those that carry rights.
fn accounts() -> Policy {
    let own = "request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':')";
    Policy {
        name: "tenant-accounts",
        group: "",
        resources: &["serviceaccounts", "serviceaccounts/token"],
        operations: &["CREATE", "UPDATE", "DELETE"],
        // A request for a collection has no name of its own, one for a token no named object.
        variables: vec![(
            "name",
            "request.name != '' ? request.name : (oldObject != null ? oldObject.metadata.name : object.metadata.name)"
                .into(),
        )],
        rules: vec![rule(
            format!("!({own}) || !variables.name.startsWith('{RESERVED_PREFIX}')"),
            format!("accounts that begin with {RESERVED_PREFIX} are not the tenant's"),
        )],
    }
}
