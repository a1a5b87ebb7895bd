//! Files: one or more YAML documents of `kind: Tenant` or `kind: HostCluster`.

use std::{io::Read as _, path::Path};

use landlord_proto::v1;
use prost::{Message, Name};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use crate::{error::Error, output};

const API_VERSION: &str = "landlord.dev/v1";
/// A spec has at most some 50 KiB.
const FILE_BYTES_MAX: u64 = 10 << 20;
/// Problems that are named at most.
const PROBLEMS_MAX: usize = 100;
/// Who mistypes a name gets most of it right: of so many letters at most one is another.
const LETTERS_OF_A_MISTAKE: usize = 3;
/// Fields of a tenant that stand in `spec`.
const SPEC: [&str; 9] = [
    "displayName",
    "tenantClass",
    "region",
    "domain",
    "storageGib",
    "nodeCount",
    "stackValues",
    "deletionProtection",
    "paused",
];

/// Fields of a host cluster that stand in `spec`.
const HOST_SPEC: [&str; 6] = ["tenantClass", "region", "nodeCount", "tenantsMax", "deletionProtection", "adoption"];

/// A document of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Document {
    /// `kind: Tenant`.
    Tenant(Box<TenantFile>),
    /// `kind: HostCluster`.
    Host(Box<HostFile>),
}

/// A host cluster as a file describes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostFile {
    /// Id.
    pub(crate) id: String,
    /// The resource, its name set.
    pub(crate) host_cluster: v1::HostCluster,
}

/// A tenant as a file describes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TenantFile {
    /// Customer id.
    pub(crate) customer: String,
    /// Tenant id.
    pub(crate) tenant_id: String,
    /// The resource, its name set.
    pub(crate) tenant: v1::Tenant,
}

/// Reads a file that holds nothing but tenants.
pub(crate) fn tenants(path: &Path) -> Result<Vec<TenantFile>, Error> {
    let of = |document| match document {
        Document::Tenant(tenant) => Ok(*tenant),
        Document::Host(host) => {
            let problem = format!("{}: {} is no tenant", path.display(), host.host_cluster.name);
            Err(Error::Usage(problem))
        }
    };
    read(path)?.into_iter().map(of).collect()
}

/// Reads the documents of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Vec<Document>, Error> {
    let shown = path.display();
    let broken = |problem: String| Error::Usage(format!("{shown}: {problem}"));
    let mut text = String::new();
    let result = if path.as_os_str() == "-" {
        std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
    };
    result.map_err(|error| broken(format!("can't be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(broken(format!("has more than {FILE_BYTES_MAX} bytes")));
    }
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| broken(format!("is not valid YAML: {error}")))?;
    let documents: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
    if documents.is_empty() {
        return Err(broken("holds no tenant and no host cluster".into()));
    }
    let count = documents.len();
    let (mut read, mut problems) = (Vec::with_capacity(count), Vec::new());
    for (index, document) in documents.into_iter().enumerate() {
        let at = if count > 1 { format!("document {}: ", index + 1) } else { String::new() };
        match parse(document) {
            Ok(document) => read.push(document),
            Err(found) => problems.extend(found.into_iter().map(|problem| format!("{at}{problem}"))),
        }
    }
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    problems.truncate(PROBLEMS_MAX);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    if problems.is_empty() { Ok(read) } else { Err(broken(problems.join("; "))) }
}

/// One document, or all that is wrong with it.
fn parse(document: Value) -> Result<Document, Vec<String>> {
    let Value::Object(mut top) = document else { return Err(vec!["is neither a tenant nor a host cluster".into()]) };
    let mut problems = Vec::new();
    let version = take_text(&mut top, "apiVersion", "", &mut problems);
    let kind = take_text(&mut top, "kind", "", &mut problems);
    let parsed = match (version.as_str(), kind.as_str()) {
        (API_VERSION, "Tenant") => parse_tenant(top, &mut problems).map(Box::new).map(Document::Tenant),
        (API_VERSION, "HostCluster") => parse_host(top, &mut problems).map(Box::new).map(Document::Host),
        // Whose fields they are is not known then.
        _ if problems.is_empty() => {
            let problem = format!("is {version:?} {kind:?}, not {API_VERSION:?} \"Tenant\" or \"HostCluster\"");
            return Err(vec![problem]);
        }
        _ => None,
    };
    parsed.filter(|_| problems.is_empty()).ok_or(problems)
}

fn parse_host(top: Map<String, Value>, problems: &mut Vec<String>) -> Option<HostFile> {
    let ([id], mut spec) = take_parts(top, ["name"], &HOST_SPEC, problems)?;
    spec.insert("name".into(), format!("hostClusters/{id}").into());
    Some(HostFile { id, host_cluster: message(spec, problems)? })
}

fn parse_tenant(top: Map<String, Value>, problems: &mut Vec<String>) -> Option<TenantFile> {
    let ([customer, tenant_id], mut spec) = take_parts(top, ["customer", "name"], &SPEC, problems)?;
    spec.insert("name".into(), format!("customers/{customer}/tenants/{tenant_id}").into());
    let tenant = message(spec, problems)?;
    Some(TenantFile { customer, tenant_id, tenant })
}

/// Texts of the metadata, and the spec with the labels in it; `None`: one of the two is not there.
fn take_parts<const TEXTS: usize>(
    mut top: Map<String, Value>,
    texts: [&'static str; TEXTS],
    spec_fields: &[&str],
    problems: &mut Vec<String>,
) -> Option<([String; TEXTS], Map<String, Value>)> {
    let metadata = take_map(&mut top, "metadata", problems);
    let spec = take_map(&mut top, "spec", problems);
    known(&top, &["apiVersion", "kind", "metadata", "spec"], "", problems);
    let metadata = metadata.map(|mut metadata| {
        let taken = texts.map(|field| take_text(&mut metadata, field, "metadata.", problems));
        let labels = metadata.remove("labels");
        let fields: Vec<&str> = texts.into_iter().chain(["labels"]).collect();
        known(&metadata, &fields, "metadata.", problems);
        (taken, labels)
    });
    if let Some(spec) = &spec {
        known(spec, spec_fields, "spec.", problems);
    }
    let ((taken, labels), mut spec) = (metadata?, spec?);
    spec.retain(|field, _| spec_fields.contains(&field.as_str()));
    spec.extend(labels.map(|labels| ("labels".to_owned(), labels)));
    Some((taken, spec))
}

/// Through the descriptor, so that every field of the API is understood as the API does.
fn message<M: Message + Name + Default>(fields: Map<String, Value>, problems: &mut Vec<String>) -> Option<M> {
    decoded(fields).map_err(|found| problems.extend(found)).ok()
}

fn decoded<M: Message + Name + Default>(fields: Map<String, Value>) -> Result<M, Vec<String>> {
    let alone = |problem: String| vec![problem];
    let pool = output::pool().map_err(|error| alone(error.to_string()))?;
    let unknown = || alone(format!("the API knows no {}", M::full_name()));
    let descriptor: MessageDescriptor = pool.get_message_by_name(&M::full_name()).ok_or_else(unknown)?;
    let problems: Vec<String> =
        fields.iter().filter_map(|(name, value)| wrong_type(&descriptor, name, value)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let dynamic = DynamicMessage::deserialize(descriptor, Value::Object(fields))
        .map_err(|error| alone(format!("spec: {error}")))?;
    M::decode(dynamic.encode_to_vec().as_slice()).map_err(|error| alone(error.to_string()))
}

/// What is wrong with the type of one field.
fn wrong_type(descriptor: &MessageDescriptor, name: &str, value: &Value) -> Option<String> {
    let alone = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
    DynamicMessage::deserialize(descriptor.clone(), alone).err()?;
    let field = descriptor.get_field_by_json_name(name)?;
    let wanted = match field.kind() {
        _ if field.is_map() => "a map of texts",
        Kind::Message(_) => "a map",
        Kind::Int32 | Kind::Int64 => "a whole number",
        Kind::Bool => "true or false",
        _ => "a text",
    };
    let at = if name == "labels" { "metadata" } else { "spec" };
    Some(format!("{at}.{name} must be {wanted}, not {value}"))
}

/// Empty, and noted, if it is none.
fn take_text(map: &mut Map<String, Value>, field: &str, at: &str, problems: &mut Vec<String>) -> String {
    match map.remove(field) {
        Some(Value::String(text)) => return text,
        Some(other) => problems.push(format!("{at}{field} must be a text, not {other}")),
        None => problems.push(format!("{at}{field} is missing")),
    }
    String::new()
}

fn take_map(map: &mut Map<String, Value>, field: &str, problems: &mut Vec<String>) -> Option<Map<String, Value>> {
    match map.remove(field) {
        Some(Value::Object(inner)) => return Some(inner),
        Some(_) => problems.push(format!("{field} must be a map")),
        None => problems.push(format!("{field} is missing")),
    }
    None
}

/// Notes each field that is none of these.
fn known(map: &Map<String, Value>, fields: &[&str], at: &str, problems: &mut Vec<String>) {
    for key in map.keys().filter(|key| !fields.contains(&key.as_str())) {
        let nearest = fields
            .iter()
            .map(|field| (strsim::damerau_levenshtein(key, field), *field))
            .filter(|(distance, _)| *distance <= key.len().div_ceil(LETTERS_OF_A_MISTAKE))
            .min();
        problems.push(match nearest {
            Some((_, field)) => format!("unknown field {at}{key}; did you mean {at}{field}?"),
            None => format!("unknown field {at}{key}; known are: {}", fields.join(", ")),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Result<Vec<Document>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).map_err(|error| error.to_string())
    }

    fn from(text: &str) -> Result<Vec<TenantFile>, String> {
        documents(text)?;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        tenants(file.path()).map_err(|error| error.to_string())
    }

    const HOST: &str = "apiVersion: landlord.dev/v1\nkind: HostCluster\nmetadata: {name: shared-1, labels: {tier: a}}\n\
        spec:\n  tenantsMax: 5\n  region: here\n  adoption: {provider: kubernetes, credentials: k3s}\n";

    #[test]
    fn a_host_cluster_is_read_whole() {
        let both = documents(&format!("{GOOD}---\n{HOST}")).unwrap();
        let Document::Host(host) = &both[1] else { panic!("{both:?}") };
        assert_eq!((host.id.as_str(), host.host_cluster.name.as_str()), ("shared-1", "hostClusters/shared-1"));
        assert_eq!(host.host_cluster.adoption.as_ref().unwrap().credentials, "k3s");
        assert_eq!((host.host_cluster.tenants_max, host.host_cluster.labels["tier"].as_str()), (5, "a"));
        for (text, part) in [
            (HOST.replace("tenantsMax", "tenantMax"), "did you mean spec.tenantsMax?"),
            (HOST.replace("name: shared-1, ", ""), "metadata.name is missing"),
            (HOST.replace("kubernetes", "[1]"), "adoption"),
        ] {
            let error = documents(&text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(from(HOST).unwrap_err().contains("hostClusters/shared-1 is no tenant"));
    }

    const GOOD: &str = "apiVersion: landlord.dev/v1\nkind: Tenant\nmetadata:\n  customer: acme\n  name: prod\n  \
        labels: {tier: gold}\nspec:\n  tenantClass: small\n  domain: acme.example.com\n  storageGib: 100\n  \
        stackValues: {chat: {replicas: 2}}\n";

    #[test]
    fn a_tenant_is_read_whole() {
        let tenants = from(GOOD).unwrap();
        let tenant = &tenants[0].tenant;
        assert_eq!(tenant.name, "customers/acme/tenants/prod");
        assert_eq!((tenant.storage_gib, tenant.tenant_class.as_str()), (100, "small"));
        assert_eq!(tenant.labels["tier"], "gold");
        assert!(tenant.stack_values.as_ref().unwrap().fields.contains_key("chat"));
        assert_eq!(from(&format!("{GOOD}---\n{GOOD}")).unwrap().len(), 2);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            (GOOD.replace("storageGib", "storageGB"), "did you mean spec.storageGib?"),
            (GOOD.replace("metadata:", "metadat:"), "did you mean metadata?"),
            (GOOD.replace("100", "100Gi"), "spec.storageGib must be a whole number, not \"100Gi\""),
            (GOOD.replace("tier: gold", "tier: [1]"), "metadata.labels must be a map of texts"),
            (
                GOOD.replace("100", "x").replace("tenantClass: small", "tenantClass: {}"),
                "spec.tenantClass must be a text, not {}; spec.storageGib must be a whole number, not \"x\"",
            ),
            (GOOD.replace("kind: Tenant", "kind: Pod"), "not \"landlord.dev/v1\" \"Tenant\""),
            (GOOD.replace("  customer: acme\n", ""), "metadata.customer is missing"),
            // All of them, of each document.
            (
                GOOD.replace("kind: Tenant", "kind: Tenant\nstate: 1")
                    .replace("customer: acme", "owner: acme")
                    .replace("domain: acme.example.com", "domain: [a]\n  storage: 5"),
                "unknown field state; known are: apiVersion, kind, metadata, spec; metadata.customer is missing; \
                 unknown field metadata.owner; known are: customer, name, labels; unknown field spec.storage; did you mean \
                 spec.storageGib?; spec.domain must be a text, not [\"a\"]",
            ),
            (
                format!("{}---\n{}", GOOD.replace("100", "x"), GOOD.replace("  name: prod\n", "")),
                "document 2: metadata.name is missing",
            ),
            (GOOD.replace("apiVersion: landlord.dev/v1\nkind: Tenant\n", ""), "apiVersion is missing; kind is missing"),
            ("a: [".into(), "not valid YAML"),
            (String::new(), "holds no tenant"),
        ];
        for (text, expected) in cases {
            let error = from(&text).unwrap_err();
            assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        }
    }
}
