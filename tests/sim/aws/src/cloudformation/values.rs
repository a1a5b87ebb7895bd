//! Values of templates as text, and how CloudFormation refuses what it cannot read.

use cloudsim_core::call::ApiError;
use serde_json::Value;

/// ValidationError.
pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

/// A scalar as text.
#[must_use]
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
