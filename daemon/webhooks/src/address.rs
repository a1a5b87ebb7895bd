//! Where requests may go. A receiver's URL may be a customer's: it must not reach what only this machine reaches.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use landlord_core::public_address::refusal;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// An address that is no public one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is at {addresses}, which is no public address; if it is meant to be reached, name its network in \
     `allowed_networks` of this webhook"
)]
pub(crate) struct Refused {
    pub(crate) host: String,
    pub(crate) addresses: String,
}

/// Which addresses may be connected to: public ones, and those of these networks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowed(Arc<[IpNet]>);

impl Allowed {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        refusal(address, &self.0).is_none()
    }
}

/// Resolves a name, and leaves out what may not be connected to. The connection goes to one of these addresses, so a second
/// resolution that says otherwise (rebinding) changes nothing.
impl Resolve for Allowed {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            // Port 0: the client puts in the URL's.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let fine: Vec<SocketAddr> = found.iter().copied().filter(|found| allowed.allows(found.ip())).collect();
            if fine.is_empty() {
                let addresses: Vec<String> = found.iter().map(|found| found.ip().to_string()).collect();
                return Err(Refused { host, addresses: addresses.join(", ") }.into());
            }
            Ok(Box::new(fine.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_refused() {
        let allowed = Allowed::default();
        for refused in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.8.8.8",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.1.2.3",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allowed.allows(refused.parse().unwrap()), "{refused}");
        }
        for fine in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101", "2a00:1450::1"] {
            assert!(allowed.allows(fine.parse().unwrap()), "{fine}");
        }
    }

    #[test]
    fn networks_of_the_configuration_are_allowed() {
        let allowed = Allowed::new(&["10.8.0.0/16".parse().unwrap(), "fd00::/64".parse().unwrap()]);
        for (address, fine) in [
            ("10.8.1.2", true),
            ("::ffff:10.8.1.2", true),
            ("64:ff9b::a08:102", true),
            ("10.9.1.2", false),
            ("64:ff9b::a09:102", false),
            ("fd00::7", true),
            ("fd01::7", false),
        ] {
            assert_eq!(allowed.allows(address.parse().unwrap()), fine, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_refused() {
        let resolve = |allowed: Allowed| async move { allowed.resolve("localhost".parse().unwrap()).await };
        let error = resolve(Allowed::default()).await.err().unwrap().to_string();
        assert!(error.contains("localhost") && error.contains("allowed_networks"), "{error}");
        let loopback = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        assert!(resolve(Allowed::new(&loopback)).await.unwrap().count() > 0);
    }
}
