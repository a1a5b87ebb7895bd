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
    error::{Answer, Error, Result, chain, incomplete, parse_retry_after},
    token::Tokens,
};

/// The service's own address.
const ENDPOINT: &str = "https://compute.googleapis.com";
/// A read is repeated once when nobody answered; a change never is, the next look decides.
const READ_ATTEMPTS: u32 = 2;
/// Objects of one page, the most that Compute Engine gives.
const PAGE: &str = "500";
/// Pages of one listing; past it the listing is broken, not long.
const PAGES_MAX: usize = 200;

/// A client for all projects of a credential scope.
#[derive(Debug, Clone)]
pub(crate) struct Compute {
    http: reqwest::Client,
    base: String,
    tokens: Tokens,
}

/// Query parameters.
type Query<'a> = &'a [(&'a str, &'a str)];

impl Compute {
    pub(crate) fn new(http: reqwest::Client, endpoint: Option<String>, tokens: Tokens) -> Self {
        Self { http, base: endpoint.unwrap_or_else(|| ENDPOINT.to_owned()), tokens }
    }

    /// Reads one object: `global/networks/NAME`, `regions/REGION/subnetworks/NAME`, ….
    pub(crate) async fn get(&self, action: Action, project: &str, path: &str) -> Result<Object> {
        self.call(action, Method::GET, project, path, &[], None).await
    }

    /// Reads an operation: `global/operations/NAME`, ….
    pub(crate) async fn operation(&self, project: &str, path: &str) -> Result<Operation> {
        self.call(action::GET_OPERATION, Method::GET, project, path, &[], None).await
    }

    /// Asks for an object. A repetition with the same request id is answered with the operation
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

    /// Asks for the deletion of an object.
    pub(crate) async fn delete(&self, action: Action, project: &str, path: &str) -> Result<Operation> {
        self.call(action, Method::DELETE, project, path, &[], None).await
    }

    /// All objects of a collection: `global/networks`, or `aggregated/disks` for those of every
    /// region and zone at once. A zone that does not answer fails the whole list, since what is
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
        let attempts = if method == Method::GET { READ_ATTEMPTS } else { 1 };
        let mut attempt = 1;
        loop {
            match self.once(action, method.clone(), project, path, query, body).await {
                Err(Error::Service(e)) if attempt < attempts && e.status == 0 => attempt += 1,
                result => return result,
            }
        }
    }

    async fn once<T: DeserializeOwned>(
        &self,
        action: Action,
        method: Method,
        project: &str,
        path: &str,
        query: Query<'_>,
        body: Option<&Value>,
    ) -> Result<T> {
        let subject = || path.to_owned();
        let silent = |e: reqwest::Error| {
            Answer { message: chain(&e.without_url()), ..Answer::default() }.into_error(action, subject(), 0)
        };
        let header = self.tokens.header().await?;
        let url = format!("{}/compute/v1/projects/{project}/{path}", self.base);
        let url = reqwest::Url::parse_with_params(&url, query)
            .map_err(|e| Answer { message: chain(&e), ..Answer::default() }.into_error(action, subject(), 400))?;
        let mut request = self.http.request(method, url).header(http::header::AUTHORIZATION, header);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(silent)?;
        let status = response.status();
        let wait = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(parse_retry_after);
        let body = response.bytes().await.map_err(silent)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|e| incomplete(action, &format!("a readable body ({e})")));
        }
        let mut answer = Answer { retry_after: wait, message: format!("HTTP status {status}"), ..Answer::default() };
        answer.read_body(&body);
        Err(answer.into_error(action, subject(), status.as_u16()))
    }
}
