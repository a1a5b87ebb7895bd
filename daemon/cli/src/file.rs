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
    documents
        .into_iter()
        .enumerate()
        .map(|(index, document)| {
            let at = if count > 1 { format!("document {}: ", index + 1) } else { String::new() };
            parse(document).map_err(|problem| broken(format!("{at}{problem}")))
        })
        .collect()
}

fn parse(document: Value) -> Result<Document, String> {
    let Value::Object(mut top) = document else { return Err("is neither a tenant nor a host cluster".into()) };
    known(&top, &["apiVersion", "kind", "metadata", "spec"], "")?;
    let version = take_text(&mut top, "apiVersion", "")?;
    let kind = take_text(&mut top, "kind", "")?;
    match (version.as_str(), kind.as_str()) {
        (API_VERSION, "Tenant") => parse_tenant(top).map(|tenant| Document::Tenant(Box::new(tenant))),
        (API_VERSION, "HostCluster") => parse_host(top).map(|host| Document::Host(Box::new(host))),
        _ => Err(format!("is {version:?} {kind:?}, not {API_VERSION:?} \"Tenant\" or \"HostCluster\"")),
    }
}

fn parse_host(mut top: Map<String, Value>) -> Result<HostFile, String> {
    let mut metadata = take_map(&mut top, "metadata")?;
    known(&metadata, &["name", "labels"], "metadata.")?;
    let id = take_text(&mut metadata, "name", "metadata.")?;
    let mut spec = take_map(&mut top, "spec")?;
    known(&spec, &HOST_SPEC, "spec.")?;
    if let Some(labels) = metadata.remove("labels") {
        spec.insert("labels".into(), labels);
    }
    spec.insert("name".into(), format!("hostClusters/{id}").into());
    Ok(HostFile { id, host_cluster: message(spec)? })
}

fn parse_tenant(mut top: Map<String, Value>) -> Result<TenantFile, String> {
    let mut metadata = take_map(&mut top, "metadata")?;
    known(&metadata, &["customer", "name", "labels"], "metadata.")?;
    let customer = take_text(&mut metadata, "customer", "metadata.")?;
    let tenant_id = take_text(&mut metadata, "name", "metadata.")?;
    let mut spec = take_map(&mut top, "spec")?;
    known(&spec, &SPEC, "spec.")?;
    if let Some(labels) = metadata.remove("labels") {
        spec.insert("labels".into(), labels);
    }
    spec.insert("name".into(), format!("customers/{customer}/tenants/{tenant_id}").into());
    let tenant = message(spec)?;
    Ok(TenantFile { customer, tenant_id, tenant })
}

/// Through the descriptor, so that every field of the API is understood as the API does.
fn message<M: Message + Name + Default>(fields: Map<String, Value>) -> Result<M, String> {
    let pool = output::pool().map_err(|error| error.to_string())?;
    let unknown = || format!("the API knows no {}", M::full_name());
    let descriptor: MessageDescriptor = pool.get_message_by_name(&M::full_name()).ok_or_else(unknown)?;
    let problems: Vec<String> =
        fields.iter().filter_map(|(name, value)| wrong_type(&descriptor, name, value)).collect();
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let dynamic =
        DynamicMessage::deserialize(descriptor, Value::Object(fields)).map_err(|error| format!("spec: {error}"))?;
    M::decode(dynamic.encode_to_vec().as_slice()).map_err(|error| error.to_string())
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

fn take_text(map: &mut Map<String, Value>, field: &str, at: &str) -> Result<String, String> {
    match map.remove(field) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("{at}{field} must be a text, not {other}")),
        None => Err(format!("{at}{field} is missing")),
    }
}

fn take_map(map: &mut Map<String, Value>, field: &str) -> Result<Map<String, Value>, String> {
    match map.remove(field) {
        Some(Value::Object(inner)) => Ok(inner),
        Some(_) => Err(format!("{field} must be a map")),
        None => Err(format!("{field} is missing")),
    }
}

fn known(map: &Map<String, Value>, fields: &[&str], at: &str) -> Result<(), String> {
    for key in map.keys() {
        if fields.contains(&key.as_str()) {
            continue;
        }
        let nearest = fields
            .iter()
            .map(|field| (strsim::damerau_levenshtein(key, field), *field))
            .filter(|(distance, _)| *distance <= key.len().div_ceil(LETTERS_OF_A_MISTAKE))
            .min();
        return Err(match nearest {
            Some((_, field)) => format!("unknown field {at}{key}; did you mean {at}{field}?"),
            None => format!("unknown field {at}{key}; known are: {}", fields.join(", ")),
        });
    }
    Ok(())
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
            ("a: [".into(), "not valid YAML"),
            (String::new(), "holds no tenant"),
        ];
        for (text, expected) in cases {
            let error = from(&text).unwrap_err();
            assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        }
    }
}
