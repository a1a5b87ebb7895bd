//! Outside calls: what the proxy saw, and which calls count as the same. Knows no cloud; the configuration says what an
//! operation is called and which operations only read.

use std::hash::{DefaultHasher, Hasher as _};

use hyper::HeaderMap;

use crate::config::{Key, Outside, Pattern};

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Still under way, or its caller went away.
    Open,
    /// Responded by the cloud with this status.
    Responded(u16),
    /// Struck by a fault; whether the cloud saw it.
    Struck {
        /// The cloud saw and responded it.
        applied: bool,
    },
    /// The cloud could not be reached.
    Unreachable,
}

/// One call as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// HTTP method.
    pub method: String,
    /// Path as sent, without the query.
    pub path: String,
    /// Operation, for clouds with one path for all; empty otherwise.
    pub operation: String,
    /// Whether it may change something.
    pub mutating: bool,
    /// Hash of the body.
    pub body: u64,
    /// Idempotency key, if the call is one of those that take one; empty if it carries none.
    pub key: Option<String>,
    /// Hash of what is ordered: the body without its key.
    pub order: u64,
    /// What became of it.
    pub fate: Fate,
}

/// What makes two calls the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signature {
    pub(crate) operation: String,
    /// Two creates on one path differ in their bodies; reads do not count by it.
    pub(crate) body: Option<u64>,
}

impl Call {
    /// Reads a request.
    #[must_use]
    pub fn read(outside: &Outside, method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let named = headers.get(outside.operation_header.as_str()).and_then(|value| value.to_str().ok());
        let operation = match named {
            Some(name) if !outside.operation_header.is_empty() => name.to_owned(),
            _ => form_field(&outside.operation_form_field, body).unwrap_or_default(),
        };
        let reads = matches!(method, "GET" | "HEAD")
            || outside.read.iter().any(|pattern| pattern.fits(method, path, &operation));
        let (key, order) = key_of(outside, method, path, &operation, headers, body);
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            operation,
            mutating: !reads,
            body: hash(body),
            key,
            order,
            fate: Fate::Open,
        }
    }

    /// In words.
    #[must_use]
    pub fn name(&self) -> String {
        if self.operation.is_empty() {
            format!("{} {}", self.method, self.path)
        } else {
            format!("{} {} {}", self.method, self.path, self.operation)
        }
    }

    /// What makes it the same as another.
    #[must_use]
    pub fn signature(&self) -> Signature {
        Signature { operation: self.name(), body: self.mutating.then_some(self.body) }
    }

    /// Whether the cloud applied it and its response was lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.fate == Fate::Struck { applied: true }
    }

    /// Whether the cloud may have changed something by it.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.mutating
            && match self.fate {
                Fate::Responded(status) => status < 400,
                Fate::Open => true,
                Fate::Struck { applied } => applied,
                Fate::Unreachable => false,
            }
    }
}

fn hash(bytes: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// The idempotency key of a call that takes one, and a hash of its body without the key.
fn key_of(
    outside: &Outside,
    method: &str,
    path: &str,
    operation: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> (Option<String>, u64) {
    let fits = |key: &&Key| glob(&key.method, method) && glob(&key.path, path) && glob(&key.operation, operation);
    let Some(place) = outside.key.iter().find(fits) else { return (None, hash(body)) };
    if !place.header.is_empty() {
        let value = headers.get(place.header.as_str()).and_then(|value| value.to_str().ok());
        return (Some(value.unwrap_or_default().to_owned()), hash(body));
    }
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).unwrap_or_default();
    let value = fields.remove(&place.field);
    let key = value.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    (Some(key), hash(serde_json::Value::Object(fields).to_string()))
}

fn form_field(name: &str, body: &[u8]) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    url::form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

impl Pattern {
    /// Whether a call is meant.
    #[must_use]
    pub fn fits(&self, method: &str, path: &str, operation: &str) -> bool {
        glob(&self.method, method) && glob(&self.path, path) && glob(&self.operation, operation)
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any text.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::{Call, glob};
    use crate::config::{Key, Outside, Pattern};

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("/a/*", "/a/b/c", true),
            ("*.Get*", "Service.GetResources", true),
            ("Describe*", "CreateStack", false),
            ("a", "ab", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_key_is_in_a_header_or_a_field_and_is_no_part_of_the_order() {
        let place = |header: &str, field: &str| Outside {
            key: vec![Key {
                method: "POST".into(),
                path: "/things".into(),
                operation: "*".into(),
                header: header.into(),
                field: field.into(),
            }],
            ..Outside::default()
        };
        let by_field =
            |body: &str| Call::read(&place("", "token"), "POST", "/things", &HeaderMap::new(), body.as_bytes());
        let (one, two) = (by_field(r#"{"a": 1, "token": "x"}"#), by_field(r#"{"a": 1, "token": "y"}"#));
        assert_eq!((one.key.as_deref(), two.key.as_deref()), (Some("x"), Some("y")));
        assert!(one.order == two.order && one.body != two.body);
        assert_ne!(one.order, by_field(r#"{"a": 2, "token": "x"}"#).order);
        let headers = [("x-key".parse().unwrap(), "k".parse().unwrap())].into_iter().collect();
        let by_header = |path| Call::read(&place("x-key", ""), "POST", path, &headers, b"{}").key;
        assert_eq!((by_header("/things").as_deref(), by_header("/others")), (Some("k"), None));
        assert_eq!(Call::read(&place("x-other", ""), "POST", "/things", &headers, b"{}").key.as_deref(), Some(""));
    }

    #[test]
    fn an_operation_is_named_by_header_or_form() {
        let outside = Outside {
            operation_header: "x-target".into(),
            operation_form_field: "Action".into(),
            read: vec![Pattern { method: "POST".into(), path: "*".into(), operation: "Describe*".into() }],
            ..Outside::default()
        };
        let plain = HeaderMap::new();
        let call = Call::read(&outside, "POST", "/", &plain, b"Version=1&Action=DescribeStacks");
        assert_eq!((call.operation.as_str(), call.mutating), ("DescribeStacks", false));
        let named = [("x-target".parse().unwrap(), "Thing.Make".parse().unwrap())].into_iter().collect();
        let call = Call::read(&outside, "POST", "/", &named, b"{}");
        assert_eq!((call.operation.as_str(), call.mutating), ("Thing.Make", true));
        assert!(!Call::read(&outside, "GET", "/", &plain, b"").mutating);
    }
}
