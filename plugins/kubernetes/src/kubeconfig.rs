//! Reads a kubeconfig and chooses one context. Whatever runs a program, trusts anybody or can't be
//! passed on to the daemon is refused with its name and what to do instead. Pure; no secret is
//! quoted.
//!
//! The form: <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>.

use std::path::PathBuf;

use landlord_provider_api::ProviderError;
use secrecy::SecretString;
use serde::{Deserialize, de::IgnoredAny};

use crate::error::invalid;

/// What to use instead of credentials that need a program.
const USE_A_TOKEN: &str = "make a ServiceAccount for landlord in the cluster and use its token (see the plugin's README), or use the provider \
     plugin of the cloud that made the cluster";

#[derive(Deserialize)]
struct Kubeconfig {
    #[serde(default)]
    clusters: Option<Vec<NamedCluster>>,
    #[serde(default)]
    users: Option<Vec<NamedUser>>,
    #[serde(default)]
    contexts: Option<Vec<NamedContext>>,
    #[serde(default, rename = "current-context")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

/// A cluster's entry. Files are named as the kubeconfig names them.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Cluster {
    pub(crate) server: String,
    #[serde(default)]
    pub(crate) certificate_authority: Option<PathBuf>,
    #[serde(default)]
    pub(crate) certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: Option<bool>,
    #[serde(default)]
    tls_server_name: Option<String>,
    #[serde(default)]
    proxy_url: Option<String>,
}

/// A user's entry. Files are named as the kubeconfig names them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct User {
    #[serde(default)]
    pub(crate) token: Option<SecretString>,
    #[serde(default, rename = "tokenFile")]
    pub(crate) token_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) client_certificate: Option<PathBuf>,
    #[serde(default)]
    pub(crate) client_certificate_data: Option<SecretString>,
    #[serde(default)]
    pub(crate) client_key: Option<PathBuf>,
    #[serde(default)]
    pub(crate) client_key_data: Option<SecretString>,
    #[serde(default)]
    username: Option<IgnoredAny>,
    #[serde(default)]
    password: Option<IgnoredAny>,
    #[serde(default)]
    exec: Option<Exec>,
    #[serde(default)]
    auth_provider: Option<AuthProvider>,
    #[serde(default, rename = "as")]
    impersonate: Option<String>,
    #[serde(default, rename = "as-uid")]
    impersonate_uid: Option<String>,
    #[serde(default, rename = "as-groups")]
    impersonate_groups: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Exec {
    #[serde(default)]
    command: String,
}

#[derive(Deserialize)]
struct AuthProvider {
    #[serde(default)]
    name: String,
}

/// One context of a kubeconfig, fit to be used.
pub(crate) struct Chosen {
    pub(crate) cluster_name: String,
    pub(crate) cluster: Cluster,
    pub(crate) user_name: String,
    pub(crate) user: User,
}

/// Problems with what would mend each.
#[derive(Default)]
pub(crate) struct Problems(Vec<(String, String)>);

impl Problems {
    pub(crate) fn add(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.0.push((problem.into(), remedy.into()));
    }

    /// INVALID with all of them, or nothing.
    pub(crate) fn end(self) -> Result<(), ProviderError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut remedies: Vec<String> = Vec::new();
        let mut problems = Vec::new();
        for (problem, remedy) in self.0 {
            problems.push(problem);
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        Err(invalid(format!("the kubeconfig can't be used: {}", problems.join("; ")), remedies.join("; ")))
    }
}

/// Parses a kubeconfig (YAML or JSON) and chooses `context`; empty: its current one.
///
/// # Errors
/// INVALID: all problems of the chosen context at once.
pub(crate) fn choose(text: &str, context: &str) -> Result<Chosen, ProviderError> {
    // The parser's own words may quote a line, and with it a secret: only the place is given.
    let parsed: Kubeconfig = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|place| format!(" near line {} column {}", place.line(), place.column()));
        let problem = format!("the kubeconfig is no kubeconfig: not YAML or a wrong key{}", place.unwrap_or_default());
        invalid(problem, "check it with `kubectl config view --kubeconfig FILE`")
    })?;
    let contexts = parsed.contexts.unwrap_or_default();
    let wanted = if context.is_empty() { parsed.current_context.unwrap_or_default() } else { context.to_owned() };
    let known: Vec<&str> = contexts.iter().map(|context| context.name.as_str()).collect();
    let lacking = |what: &str, name: &str, known: &[&str]| {
        let problem = format!("the kubeconfig has no {what} {name:?}; it has: {}", known.join(", "));
        invalid(problem, "name one of them as `context` of the credential scope, or correct the kubeconfig")
    };
    let absent = lacking("context", &wanted, &known);
    let context = contexts.into_iter().find(|context| context.name == wanted).ok_or(absent)?.context;

    let clusters = parsed.clusters.unwrap_or_default();
    let known: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let absent = lacking("cluster", &context.cluster, &known);
    let cluster = clusters.into_iter().find(|cluster| cluster.name == context.cluster).ok_or(absent)?;

    let users = parsed.users.unwrap_or_default();
    let known: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
    let absent = lacking("user", &context.user, &known);
    let user = users.into_iter().find(|user| user.name == context.user).ok_or(absent)?;

    let chosen = Chosen {
        cluster_name: cluster.name,
        cluster: cluster.cluster,
        user_name: user.name,
        user: user.user.unwrap_or_default(),
    };
    let mut problems = Problems::default();
    chosen.check_cluster(&mut problems);
    chosen.check_user(&mut problems);
    problems.end()?;
    Ok(chosen)
}

impl Chosen {
    fn check_cluster(&self, problems: &mut Problems) {
        let (name, cluster) = (&self.cluster_name, &self.cluster);
        let uri = cluster.server.parse::<http::Uri>().ok();
        let scheme = uri.as_ref().and_then(http::Uri::scheme_str);
        if scheme != Some("https") || uri.as_ref().and_then(http::Uri::host).is_none() {
            let problem = format!("the server {:?} of cluster {name:?} is no https URL", cluster.server);
            problems.add(problem, "credentials travel over TLS only: use the https URL of the API server");
        }
        if cluster.insecure_skip_tls_verify == Some(true) {
            problems.add(
                format!(
                    "cluster {name:?} has insecure-skip-tls-verify, so anybody on the way could take the credentials"
                ),
                "remove it and put the cluster's authority into certificate-authority-data",
            );
        }
        if cluster.certificate_authority.is_none() && cluster.certificate_authority_data.is_none() {
            problems.add(
                format!("cluster {name:?} has no certificate authority"),
                "put the PEM of the authority that signed the API server's certificate, base64, into \
                 certificate-authority-data; also where a public authority signed it",
            );
        }
        for (key, given) in [("tls-server-name", &cluster.tls_server_name), ("proxy-url", &cluster.proxy_url)] {
            if given.as_ref().is_some_and(|given| !given.is_empty()) {
                problems.add(
                    format!("cluster {name:?} has {key}, which the rest of landlord can't follow"),
                    format!("remove {key} and use a URL that leads to the API server directly"),
                );
            }
        }
    }

    fn check_user(&self, problems: &mut Problems) {
        let (name, user) = (&self.user_name, &self.user);
        if let Some(exec) = &user.exec {
            let problem =
                format!("user {name:?} has exec: the program {:?} would be run, and plugins run none", exec.command);
            problems.add(problem, USE_A_TOKEN);
        }
        if let Some(provider) = &user.auth_provider {
            let problem =
                format!("user {name:?} has auth-provider {:?}, which needs a program or a person", provider.name);
            problems.add(problem, USE_A_TOKEN);
        }
        if user.username.is_some() || user.password.is_some() {
            let problem =
                format!("user {name:?} has username and password, which no API server takes since Kubernetes 1.19");
            problems.add(problem, USE_A_TOKEN);
        }
        if user.impersonate.is_some() || user.impersonate_uid.is_some() || user.impersonate_groups.is_some() {
            problems.add(
                format!("user {name:?} acts as another (as, as-uid, as-groups)"),
                "use the credentials of that other user themselves",
            );
        }
        let token = user.token.is_some() || user.token_file.is_some();
        let certificate = user.client_certificate.is_some() || user.client_certificate_data.is_some();
        let key = user.client_key.is_some() || user.client_key_data.is_some();
        if certificate != key {
            problems.add(
                format!("user {name:?} has only one of client certificate and client key"),
                "give both, as client-certificate-data and client-key-data",
            );
        }
        let refused = user.exec.is_some() || user.auth_provider.is_some() || user.username.is_some();
        if !token && !certificate && !key && !refused {
            problems.add(
                format!("user {name:?} has neither a token nor a client certificate"),
                "add token, tokenFile, or client-certificate-data and client-key-data",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use landlord_provider_api::ErrorKind;

    use super::choose;

    /// A kubeconfig with these lines in its cluster and its user.
    fn kubeconfig(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\npreferences: {{}}\n\
             clusters:\n- name: c\n  cluster: {{ {cluster} }}\n\
             users:\n- name: u\n  user: {{ {user} }}\n- name: other\n  user: {{ exec: {{ command: aws }} }}\n\
             contexts:\n- name: here\n  context: {{ cluster: c, user: u }}\n\
             - name: broken\n  context: {{ cluster: nowhere, user: u }}\n"
        )
    }

    const CLUSTER: &str = "server: 'https://kube.example.com:6443', certificate-authority-data: QQ==";

    #[test]
    fn the_ways_that_are_supported_are_taken() {
        for user in [
            "token: hunter2",
            "tokenFile: /var/run/secrets/token",
            "client-certificate-data: QQ==, client-key-data: QQ==",
            "client-certificate: a.crt, client-key: a.key",
        ] {
            let chosen = choose(&kubeconfig(CLUSTER, user), "").unwrap();
            assert_eq!((chosen.cluster_name.as_str(), chosen.user_name.as_str()), ("c", "u"));
        }
        let json = r#"{"current-context":"x","contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],
            "clusters":[{"name":"c","cluster":{"server":"https://h","certificate-authority":"ca.pem"}}],
            "users":[{"name":"u","user":{"token":"t"}}]}"#;
        assert!(choose(json, "").is_ok());
    }

    #[test]
    fn what_can_not_be_used_is_refused_by_name_with_a_remedy() {
        let cases = [
            (CLUSTER, "exec: { command: aws, args: [hunter2] }", "exec: the program \"aws\"", "ServiceAccount"),
            (CLUSTER, "auth-provider: { name: gcp }", "auth-provider \"gcp\"", "ServiceAccount"),
            (CLUSTER, "username: admin, password: hunter2", "username and password", "ServiceAccount"),
            (CLUSTER, "token: hunter2, as: root", "acts as another", "that other user"),
            (CLUSTER, "client-certificate-data: QQ==", "only one of", "both"),
            (CLUSTER, "", "neither a token", "tokenFile"),
            (
                "server: 'https://h', insecure-skip-tls-verify: true",
                "token: hunter2",
                "insecure-skip",
                "certificate-auth",
            ),
            ("server: 'http://h', certificate-authority-data: QQ==", "token: hunter2", "no https URL", "TLS only"),
            ("server: 'https://h'", "token: hunter2", "no certificate authority", "certificate-authority-data"),
            (
                "server: 'https://h', certificate-authority: a, proxy-url: 'socks5://p'",
                "token: hunter2",
                "proxy-url",
                "directly",
            ),
            (
                "server: 'https://h', certificate-authority: a, tls-server-name: x",
                "token: hunter2",
                "tls-server-name",
                "directly",
            ),
        ];
        for (cluster, user, problem, remedy) in cases {
            let Err(error) = choose(&kubeconfig(cluster, user), "") else { panic!("{cluster} {user}") };
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert!(error.message.contains(problem), "{error}");
            assert!(error.remedy.contains(remedy), "{}", error.remedy);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn all_problems_come_at_once() {
        let Err(error) = choose(&kubeconfig("server: 'http://h'", "exec: { command: x }, as: y"), "") else { panic!() };
        for part in ["no https URL", "no certificate authority", "exec", "acts as another"] {
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn a_context_is_chosen_by_name() {
        let text = kubeconfig(CLUSTER, "token: t");
        assert!(choose(&text, "here").is_ok());
        for (context, part) in [("there", "it has: here, broken"), ("broken", "no cluster \"nowhere\"")] {
            let Err(error) = choose(&text, context) else { panic!("{context}") };
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn what_does_not_parse_is_not_quoted() {
        for text in ["token: [hunter2", "users: hunter2", "users: [{name: u, user: {token: {hunter2: 1}}}]"] {
            let Err(error) = choose(text, "") else { panic!("{text}") };
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
