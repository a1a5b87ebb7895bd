//! How far operations are, as messages of the API.

use landlord_core::Progress;
use landlord_proto::v1;

use super::value::timestamp;

/// How far an operation is.
pub(super) fn progress(progress: &Progress) -> v1::Progress {
    v1::Progress {
        operation: format!("operations/{}", progress.operation),
        percent: progress.percent.into(),
        expected_end_time: Some(timestamp(progress.end_time)),
    }
}
