//! How an entry point is reached: at its public address, as its customer does, or else through the API server's
//! port-forward to a pod behind it. Results say which.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use ipnet::IpNet;
use k8s_openapi::{
    api::core::v1::{Pod, Service, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use landlord_core::public_address;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::names::Names;

/// A handshake across the world takes a fraction of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest head of a proxy's answer.
const PROXY_HEAD_BYTES_MAX: usize = 4096;
/// Pods behind a Service that are looked at; any one that is ready will do.
const PODS_MAX: u32 = 50;

/// A connection, whatever carries it.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Where connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// The public address, directly or through an HTTP proxy.
    Public { address: SocketAddr, proxy: Option<SocketAddr> },
    /// A port of a pod.
    Pod { namespace: String, pod: String, port: u16 },
}

/// A port of this machine, by which a program that can only dial reaches the far end of a route.
pub(super) struct Relay {
    listener: TcpListener,
    /// Where the program dials, on 127.0.0.1.
    pub(super) port: u16,
}

impl Relay {
    pub(super) async fn open() -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("a local port: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, port })
    }

    /// Carries one connection while the program runs, to the program's end. A route that can't be opened ends both.
    pub(super) async fn carry<T>(
        self,
        (route, client): (&Route, &Client),
        program: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let relay = async {
            let accepted = self.listener.accept().await;
            let (mut local, _) = accepted.map_err(|error| format!("a local port: {error}"))?;
            let mut remote = route.open(client).await?;
            let _ = copy_bidirectional(&mut local, &mut remote).await;
            Ok::<_, String>(())
        };
        tokio::pin!(program);
        tokio::select! {
            ended = &mut program => ended,
            relayed = relay => {
                relayed?;
                program.await
            }
        }
    }
}

impl Route {
    /// In words.
    pub(super) fn via(&self) -> String {
        match self {
            Self::Public { address, proxy: None } => format!("from outside at {address}"),
            Self::Public { address, proxy: Some(proxy) } => format!("from outside at {address}, by the proxy {proxy}"),
            Self::Pod { pod, .. } => format!("by port-forward to pod {pod}"),
        }
    }

    /// A new connection.
    pub(super) async fn open(&self, client: &Client) -> Result<Box<dyn Io>, String> {
        match self {
            Self::Public { address, proxy } => Ok(Box::new(dial(*address, *proxy, CONNECT_TIMEOUT).await?)),
            Self::Pod { namespace, pod, port } => {
                let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
                let failed = |error: kube::Error| format!("port-forward to pod {pod}: {error}");
                let mut forwarder = pods.portforward(pod, &[*port]).await.map_err(failed)?;
                let stream = forwarder.take_stream(*port);
                Ok(Box::new(stream.ok_or_else(|| format!("port-forward to pod {pod} has no stream"))?))
            }
        }
    }
}

/// A connection to a public address, directly or through an HTTP proxy, within so long.
pub(crate) async fn dial(
    address: SocketAddr,
    proxy: Option<SocketAddr>,
    within: Duration,
) -> Result<TcpStream, String> {
    let connected = async {
        match proxy {
            None => TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}")),
            Some(proxy) => {
                through(proxy, address).await.map_err(|why| format!("{address} by the proxy {proxy}: {why}"))
            }
        }
    };
    let timed_out = |_| format!("{address} does not answer within {} s", within.as_secs());
    timeout(within, connected).await.map_err(timed_out)?
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6>
async fn through(proxy: SocketAddr, address: SocketAddr) -> Result<TcpStream, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(proxy).await.map_err(failed)?;
    let request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut head = Vec::new();
    // By single bytes: what comes after the head is the other side's.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == PROXY_HEAD_BYTES_MAX {
            return Err("its answer has no end".into());
        }
        head.push(stream.read_u8().await.map_err(failed)?);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    if line.split(' ').nth(1) == Some("200") { Ok(stream) } else { Err(line) }
}

/// How public addresses are reached.
pub(super) struct Outside<'a> {
    /// Whoever connects for this daemon, and decides where to; `None`: it connects itself.
    pub(super) proxy: Option<SocketAddr>,
    /// Networks that lie inside, and are connected to all the same.
    pub(super) allowed: &'a [IpNet],
}

/// The public route to `address`, if one of its addresses takes connections at `port`. What lies inside is not connected to: a
/// cluster's administrators say what address its load balancers have.
pub(super) async fn public(names: &Names, address: &str, port: u16, outside: Outside<'_>) -> Result<Route, String> {
    let proxy = outside.proxy;
    let addresses = names.lookup(address).await.map_err(|why| why.to_string())?;
    let mut why = format!("{address} has no address");
    for ip in addresses {
        if let Some(what) = public_address::refusal(ip, outside.allowed).filter(|_| proxy.is_none()) {
            why = format!("{address} leads to {ip}, which is {what}: it is not connected to");
            continue;
        }
        let address = SocketAddr::new(ip, port);
        match dial(address, proxy, CONNECT_TIMEOUT).await {
            Ok(_) => return Ok(Route::Public { address, proxy }),
            Err(unreached) => why = unreached,
        }
    }
    Err(why)
}

/// A ready pod behind a Service, at the port that `port` of the Service leads to.
pub(super) async fn pod(client: &Client, namespace: &str, service: &str, port: u16) -> Result<Route, String> {
    let failed = |error: kube::Error| format!("Service {service}: {error}");
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let found =
        services.get_opt(service).await.map_err(failed)?.ok_or_else(|| format!("Service {service} is missing"))?;
    let spec = found.spec.unwrap_or_default();
    let target = target(&spec, port).ok_or_else(|| format!("Service {service} has no port {port}"))?;
    for pod in pods(client, namespace, &spec.selector.unwrap_or_default()).await? {
        if is_ready(&pod)
            && let Some(port) = number(&pod, &target)
        {
            return Ok(Route::Pod { namespace: namespace.to_owned(), pod: pod.name_any(), port });
        }
    }
    Err(format!("no pod of Service {service} is ready"))
}

/// Whether a Service's load balancer is open to named networks only. Not known: no.
pub(super) async fn has_source_ranges(client: &Client, namespace: &str, service: &str) -> bool {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let spec = services.get_opt(service).await.ok().flatten().and_then(|service| service.spec).unwrap_or_default();
    spec.load_balancer_source_ranges.is_some_and(|ranges| !ranges.is_empty())
}

/// Where a port of a Service leads; `None`: it has no such port.
pub(super) fn target(service: &ServiceSpec, port: u16) -> Option<IntOrString> {
    let found = service.ports.iter().flatten().find(|own| own.port == i32::from(port))?;
    Some(found.target_port.clone().unwrap_or(IntOrString::Int(found.port)))
}

/// A ready pod behind the load balancer that has `address`: a Gateway's data plane.
pub(super) async fn behind(client: &Client, address: &str, port: u16) -> Result<Route, String> {
    let services: Api<Service> = Api::all(client.clone());
    let all = services.list(&ListParams::default()).await.map_err(|error| format!("listing Services: {error}"))?;
    let has = |service: &&Service| {
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let mut ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
        ingress.any(|own| own.ip.as_deref() == Some(address) || own.hostname.as_deref() == Some(address))
    };
    let Some(found) = all.items.iter().find(has) else {
        return Err(format!("no Service of the cluster has the address {address}"));
    };
    pod(client, &found.namespace().unwrap_or_default(), &found.name_any(), port).await
}

/// Pods with these labels.
pub(super) async fn pods(
    client: &Client,
    namespace: &str,
    selector: &BTreeMap<String, String>,
) -> Result<Vec<Pod>, String> {
    let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let list = pods.list(&ListParams::default().labels(&selector.join(",")).limit(PODS_MAX)).await;
    Ok(list.map_err(|error| format!("listing pods in {namespace}: {error}"))?.items)
}

/// Whether it takes connections, as its probes say.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|own| own.type_ == "Ready" && own.status == "True"))
}

/// A port by number or by the name that a container gives it.
pub(super) fn number(pod: &Pod, port: &IntOrString) -> Option<u16> {
    match port {
        IntOrString::Int(port) => u16::try_from(*port).ok(),
        IntOrString::String(name) => {
            let containers = pod.spec.as_ref()?.containers.iter();
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            let found = ports.find(|port| port.name.as_ref() == Some(name))?;
            u16::try_from(found.container_port).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_address_that_lies_inside_is_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let names = Names::default();
        // As a cluster's administrator may have its load balancers say.
        for address in ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1", "localhost"] {
            let refused = public(&names, address, port, Outside { proxy: None, allowed: &[] }).await.unwrap_err();
            assert!(refused.contains("it is not connected to"), "{refused}");
        }
        let allowed = ["127.0.0.0/8".parse().unwrap()];
        public(&names, "127.0.0.1", port, Outside { proxy: None, allowed: &allowed }).await.unwrap();
    }
}
