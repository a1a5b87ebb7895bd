//! What sort of thing an object is: an open set, since each cloud brings its own.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;

/// The type of an object, by the name that its cloud gives it: `AWS::EC2::VPC`, `container.googleapis.com/Cluster`,
/// `Microsoft.Network/natGateways`. Clouds have closed enums of their own that convert into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(&'static str);

impl Kind {
    /// The kind with this type name.
    #[must_use]
    pub const fn new(type_name: &'static str) -> Self {
        Self(type_name)
    }

    /// Its type name.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        self.0
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(interned(&String::deserialize(deserializer)?)))
    }
}

/// The one static copy of a type name. A stored state holds a few dozen different ones, so what leaks is bounded.
fn interned(name: &str) -> &'static str {
    static NAMES: parking_lot::Mutex<BTreeSet<&'static str>> = parking_lot::Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock();
    if let Some(known) = names.get(name) {
        return known;
    }
    let leaked: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(leaked);
    leaked
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_stored_kind_is_the_same_kind() {
        let kind = Kind::new("AWS::EC2::VPC");
        let stored = serde_json::to_string(&kind).expect("it is a text");
        assert_eq!(serde_json::from_str::<Kind>(&stored).expect("it reads"), kind);
    }
}
