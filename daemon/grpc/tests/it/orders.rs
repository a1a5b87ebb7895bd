//! What an order may say: checks before anything is made, masks, dry runs, and the classes that fill order forms.

use crate::common::{Daemon, PROD, fields, named, order, update, violations};
use landlord_proto::{google::longrunning::operation::Result as Outcome, v1};
use tonic::Code;

fn values(app: &str, key: &str, value: prost_types::value::Kind) -> prost_types::Struct {
    let value = prost_types::Value { kind: Some(value) };
    let inner = prost_types::Struct { fields: [(key.to_owned(), value)].into() };
    let inner = prost_types::Value { kind: Some(prost_types::value::Kind::StructValue(inner)) };
    prost_types::Struct { fields: [(app.to_owned(), inner)].into() }
}

/// A daemon whose class `small` has the stack `desk`.
async fn with_stack() -> Daemon {
    let mut catalog = crate::common::catalog();
    catalog.classes.get_mut(&"small".parse().unwrap()).unwrap().stack = Some("desk".parse().unwrap());
    Daemon::start().await.again(catalog).await
}

#[tokio::test]
async fn all_that_is_wrong_with_an_order_is_named_at_once_before_anything_is_made() {
    use prost_types::value::Kind::{NumberValue, StringValue};
    let daemon = with_stack().await;
    let mut client = daemon.tenants().await;
    let mut request = order("acme", "prod");
    let tenant = request.tenant.as_mut().unwrap();
    tenant.tenant_class = "small".into();
    tenant.region = "nowhere".into();
    tenant.node_count = 99;
    tenant.domain = "co.uk".into();
    tenant.stack_values = Some(values("lamp", "nope", NumberValue(f64::NAN)));
    let mut worse = request.clone();
    worse.tenant.as_mut().unwrap().storage_gib = 0;
    let wrong = [
        "tenant.domain",
        "tenant.node_count",
        "tenant.region",
        "tenant.stack_values.lamp.nope",
        "tenant.stack_values.lamp.nope",
    ];
    for (request, more) in [(request.clone(), None), (worse, Some("tenant.storage_gib"))] {
        let expected: Vec<&str> = wrong.into_iter().chain(more).collect();
        for validate_only in [true, false] {
            let request = v1::CreateTenantRequest { validate_only, ..request.clone() };
            assert_eq!(fields(&client.create_tenant(request).await.unwrap_err()), expected);
        }
    }
    let explain = v1::ExplainPlacementRequest {
        parent: request.parent.clone(),
        tenant_id: request.tenant_id.clone(),
        tenant: request.tenant.clone(),
    };
    let refused = fields(&client.explain_placement(explain).await.unwrap_err());
    assert!(refused.contains(&"tenant.stack_values.lamp.nope".to_owned()), "{refused:?}");
    // Also where a rule chooses the class, and for a class without a stack.
    let mut request = order("acme", "prod");
    request.tenant.as_mut().unwrap().stack_values = Some(values("lamp", "nope", StringValue("x".into())));
    assert_eq!(fields(&client.create_tenant(request.clone()).await.unwrap_err()), ["tenant.stack_values.lamp.nope"]);
    request.tenant.as_mut().unwrap().tenant_class = "large".into();
    assert_eq!(fields(&client.create_tenant(request).await.unwrap_err()), ["tenant.stack_values"]);
}

#[tokio::test]
async fn domains_are_somebodys_own_and_each_fault_is_named() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    for (domain, word) in [
        ("com", "one label only"),
        ("github.io", "public suffix"),
        ("acme.localhost", "reserved"),
        ("Acme.example.com", "'A' in \"Acme\"; write it as acme.example.com"),
        ("münchen.example.com", "write it as xn--mnchen-3ya.example.com"),
        ("acme..example.com", "an empty label"),
        ("acme.example.com.", "an empty label; write it as acme.example.com"),
        ("-a.example.com", "a dash at an end"),
        ("xn--a.example.com", "no valid IDN label"),
        ("10.0.0.1", "is an address"),
        ("a_b.example.com", "'_' in \"a_b\""),
    ] {
        let mut request = order("acme", "prod");
        request.tenant.as_mut().unwrap().domain = domain.into();
        let refused = violations(&client.create_tenant(request).await.unwrap_err());
        assert!(refused.len() == 1 && refused[0].0 == "tenant.domain", "{domain}: {refused:?}");
        assert!(refused[0].1.contains(word), "{domain}: {refused:?}");
    }
    let mut request = order("acme", "prod");
    request.tenant.as_mut().unwrap().domain = "xn--mnchen-3ya.example.com".into();
    client.create_tenant(request).await.unwrap();
    assert_eq!(client.get_tenant(named(PROD)).await.unwrap().into_inner().domain, "xn--mnchen-3ya.example.com");
}

#[tokio::test]
async fn a_mask_names_one_label_or_one_value() {
    use prost_types::value::Kind::StringValue;
    let daemon = with_stack().await;
    let mut client = daemon.tenants().await;
    let mut request = order("acme", "prod");
    let tenant = request.tenant.as_mut().unwrap();
    tenant.labels = [("tier".to_owned(), "gold".to_owned()), ("a.b".into(), "1".into())].into();
    tenant.tenant_class = "small".into();
    tenant.stack_values = Some(values("lamp", "colour", StringValue("red".into())));
    client.create_tenant(request).await.unwrap();
    let labels = |pairs: &[(&str, &str)]| v1::Tenant {
        labels: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        ..v1::Tenant::default()
    };
    let mut get = daemon.tenants().await;
    client
        .update_tenant(update(&["labels.new", "labels.`a.b`"], labels(&[("new", "2"), ("tier", "tin")])))
        .await
        .unwrap();
    let after = get.get_tenant(named(PROD)).await.unwrap().into_inner();
    assert_eq!(after.labels, labels(&[("new", "2"), ("tier", "gold")]).labels);
    // One value of the stack; what is not named stays, what the request lacks goes.
    let blue = values("lamp", "colour", StringValue("blue".into()));
    let wanted = v1::Tenant { stack_values: Some(blue.clone()), ..v1::Tenant::default() };
    client.update_tenant(update(&["stack_values.lamp.colour"], wanted)).await.unwrap();
    assert_eq!(get.get_tenant(named(PROD)).await.unwrap().into_inner().stack_values, Some(blue));
    client.update_tenant(update(&["stack_values.lamp.colour"], v1::Tenant::default())).await.unwrap();
    assert_eq!(get.get_tenant(named(PROD)).await.unwrap().into_inner().stack_values, None);
    let wrong =
        v1::Tenant { stack_values: Some(values("lamp", "nope", StringValue("x".into()))), ..v1::Tenant::default() };
    let refused = client.update_tenant(update(&["stack_values.lamp.nope"], wrong)).await.unwrap_err();
    assert_eq!(fields(&refused), ["tenant.stack_values.lamp.nope"]);
    for path in ["labels.", "labels.a.b", "state", "labels.`a", "*.labels", "storage_gib.x"] {
        let refused = client.update_tenant(update(&[path], v1::Tenant::default())).await.unwrap_err();
        assert_eq!(fields(&refused), ["update_mask"], "{path}");
    }
    let refused = client.update_tenant(update(&["*", "labels"], v1::Tenant::default())).await.unwrap_err();
    assert_eq!(fields(&refused), ["update_mask"]);
}

#[tokio::test]
async fn a_dry_run_shows_the_tenant_as_it_would_be() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let would_be = |operation: landlord_proto::google::longrunning::Operation| -> v1::Tenant {
        assert!(operation.done && operation.name.is_empty());
        let Some(Outcome::Response(response)) = operation.result else { panic!("{operation:?}") };
        response.to_msg().unwrap()
    };
    let request = v1::CreateTenantRequest { validate_only: true, ..order("acme", "prod") };
    let tenant = would_be(client.create_tenant(request).await.unwrap().into_inner());
    assert_eq!((tenant.name.as_str(), tenant.uid.as_str(), tenant.generation), (PROD, "", 1));
    assert_eq!(tenant.placement.unwrap().tenant_class, "small");
    assert_eq!(client.get_tenant(named(PROD)).await.unwrap_err().code(), Code::NotFound);
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let grow = update(&["storage_gib"], v1::Tenant { storage_gib: 200, ..v1::Tenant::default() });
    let grow = v1::UpdateTenantRequest { validate_only: true, ..grow };
    let tenant = would_be(client.update_tenant(grow).await.unwrap().into_inner());
    assert_eq!((tenant.storage_gib, tenant.generation, tenant.latest_operation.as_str()), (200, 2, ""));
    assert_eq!(client.get_tenant(named(PROD)).await.unwrap().into_inner().storage_gib, 100);
}

#[tokio::test]
async fn classes_fill_an_order_form() {
    use v1::{order_parameter::Type, placement::Level, tenant_class_service_client::TenantClassServiceClient};
    let daemon = with_stack().await;
    let mut client = TenantClassServiceClient::new(daemon.channel().await);
    let get = |name: &str| v1::GetTenantClassRequest { name: name.into() };
    let small = client.get_tenant_class(get("tenantClasses/small")).await.unwrap().into_inner();
    assert_eq!((small.level(), small.provider.as_str(), small.stack.as_str()), (Level::Cluster, "sky", "desk"));
    let parameter = |field: &str| small.parameters.iter().find(|p| p.field == field).unwrap();
    let region = parameter("region");
    assert_eq!((&region.allowed_values, region.default_value.as_str()), (&small.regions, "here"));
    let nodes = parameter("node_count");
    assert_eq!((nodes.minimum, nodes.maximum, nodes.default_value.as_str()), (1, 5, "2"));
    assert!(parameter("domain").required && parameter("domain").immutable && parameter("storage_gib").required);
    let colour = parameter("stack_values.lamp.colour");
    assert_eq!((colour.r#type(), colour.json_schema.as_str()), (Type::Json, "{\"type\":\"string\"}"));
    for (filter, order_by, expected) in [
        ("", "", vec!["large", "small"]),
        ("regions:here", "", vec!["small"]),
        ("stack:* OR level = NODE", "", vec!["small"]),
        ("provider = sky", "name desc", vec!["small", "large"]),
    ] {
        let list =
            v1::ListTenantClassesRequest { filter: filter.into(), order_by: order_by.into(), ..Default::default() };
        let page = client.list_tenant_classes(list).await.unwrap().into_inner();
        let names: Vec<_> = page.tenant_classes.iter().map(|c| c.name.replace("tenantClasses/", "")).collect();
        assert_eq!(names, expected, "{filter}");
    }
    assert_eq!(client.get_tenant_class(get("tenantClasses/none")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(fields(&client.get_tenant_class(get("small")).await.unwrap_err()), ["name"]);
}
