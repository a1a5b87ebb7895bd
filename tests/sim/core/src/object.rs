//! What exists in a simulated account: one record per object, whatever its service.
//!
//! Services keep their own fields in `props`; this module knows only what the journal, the tagging API and the
//! dependency checks need: kind, identity, tags, the VPC and who made it.

use crate::{clock::Micros, kind::Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Tags of one object.
pub type Tags = BTreeMap<String, String>;

/// Who made an object, hence who may remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// A caller, directly or through CloudFormation.
    Customer,
    /// EKS: cluster security group, control-plane and node interfaces.
    Eks,
    /// A controller inside a cluster: load balancers and disks of Kubernetes.
    Kubernetes,
    /// Another service on behalf of an object, such as a NAT gateway's interface.
    Service,
    /// Comes and goes with its VPC: main route table, default security group.
    Default,
}

/// One object of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Unique within the scope: the EC2 id, or the ARN where there is no id.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// A name unique in the kind, where the service has one.
    pub name: Option<String>,
    /// The VPC that it lies in.
    pub vpc: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// The service's own fields.
    pub props: Map<String, Value>,
    /// `available`, `ACTIVE`, … as the service words it.
    pub state: String,
    /// When it was made.
    pub created_us: Micros,
    /// When it went, if it is only kept to be described as gone.
    pub gone_us: Option<Micros>,
    /// Who made it.
    pub owner: Owner,
}

impl Object {
    /// A new customer object in state `available`.
    #[must_use]
    pub fn new(kind: impl Into<Kind>, id: &str, arn: String, now: Micros) -> Self {
        Self {
            kind: kind.into(),
            id: id.to_owned(),
            arn,
            name: None,
            vpc: None,
            tags: Tags::new(),
            props: Map::new(),
            state: "available".to_owned(),
            created_us: now,
            gone_us: None,
            owner: Owner::Customer,
        }
    }

    /// The text property `key`, empty if absent.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.props.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The items of the list property `key` that are texts.
    pub fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        self.props.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// A text of the object's document (the property `doc`) by its JSON pointer, empty if absent.
    #[must_use]
    pub fn doc_text(&self, pointer: &str) -> &str {
        self.props.get("doc").and_then(|doc| doc.pointer(pointer)).and_then(Value::as_str).unwrap_or_default()
    }

    /// Sets a property.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.props.insert(key.to_owned(), value.into());
    }

    /// With a property set.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Whether it still exists (and is not just described as gone).
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.gone_us.is_none()
    }

    /// What the journal and the control API show of it.
    #[must_use]
    pub fn summary(&self) -> ObjectRef {
        ObjectRef {
            kind: self.kind.type_name().to_owned(),
            id: self.id.clone(),
            arn: self.arn.clone(),
            name: self.name.clone().or_else(|| self.tags.get("Name").cloned()).unwrap_or_default(),
            state: self.state.clone(),
            tags: self.tags.clone(),
        }
    }
}

/// An object as the journal shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The type name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// The name or the `Name` tag.
    pub name: String,
    /// The state.
    pub state: String,
    /// The tags at that moment.
    pub tags: Tags,
}
