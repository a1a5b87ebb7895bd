//! One client for the access as it is now, kept for its open connection; and the identity of the
//! cluster behind it, read once.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use landlord_provider_api::ProviderError;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{access::Access, credentials::Scope, error};

/// Every cluster has it from its first second, and its uid is what identifies a cluster by convention,
/// <https://github.com/kubernetes/kubernetes/issues/77487>.
const IDENTITY_NAMESPACE: &str = "kube-system";

/// A credential scope with its client.
#[derive(Debug)]
pub(crate) struct Sessions {
    scope: Scope,
    known: Mutex<Option<Known>>,
}

struct Known {
    digest: [u8; 32],
    client: Client,
    cluster_uid: Arc<OnceCell<String>>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

/// What one call works with.
pub(crate) struct Session {
    pub(crate) access: Access,
    pub(crate) client: Client,
    cluster_uid: Arc<OnceCell<String>>,
}

impl Sessions {
    pub(crate) fn new(scope: Scope) -> Self {
        Self { scope, known: Mutex::new(None) }
    }

    /// The access as it is now, with a client for it. Makes no call.
    ///
    /// # Errors
    /// INVALID: the kubeconfig can't be read or used.
    pub(crate) fn open(&self) -> Result<Session, ProviderError> {
        let access = self.scope.access()?;
        let digest = access.digest();
        let mut known = self.known.lock();
        let session = match known.as_ref().filter(|known| known.digest == digest) {
            Some(known) => (known.client.clone(), Arc::clone(&known.cluster_uid)),
            None => {
                let (client, cluster_uid) = (access.client()?, Arc::default());
                *known = Some(Known { digest, client: client.clone(), cluster_uid: Arc::clone(&cluster_uid) });
                (client, cluster_uid)
            }
        };
        Ok(Session { access, client: session.0, cluster_uid: session.1 })
    }
}

impl Session {
    /// What distinguishes this cluster from every other, whatever its address is.
    ///
    /// # Errors
    /// As the API server's response says.
    pub(crate) async fn cluster_uid(&self) -> Result<&str, ProviderError> {
        let observe = async || {
            let namespaces: Api<Namespace> = Api::all(self.client.clone());
            let action = "reading the namespace kube-system";
            let found = namespaces.get_metadata(IDENTITY_NAMESPACE).await.map_err(error::during(action))?;
            found.metadata.uid.ok_or_else(|| {
                ProviderError::new(landlord_provider_api::ErrorKind::Internal, format!("{action}: it has no uid"))
            })
        };
        if let Some(uid) = self.cluster_uid.get() {
            return Ok(uid);
        }
        // Each caller observes for itself: of a cluster that responds to nobody they would wait one after the other, and the last
        // one for as many timeouts as there are callers.
        let found = observe().await?;
        Ok(self.cluster_uid.get_or_init(async || found).await)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use tokio::net::TcpListener;

    use super::*;

    /// Connections come about and nobody responds on them: none of the callers may have to wait for another one's end.
    #[tokio::test]
    async fn callers_of_a_silent_cluster_do_not_wait_for_one_another() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let certificate = rcgen::generate_simple_self_signed(vec!["cluster".to_owned()]).unwrap().cert.pem();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- {{name: c, context: {{cluster: c, user: u}}}}\n\
             clusters:\n- {{name: c, cluster: {{server: 'https://{}', certificate-authority-data: {}}}}}\n\
             users:\n- {{name: u, user: {{token: secret}}}}\n",
            listener.local_addr().unwrap(),
            BASE64_STANDARD.encode(certificate)
        );
        let credential = serde_json::json!({ "kind": "kubeconfig", "kubeconfig": kubeconfig }).to_string();
        let sessions = Sessions::new(Scope::parse(credential.as_bytes()).unwrap());
        let [one, two, three] = [(); 3].map(|()| sessions.open().unwrap());
        let all_connected = async {
            let mut open = Vec::new();
            while open.len() < 3 {
                open.push(listener.accept().await.unwrap());
            }
            open
        };
        tokio::select! {
            open = all_connected => assert_eq!(open.len(), 3),
            response = one.cluster_uid() => panic!("the first ended before all were under way: {response:?}"),
            response = two.cluster_uid() => panic!("the second ended before all were under way: {response:?}"),
            response = three.cluster_uid() => panic!("the third ended before all were under way: {response:?}"),
        }
    }
}
