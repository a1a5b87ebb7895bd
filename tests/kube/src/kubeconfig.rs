//! Kubeconfig files. They are written by hand, since each is a dozen lines and never changes its shape.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A kubeconfig for `endpoint` with a bearer token.
pub(crate) fn with_token(endpoint: &str, ca_pem: &str, token: &str) -> String {
    let authority = STANDARD.encode(ca_pem);
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: cluster\n\
         \x20 cluster:\n\
         \x20   server: {endpoint}\n\
         \x20   certificate-authority-data: {authority}\n\
         users:\n\
         - name: admin\n\
         \x20 user:\n\
         \x20   token: {token}\n\
         contexts:\n\
         - name: admin\n\
         \x20 context:\n\
         \x20   cluster: cluster\n\
         \x20   user: admin\n\
         current-context: admin\n"
    )
}

/// The form in which the API server wants to hear about its authentication webhook.
pub(crate) fn for_webhook(url: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: webhook\n\
         \x20 cluster:\n\
         \x20   server: {url}\n\
         users:\n\
         - name: apiserver\n\
         contexts:\n\
         - name: webhook\n\
         \x20 context:\n\
         \x20   cluster: webhook\n\
         \x20   user: apiserver\n\
         current-context: webhook\n"
    )
}
