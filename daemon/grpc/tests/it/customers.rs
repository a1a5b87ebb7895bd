//! Customers with contracts, as portals and operators meet them.

use landlord_auth::policy::Policies;
use landlord_proto::v1;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::{
    common::{fields, order, reason},
    requests::World,
};

type Client = v1::customer_service_client::CustomerServiceClient<tonic::transport::Channel>;

async fn world() -> (World, Client) {
    let world = World::start(Policies::open(None).unwrap()).await;
    let client = Client::new(world.channel.clone());
    (world, client)
}

impl World {
    fn asked_by<M>(&self, name: &str, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer(name));
        request
    }

    async fn ordered(&self, order: v1::CreateTenantRequest) -> Result<(), Status> {
        let mut tenants = v1::tenant_service_client::TenantServiceClient::new(self.channel.clone());
        tenants.create_tenant(self.asked_by("operator", order)).await.map(drop)
    }
}

fn create(id: &str, customer: v1::Customer) -> v1::CreateCustomerRequest {
    v1::CreateCustomerRequest { customer_id: id.into(), customer: Some(customer), ..Default::default() }
}

/// The fields that forbid an order.
fn forbidding(status: &Status) -> Vec<String> {
    assert_eq!((status.code(), reason(status).as_str()), (Code::FailedPrecondition, "NOT_IN_CONTRACT"), "{status:?}");
    let failure = status.get_details_precondition_failure().unwrap();
    failure.violations.into_iter().map(|violation| violation.r#type).collect()
}

#[tokio::test]
async fn a_customer_is_kept_with_etag_mask_and_dry_run() {
    let (world, mut client) = world().await;
    let wanted = v1::Customer {
        display_name: "Initech".into(),
        contract: Some(v1::Contract { number: "C-17".into(), ..Default::default() }),
        allowed_levels: vec!["CLUSTER".into()],
        limits: Some(v1::CustomerLimits { tenants_max: 1, ..Default::default() }),
        contacts: vec![v1::Contact { email: "it@initech.example".into(), ..Default::default() }],
        ..Default::default()
    };
    let dry = v1::CreateCustomerRequest { validate_only: true, ..create("initech", wanted.clone()) };
    let shown = client.create_customer(world.asked_by("operator", dry)).await.unwrap().into_inner();
    assert_eq!((shown.name.as_str(), shown.etag.as_str()), ("customers/initech", ""));
    let get = || v1::GetCustomerRequest { name: "customers/initech".into() };
    assert_eq!(client.get_customer(world.asked_by("operator", get())).await.unwrap_err().code(), Code::NotFound);
    let made = client.create_customer(world.asked_by("operator", create("initech", wanted.clone()))).await.unwrap();
    let made = made.into_inner();
    let as_wanted = v1::Customer {
        name: made.name.clone(),
        etag: made.etag.clone(),
        create_time: made.create_time,
        update_time: made.update_time,
        ..wanted
    };
    assert_eq!(made, as_wanted);
    let wrong = v1::Customer {
        allowed_levels: vec!["PLANET".into()],
        verified_domains: vec!["nonsense".into()],
        limits: Some(v1::CustomerLimits { nodes_max: -1, ..Default::default() }),
        ..Default::default()
    };
    let mut expected = vec!["customer.allowed_levels[0]", "customer.limits.nodes_max", "customer.verified_domains[0]"];
    let refused =
        client.create_customer(world.asked_by("operator", create("umbrella", wrong.clone()))).await.unwrap_err();
    assert_eq!(fields(&refused), expected);
    let refused = client.create_customer(world.asked_by("operator", create("Umbrella", wrong))).await.unwrap_err();
    expected.push("customer_id");
    assert_eq!(fields(&refused), expected);
    let update = |customer: v1::Customer, paths: &[&str]| v1::UpdateCustomerRequest {
        customer: Some(v1::Customer { name: "customers/initech".into(), ..customer }),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    };
    let suspended = v1::Customer { suspended: true, ..Default::default() };
    let changed =
        client.update_customer(world.asked_by("operator", update(suspended.clone(), &["suspended"]))).await.unwrap();
    let changed = changed.into_inner();
    assert!(changed.suspended && changed.display_name == "Initech" && changed.etag != made.etag, "{changed:?}");
    let stale = v1::Customer { etag: made.etag, ..suspended };
    let refused = client.update_customer(world.asked_by("operator", update(stale, &["suspended"]))).await.unwrap_err();
    assert_eq!(reason(&refused), "ETAG_MISMATCH");
    let unknown =
        client.update_customer(world.asked_by("operator", update(Default::default(), &["mood"]))).await.unwrap_err();
    assert_eq!(fields(&unknown), ["update_mask"]);
    assert_eq!(forbidding(&world.ordered(order("initech", "prod")).await.unwrap_err()), ["suspended"]);
    let delete = v1::DeleteCustomerRequest { name: "customers/initech".into(), ..Default::default() };
    client.delete_customer(world.asked_by("operator", delete)).await.unwrap();
    assert_eq!(client.get_customer(world.asked_by("operator", get())).await.unwrap_err().code(), Code::NotFound);
    let acme = v1::DeleteCustomerRequest { name: "customers/acme".into(), ..Default::default() };
    let refused = client.delete_customer(world.asked_by("operator", acme)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn an_order_meets_the_contract_dry_run_too() {
    let (world, mut client) = world().await;
    let contract = v1::Customer {
        allowed_classes: vec!["large".into()],
        verified_domains: vec!["initech.example.org".into()],
        limits: Some(v1::CustomerLimits { storage_gib_max: 1, ..Default::default() }),
        ..Default::default()
    };
    client.create_customer(world.asked_by("operator", create("initech", contract))).await.unwrap();
    let all = ["allowed_classes", "verified_domains", "limits.storage_gib_max"];
    assert_eq!(forbidding(&world.ordered(order("initech", "prod")).await.unwrap_err()), all);
    let dry = v1::CreateTenantRequest { validate_only: true, ..order("initech", "prod") };
    assert_eq!(forbidding(&world.ordered(dry).await.unwrap_err()), all);
    let explain = v1::ExplainPlacementRequest {
        parent: "customers/initech".into(),
        tenant_id: "prod".into(),
        tenant: order("initech", "prod").tenant,
    };
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(world.channel.clone());
    let explained = tenants.explain_placement(world.asked_by("operator", explain)).await.unwrap().into_inner();
    assert!(
        explained.placement.is_none() && explained.problems.iter().any(|why| why.contains("GiB of storage")),
        "{explained:?}"
    );
}

#[tokio::test]
async fn a_customers_labels_bind_its_tenants() {
    let (world, mut client) = world().await;
    let bank = v1::Customer { labels: [("sector".to_owned(), "bank".to_owned())].into(), ..Default::default() };
    client.create_customer(world.asked_by("operator", create("initech", bank))).await.unwrap();
    let mut here = order("initech", "prod");
    let tenant = here.tenant.as_mut().unwrap();
    (tenant.tenant_class, tenant.region) = ("small".into(), "here".into());
    let refused = world.ordered(here).await.unwrap_err();
    assert_eq!(fields(&refused), ["tenant.region"], "{refused:?}");
}

#[tokio::test]
async fn who_acts_for_a_customer_sees_that_one() {
    let (world, mut client) = world().await;
    client.create_customer(world.asked_by("operator", create("initech", v1::Customer::default()))).await.unwrap();
    let mut listed = async |name: &str| -> Vec<String> {
        let list = v1::ListCustomersRequest { page_size: 1, ..Default::default() };
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let list = v1::ListCustomersRequest { page_token, ..list.clone() };
            let page = client.list_customers(world.asked_by(name, list)).await.unwrap().into_inner();
            found.extend(page.customers.into_iter().map(|customer| customer.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    };
    assert_eq!(listed("operator").await, ["customers/acme", "customers/initech"]);
    assert_eq!(listed("portal").await, ["customers/acme", "customers/initech"]);
    assert_eq!(listed("acme-user").await, ["customers/acme"]);
    assert!(listed("globex-portal").await.is_empty() && listed("nobody").await.is_empty());
    let foreign = v1::GetCustomerRequest { name: "customers/initech".into() };
    let refused = client.get_customer(world.asked_by("acme-portal", foreign)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let own = v1::Customer { name: "customers/acme".into(), suspended: true, ..Default::default() };
    let update = v1::UpdateCustomerRequest { customer: Some(own), ..Default::default() };
    let refused = client.update_customer(world.asked_by("acme-portal", update)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
