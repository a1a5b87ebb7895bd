//! Lists in bounded parts.

use kube::api::ListParams;
use landlord_kube::{Error, Result};

/// Objects of one answer: a few megabytes of pods.
const PAGE: u32 = 500;
/// Kubernetes is tested with 150,000 pods a cluster; beyond twice that something is wrong with the answers.
const PAGES_MAX: usize = 600;

/// A list in parts.
pub(super) struct Pages {
    params: Option<ListParams>,
    seen: usize,
}

impl Pages {
    pub(super) fn new(params: ListParams) -> Self {
        Self { params: Some(params.limit(PAGE)), seen: 0 }
    }

    pub(super) fn next(&mut self, what: &str) -> Result<Option<ListParams>> {
        self.seen += 1;
        if self.params.is_some() && self.seen > PAGES_MAX {
            let problem = format!("the API server lists {what} without end, more than {PAGES_MAX} pages of {PAGE}");
            return Err(Error::Stuck { what: problem });
        }
        Ok(self.params.clone())
    }

    pub(super) fn after(&mut self, token: Option<String>) {
        let token = token.filter(|token| !token.is_empty());
        self.params = token.and_then(|token| Some(self.params.take()?.continue_token(&token)));
    }
}
