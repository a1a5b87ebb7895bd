//! Holds the public API to the AIPs that it promises (<https://google.aip.dev>), by its
//! descriptors: what buf can't see.

use std::collections::BTreeSet;

use landlord_proto::FILE_DESCRIPTOR_SET;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
};

const PACKAGE: &str = "landlord.v1";
const OPERATION: &str = "google.longrunning.Operation";
/// Resources whose changes are done when the response comes: they return the resource (AIP-133, AIP-134), or nothing (AIP-135).
const AT_ONCE: [&str; 1] = ["Customer"];
/// `google.api.FieldBehavior`.
const OPTIONAL: i32 = 1;
const REQUIRED: i32 = 2;
const OUTPUT_ONLY: i32 = 3;
const IMMUTABLE: i32 = 5;
const IDENTIFIER: i32 = 8;

struct Api {
    pool: DescriptorPool,
    problems: Vec<String>,
}

impl Api {
    fn load() -> Self {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("descriptors decode");
        Self { pool, problems: Vec::new() }
    }

    fn expect(&mut self, fine: bool, aip: u32, problem: impl FnOnce() -> String) {
        if !fine {
            self.problems.push(format!("AIP-{aip}: {}", problem()));
        }
    }

    fn done(self) {
        assert!(self.problems.is_empty(), "\n{}", self.problems.join("\n"));
    }

    fn methods(&self) -> Vec<MethodDescriptor> {
        let services = self.pool.services().filter(|service| service.package_name() == PACKAGE);
        let methods: Vec<_> = services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
        assert!(methods.len() >= 8, "the services are missing from the descriptors");
        methods
    }

    fn messages(&self) -> Vec<MessageDescriptor> {
        let messages = self.pool.all_messages();
        messages.filter(|m| m.package_name() == PACKAGE && !m.is_map_entry()).collect()
    }

    fn enums(&self) -> Vec<EnumDescriptor> {
        self.pool.all_enums().filter(|e| e.package_name() == PACKAGE).collect()
    }

    fn option(&self, options: &DynamicMessage, name: &str) -> Option<Value> {
        let extension = self.pool.get_extension_by_name(name).expect("a known annotation");
        options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
    }

    fn behavior(&self, field: &FieldDescriptor) -> Vec<i32> {
        match self.option(&field.options(), "google.api.field_behavior") {
            Some(Value::List(list)) => list.iter().filter_map(Value::as_enum_number).collect(),
            _ => Vec::new(),
        }
    }

    fn resource(&self, message: &MessageDescriptor) -> Option<DynamicMessage> {
        match self.option(&message.options(), "google.api.resource") {
            Some(Value::Message(resource)) => Some(resource),
            _ => None,
        }
    }

    fn resources(&self) -> Vec<MessageDescriptor> {
        self.messages().into_iter().filter(|message| self.resource(message).is_some()).collect()
    }

    /// Checks that a message has a field of a type, with a behavior (`None`: a response's).
    fn field(&mut self, aip: u32, message: &MessageDescriptor, name: &str, kind: &str, behavior: Option<i32>) {
        let Some(field) = message.get_field_by_name(name) else {
            return self.expect(false, aip, || format!("{} lacks {name}", message.full_name()));
        };
        let actual = kind_name(&field);
        self.expect(actual == kind, aip, || format!("{} is {actual}, not {kind}", field.full_name()));
        if let Some(behavior) = behavior {
            let actual = self.behavior(&field);
            self.expect(actual.contains(&behavior), 203, || {
                format!("{} has field_behavior {actual:?}, not {behavior}", field.full_name())
            });
        }
    }

    /// A reference to a resource, by its type or by its children's.
    fn reference(&mut self, message: &MessageDescriptor, name: &str, part: &str) {
        let Some(field) = message.get_field_by_name(name) else { return };
        let types: BTreeSet<String> = self
            .resources()
            .iter()
            .filter_map(|m| self.resource(m))
            .filter_map(|r| r.get_field_by_name("type").and_then(|t| t.as_str().map(str::to_owned)))
            .collect();
        let referred = match self.option(&field.options(), "google.api.resource_reference") {
            Some(Value::Message(reference)) => reference
                .get_field_by_name(part)
                .and_then(|value| value.as_str().map(str::to_owned))
                .unwrap_or_default(),
            _ => String::new(),
        };
        self.expect(types.contains(&referred), 4231, || {
            format!("{} refers to {referred:?} by {part}; the resources are {types:?}", field.full_name())
        });
    }
}

fn kind_name(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(of) => of.full_name().to_owned(),
        Kind::String => "string".into(),
        Kind::Bool => "bool".into(),
        Kind::Int32 => "int32".into(),
        Kind::Int64 => "int64".into(),
        other => format!("{other:?}"),
    };
    if field.is_map() {
        "map".into()
    } else if field.is_list() {
        format!("repeated {kind}")
    } else {
        kind
    }
}

/// The verb of a standard method and its resource: `ListTenants` → (`List`, `Tenant`).
fn standard(method: &MethodDescriptor, resources: &[MessageDescriptor]) -> Option<(String, MessageDescriptor)> {
    ["Get", "List", "Create", "Update", "Delete"].into_iter().find_map(|verb| {
        let noun = method.name().strip_prefix(verb)?;
        let singular = if verb == "List" { noun.strip_suffix('s')? } else { noun };
        let resource = resources.iter().find(|resource| resource.name() == singular)?;
        Some((verb.to_owned(), resource.clone()))
    })
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (index, character) in name.chars().enumerate() {
        if character.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

#[test]
fn standard_methods_have_their_shapes() {
    let mut api = Api::load();
    let resources = api.resources();
    let mut seen = BTreeSet::new();
    for method in api.methods() {
        let (input, output) = (method.input(), method.output());
        api.expect(input.name() == format!("{}Request", method.name()), 136, || {
            format!("{} takes {}", method.full_name(), input.name())
        });
        api.expect(!method.is_client_streaming(), 127, || method.full_name().to_owned());
        let Some((verb, resource)) = standard(&method, &resources) else { continue };
        seen.insert(verb.clone());
        let (field, response) = (snake(resource.name()), output.full_name().to_owned());
        let at_once = AT_ONCE.contains(&resource.name());
        let changed = if at_once { resource.full_name().to_owned() } else { OPERATION.to_owned() };
        let expect_output = |api: &mut Api, aip: u32, expected: &str| {
            api.expect(response == expected, aip, || format!("{} returns {response}", method.full_name()));
        };
        match verb.as_str() {
            "Get" => {
                api.field(131, &input, "name", "string", Some(REQUIRED));
                api.reference(&input, "name", "type");
                expect_output(&mut api, 131, resource.full_name());
            }
            "List" => {
                // A collection at the top has no parent.
                if input.get_field_by_name("parent").is_some() {
                    api.field(132, &input, "parent", "string", Some(REQUIRED));
                    api.reference(&input, "parent", "child_type");
                }
                expect_output(&mut api, 132, &format!("{PACKAGE}.{}Response", method.name()));
                let many = format!("repeated {}", resource.full_name());
                api.field(132, &output, &format!("{field}s"), &many, None);
            }
            "Create" => {
                // A collection at the top has no parent.
                if input.get_field_by_name("parent").is_some() {
                    api.field(133, &input, "parent", "string", Some(REQUIRED));
                    api.reference(&input, "parent", "child_type");
                }
                api.field(133, &input, &field, resource.full_name(), Some(REQUIRED));
                api.field(133, &input, &format!("{field}_id"), "string", Some(REQUIRED));
                expect_output(&mut api, 151, &changed);
            }
            "Update" => {
                api.field(134, &input, &field, resource.full_name(), Some(REQUIRED));
                api.field(134, &input, "update_mask", "google.protobuf.FieldMask", Some(OPTIONAL));
                expect_output(&mut api, 151, &changed);
            }
            _ => {
                api.field(135, &input, "name", "string", Some(REQUIRED));
                api.reference(&input, "name", "type");
                api.field(154, &input, "etag", "string", Some(OPTIONAL));
                if at_once {
                    // Nothing goes with it, so nothing can be forced.
                    expect_output(&mut api, 135, "google.protobuf.Empty");
                } else {
                    api.field(135, &input, "force", "bool", Some(OPTIONAL));
                    expect_output(&mut api, 151, OPERATION);
                }
            }
        }
    }
    let all = ["Create", "Delete", "Get", "List", "Update"].map(str::to_owned);
    assert_eq!(seen, BTreeSet::from(all), "the test no longer recognises the standard methods");
    api.done();
}

#[test]
fn changes_are_idempotent_checked_and_long_running() {
    let mut api = Api::load();
    let mut changing = 0;
    for method in api.methods() {
        let resources = AT_ONCE.map(|resource| format!("{PACKAGE}.{resource}"));
        let changes = ["Create", "Update", "Delete"].iter().any(|verb| method.name().starts_with(verb));
        let returned = method.output().full_name().to_owned();
        let at_once = changes && (resources.contains(&returned) || returned == "google.protobuf.Empty");
        if returned != OPERATION && !at_once {
            continue;
        }
        changing += 1;
        let input = method.input();
        api.field(155, &input, "request_id", "string", Some(OPTIONAL));
        let format = input
            .get_field_by_name("request_id")
            .and_then(|field| api.option(&field.options(), "google.api.field_info"));
        let uuid = matches!(&format, Some(Value::Message(info))
            if info.get_field_by_name("format").is_some_and(|f| f.as_enum_number() == Some(1)));
        api.expect(uuid, 155, || format!("{}.request_id is not of format UUID4", input.full_name()));
        let retry = method.name().starts_with("Retry");
        if !retry {
            api.field(163, &input, "validate_only", "bool", Some(OPTIONAL));
        }
        if at_once {
            continue;
        }
        let info = api.option(&method.options(), "google.longrunning.operation_info");
        for part in ["response_type", "metadata_type"] {
            let name = match &info {
                Some(Value::Message(info)) => info.get_field_by_name(part).and_then(|v| v.as_str().map(str::to_owned)),
                _ => None,
            };
            let known =
                name.as_ref().is_some_and(|n| api.pool.get_message_by_name(&format!("{PACKAGE}.{n}")).is_some());
            api.expect(known, 151, || format!("{}: {part} is {name:?}", method.full_name()));
        }
    }
    assert_eq!(changing, 14, "Create, Adopt, Update, Delete and Retry return operations, or what they have changed");
    api.done();
}

#[test]
fn lists_are_paged() {
    let mut api = Api::load();
    for method in api.methods() {
        if !method.name().starts_with("List") {
            continue;
        }
        api.field(158, &method.input(), "page_size", "int32", Some(OPTIONAL));
        api.field(158, &method.input(), "page_token", "string", Some(OPTIONAL));
        api.field(158, &method.output(), "next_page_token", "string", None);
        api.field(160, &method.input(), "filter", "string", Some(OPTIONAL));
        // Events have the order in which they happened.
        if !method.name().ends_with("Events") {
            api.field(132, &method.input(), "order_by", "string", Some(OPTIONAL));
        }
        let first = method.output().fields().next();
        api.expect(first.is_some_and(|f| f.is_list() && f.number() == 1), 158, || {
            format!("{} does not begin with the list", method.output().full_name())
        });
    }
    api.done();
}

#[test]
fn resources_are_described() {
    let mut api = Api::load();
    let resources = api.resources();
    assert!(resources.iter().any(|resource| resource.name() == "Tenant"));
    for resource in &resources {
        let annotation = api.resource(resource).expect("a resource");
        let text = |field: &str| {
            annotation.get_field_by_name(field).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let type_name = text("type");
        api.expect(type_name == format!("landlord.dev/{}", resource.name()), 123, || type_name.clone());
        let patterns: Vec<String> = annotation
            .get_field_by_name("pattern")
            .and_then(|v| v.as_list().map(|l| l.iter().filter_map(|p| p.as_str().map(str::to_owned)).collect()))
            .unwrap_or_default();
        let (singular, plural) = (text("singular"), text("plural"));
        let ending = format!("{plural}/{{{singular}}}");
        api.expect(!patterns.is_empty() && patterns.iter().all(|p| p.ends_with(&ending)), 122, || {
            format!("{} has patterns {patterns:?}, none of which ends with {ending}", resource.name())
        });
        api.field(122, resource, "name", "string", Some(IDENTIFIER));
    }
    let tenant = resources.iter().find(|resource| resource.name() == "Tenant").expect("Tenant").clone();
    api.field(154, &tenant, "etag", "string", Some(OPTIONAL));
    api.field(148, &tenant, "uid", "string", Some(OUTPUT_ONLY));
    api.field(148, &tenant, "display_name", "string", Some(OPTIONAL));
    api.field(216, &tenant, "state", "landlord.v1.Tenant.State", Some(OUTPUT_ONLY));
    api.field(128, &tenant, "reconciling", "bool", Some(OUTPUT_ONLY));
    for (resource, fields) in [
        ("Tenant", &["tenant_class", "region", "domain"][..]),
        ("HostCluster", &["tenant_class", "region", "adoption"]),
    ] {
        let resource = resources.iter().find(|r| r.name() == resource).expect("a resource").clone();
        for name in fields {
            let field = resource.get_field_by_name(name).expect("a field");
            let behavior = api.behavior(&field);
            api.expect(behavior.contains(&IMMUTABLE), 203, || format!("{} can't be changed", field.full_name()));
        }
    }
    for time in ["create_time", "update_time", "delete_time"] {
        api.field(148, &tenant, time, "google.protobuf.Timestamp", Some(OUTPUT_ONLY));
    }
    api.done();
}

#[test]
fn enums_begin_unspecified_and_states_are_nested() {
    let mut api = Api::load();
    for of in api.enums() {
        let zero = of.get_value(0).map(|value| value.name().to_owned()).unwrap_or_default();
        let expected = format!("{}_UNSPECIFIED", snake(of.name()).to_uppercase());
        api.expect(zero == expected, 126, || format!("{} begins with {zero:?}, not {expected}", of.full_name()));
        api.expect(of.parent_message().is_some(), 216, || format!("{} is not nested", of.full_name()));
    }
    api.done();
}

#[test]
fn fields_say_what_they_are() {
    let mut api = Api::load();
    let resources = api.resources();
    for message in api.messages() {
        let response = message.name().ends_with("Response");
        for field in message.fields() {
            let behavior = api.behavior(&field);
            api.expect(response || !behavior.is_empty(), 203, || {
                format!("{} has no field_behavior", field.full_name())
            });
            let requested = message.name().ends_with("Request");
            api.expect(!requested || !behavior.contains(&OUTPUT_ONLY), 203, || {
                format!("{} is OUTPUT_ONLY in a request", field.full_name())
            });
            let (kind, name) = (kind_name(&field), field.name().to_owned());
            if kind == "string" && ["tenant", "host_cluster"].contains(&name.as_str()) {
                api.reference(&message, &name, "type");
            }
            api.expect((kind == "google.protobuf.Timestamp") == name.ends_with("_time"), 142, || {
                format!("{} is {kind}: timestamps, and only they, are named *_time", field.full_name())
            });
            api.expect(kind != "google.protobuf.Duration" || name.ends_with("_duration"), 142, || {
                format!("{} is a Duration", field.full_name())
            });
            let sized = ["Uint32", "Uint64", "Fixed32", "Fixed64", "Float"].iter().any(|k| kind.contains(k));
            api.expect(!sized, 141, || format!("{} is {kind}; use int32, int64 or double", field.full_name()));
        }
        if let Some(resource) = resources.iter().find(|r| message.full_name() == r.full_name()) {
            let state = resource.get_field_by_name("state");
            let nested = state
                .is_none_or(|s| matches!(s.kind(), Kind::Enum(e) if e.parent_message().as_ref() == Some(resource)));
            api.expect(nested, 216, || format!("{}.state is not its own enum", resource.full_name()));
        }
    }
    api.done();
}

#[test]
fn everything_is_documented() {
    let mut api = Api::load();
    let files: Vec<_> = api.pool.files().filter(|file| file.package_name() == PACKAGE).collect();
    assert!(files.len() >= 3, "the files are missing from the descriptors");
    for file in files {
        let proto = file.file_descriptor_proto();
        let documented: BTreeSet<Vec<i32>> = proto
            .source_code_info
            .iter()
            .flat_map(|info| &info.location)
            .filter(|place| place.leading_comments.as_ref().is_some_and(|c| !c.trim().is_empty()))
            .map(|place| place.path.clone())
            .collect();
        let mut expect = |path: Vec<i32>, what: String| {
            api.expect(documented.contains(&path), 192, || format!("{what} has no comment"));
        };
        for (index, message) in (0..).zip(&proto.message_type) {
            expect(vec![4, index], message.name().to_owned());
            for (field_index, field) in (0..).zip(&message.field) {
                expect(vec![4, index, 2, field_index], format!("{}.{}", message.name(), field.name()));
            }
        }
        for (index, service) in (0..).zip(&proto.service) {
            expect(vec![6, index], service.name().to_owned());
            for (method_index, method) in (0..).zip(&service.method) {
                expect(vec![6, index, 2, method_index], format!("{}.{}", service.name(), method.name()));
            }
        }
    }
    api.done();
}

#[test]
fn details_of_errors_are_described() {
    let api = Api::load();
    for detail in ["ErrorInfo", "BadRequest", "RetryInfo"] {
        assert!(api.pool.get_message_by_name(&format!("google.rpc.{detail}")).is_some(), "{detail}");
    }
}

#[test]
fn operations_are_served_under_their_standard_names() {
    let api = Api::load();
    let operations = api.pool.get_service_by_name("google.longrunning.Operations").expect("Operations");
    let methods: BTreeSet<String> = operations.methods().map(|method| method.name().to_owned()).collect();
    let expected = ["CancelOperation", "DeleteOperation", "GetOperation", "ListOperations", "WaitOperation"];
    assert_eq!(methods, BTreeSet::from(expected.map(str::to_owned)));
}
