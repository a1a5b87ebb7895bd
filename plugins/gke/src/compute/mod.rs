//! Compute Engine over its REST API, as far as the plugin needs it. All of its resources are alike
//! there (get, list, insert, delete, an operation for each change), so one client of a few calls
//! does for twenty types; the README says why it is not the SDK's crate.
//! <https://cloud.google.com/compute/docs/reference/rest/v1>

mod model;

pub(crate) use model::{Object, Operation};

use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    action::{self, Action},
    error::{Result, incomplete},
    rest::{Ask, Rest},
    token::Tokens,
};

/// The service's own address.
const ENDPOINT: &str = "https://compute.googleapis.com";
/// Objects of one page, the most that Compute Engine gives.
const PAGE: &str = "500";
/// Pages of one listing; past it the listing is broken, not long.
const PAGES_MAX: usize = 200;

/// A client for all projects of a credential scope.
#[derive(Debug, Clone)]
pub(crate) struct Compute(Rest);

/// Query parameters.
type Query<'a> = &'a [(&'a str, &'a str)];

impl Compute {
    pub(crate) fn new(http: &reqwest::Client, endpoint: Option<&str>, tokens: &Tokens) -> Self {
        Self(Rest::new(http, ENDPOINT, endpoint, tokens))
    }

    /// Reads one object: `global/networks/NAME`, `regions/REGION/subnetworks/NAME`, ….
    pub(crate) async fn get(&self, action: Action, project: &str, path: &str) -> Result<Object> {
        self.call(action, Method::GET, project, path, &[], None).await
    }

    /// Reads an operation: `global/operations/NAME`, ….
    pub(crate) async fn operation(&self, project: &str, path: &str) -> Result<Operation> {
        self.call(action::GET_OPERATION, Method::GET, project, path, &[], None).await
    }

    /// Requests an object. A repetition with the same request id gets the operation
    /// that the first one began.
    pub(crate) async fn insert(
        &self,
        action: Action,
        project: &str,
        collection: &str,
        request_id: &str,
        body: &Value,
    ) -> Result<Operation> {
        self.call(action, Method::POST, project, collection, &[("requestId", request_id)], Some(body)).await
    }

    /// Requests the deletion of an object.
    pub(crate) async fn delete(&self, action: Action, project: &str, path: &str) -> Result<Operation> {
        self.call(action, Method::DELETE, project, path, &[], None).await
    }

    /// All objects of a collection: `global/networks`, or `aggregated/disks` for those of every
    /// region and zone at once. A zone that does not respond fails the whole list, since what is
    /// in it must not be taken for absent.
    pub(crate) async fn list(
        &self,
        action: Action,
        project: &str,
        collection: &str,
        filter: &str,
    ) -> Result<Vec<Object>> {
        let mut found = Vec::new();
        let mut token = String::new();
        for _ in 0..PAGES_MAX {
            let mut query = vec![("maxResults", PAGE)];
            if !filter.is_empty() {
                query.push(("filter", filter));
            }
            if !token.is_empty() {
                query.push(("pageToken", &token));
            }
            let page: model::Page = self.call(action, Method::GET, project, collection, &query, None).await?;
            let next = page.next_page_token.clone();
            found.extend(page.objects());
            if next.is_empty() {
                return Ok(found);
            }
            token = next;
        }
        Err(incomplete(action, "a last page"))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        action: Action,
        method: Method,
        project: &str,
        path: &str,
        query: Query<'_>,
        body: Option<&Value>,
    ) -> Result<T> {
        let full = format!("/compute/v1/projects/{project}/{path}");
        self.0.call(Ask { action, method, path: full, query, body, subject: path }).await
    }
}
