//! Contents of stacks and platforms by what they hold. A tenant names the revisions that it runs: what is edited on disk reaches
//! it only when somebody asks for it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{PlatformName, StackName, ids::InvalidName};

/// Hexadecimal digits of an id: 80 bits, of contents that an operator wrote.
const DIGITS: usize = 20;

/// Identity of a content: the beginning of its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RevisionId(String);

impl RevisionId {
    /// Of a digest in hexadecimal digits, of which there are enough.
    ///
    /// # Errors
    /// A digest that is none.
    pub fn of_digest(digest: &str) -> Result<Self, InvalidName> {
        digest.get(..DIGITS).unwrap_or(digest).parse()
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RevisionId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let fine = text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if fine {
            return Ok(Self(text.to_owned()));
        }
        let value = text.chars().take(DIGITS).collect();
        Err(InvalidName { what: "revision", value, problem: format!("must be {DIGITS} of 0-9 and a-f") })
    }
}

impl TryFrom<String> for RevisionId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<RevisionId> for String {
    fn from(id: RevisionId) -> Self {
        id.0
    }
}

/// What has revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevisionKind {
    /// A stack.
    Stack,
    /// A platform.
    Platform,
}

impl RevisionKind {
    /// Its word in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Platform => "platform",
        }
    }
}

/// One revision of something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevisionKey {
    /// What it is of.
    pub kind: RevisionKind,
    /// Name of the stack or platform.
    pub name: String,
    /// Which.
    pub id: RevisionId,
}

/// The revisions that an environment runs. Of its class the placement itself is one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Revisions {
    /// Of its stack; `None`: it has none, or was built before there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<RevisionId>,
    /// Of its platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<RevisionId>,
    /// The generation in which these are on trial: if a stage gives up in it, the environment goes back to those of before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial_generation: Option<i64>,
}

impl Revisions {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The revisions that lie on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CurrentRevisions {
    /// Of stacks.
    pub stacks: BTreeMap<StackName, RevisionId>,
    /// Of platforms.
    pub platforms: BTreeMap<PlatformName, RevisionId>,
}

impl CurrentRevisions {
    /// What an environment with this stack and this platform would run if it were ordered now.
    #[must_use]
    pub fn of(&self, stack: Option<&StackName>, platform: Option<&PlatformName>) -> Revisions {
        Revisions {
            stack: stack.and_then(|name| self.stacks.get(name)).cloned(),
            platform: platform.and_then(|name| self.platforms.get(name)).cloned(),
            trial_generation: None,
        }
    }
}

/// A part of an environment that can be brought to what is on offer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What its class says, but for where it is built and on which machines.
    Class,
    /// Its stack.
    Stack,
    /// Its cluster's platform.
    Platform,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Class, Self::Stack, Self::Platform];
    /// Those of a host cluster, in which landlord runs no stack of its own.
    pub const OF_HOST_CLUSTERS: [Self; 2] = [Self::Class, Self::Platform];

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Stack => "stack",
            Self::Platform => "platform",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_the_beginning_of_a_digest() {
        let id = RevisionId::of_digest(&"0a".repeat(32)).unwrap();
        assert_eq!(id.as_str(), "0a0a0a0a0a0a0a0a0a0a");
        assert_eq!(serde_json::from_str::<RevisionId>("\"0a0a0a0a0a0a0a0a0a0a\"").unwrap(), id);
        for wrong in ["", "0A0a0a0a0a0a0a0a0a0a", "0a", "../../../../../../../"] {
            assert!(wrong.parse::<RevisionId>().is_err(), "{wrong}");
        }
    }
}
