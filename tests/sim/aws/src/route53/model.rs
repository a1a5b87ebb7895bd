//! The request bodies of Route 53, as its XML has them; records are stored in this form too.
//!
//! <https://docs.aws.amazon.com/Route53/latest/APIReference/API_Types_Amazon_Route_53.html>

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RecordSet {
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
pub(crate) struct Records {
    #[serde(rename = "ResourceRecord", default)]
    pub records: Vec<Record>,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    pub value: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct AliasTarget {
    #[serde(rename = "HostedZoneId")]
    pub zone: String,
    #[serde(rename = "DNSName")]
    pub name: String,
    #[serde(rename = "EvaluateTargetHealth")]
    pub evaluate: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChangeRequest {
    pub change_batch: ChangeBatch,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChangeBatch {
    pub changes: Changes,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Changes {
    #[serde(rename = "Change", default)]
    pub changes: Vec<Change>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Change {
    pub action: String,
    pub resource_record_set: RecordSet,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NewZone {
    pub name: String,
    pub caller_reference: String,
    #[serde(default)]
    pub hosted_zone_config: Option<ZoneConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ZoneConfig {
    #[serde(default)]
    pub comment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagChange {
    #[serde(default)]
    pub add_tags: Option<TagList>,
    #[serde(default)]
    pub remove_tag_keys: Option<KeyList>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TagList {
    #[serde(rename = "Tag", default)]
    pub tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct KeyList {
    #[serde(rename = "Key", default)]
    pub keys: Vec<String>,
}
