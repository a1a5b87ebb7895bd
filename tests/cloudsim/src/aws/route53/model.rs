//! The request bodies of Route 53, as its XML has them; records are stored in this form too.
//!
//! <https://docs.aws.amazon.com/Route53/latest/APIReference/API_Types_Amazon_Route_53.html>
#![expect(missing_docs, reason = "names and meanings are the API's")]

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct RecordSet {
    pub name: String,
    pub r#type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_identifier: Option<String>,
    #[serde(default, rename = "TTL", skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_records: Option<Records>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_target: Option<AliasTarget>,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Records {
    #[serde(rename = "ResourceRecord", default)]
    pub records: Vec<Record>,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    pub value: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct AliasTarget {
    #[serde(rename = "HostedZoneId")]
    pub zone: String,
    #[serde(rename = "DNSName")]
    pub name: String,
    #[serde(rename = "EvaluateTargetHealth")]
    pub evaluate: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeRequest {
    pub change_batch: ChangeBatch,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeBatch {
    pub changes: Changes,
}

#[derive(Debug, Deserialize)]
pub struct Changes {
    #[serde(rename = "Change", default)]
    pub changes: Vec<Change>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    pub action: String,
    pub resource_record_set: RecordSet,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewZone {
    pub name: String,
    pub caller_reference: String,
    #[serde(default)]
    pub hosted_zone_config: Option<ZoneConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ZoneConfig {
    #[serde(default)]
    pub comment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagChange {
    #[serde(default)]
    pub add_tags: Option<TagList>,
    #[serde(default)]
    pub remove_tag_keys: Option<KeyList>,
}

#[derive(Debug, Deserialize)]
pub struct TagList {
    #[serde(rename = "Tag", default)]
    pub tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

#[derive(Debug, Deserialize)]
pub struct KeyList {
    #[serde(rename = "Key", default)]
    pub keys: Vec<String>,
}
