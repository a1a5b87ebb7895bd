//! The certificate that a release has an ACME server asked for, as its values say. No cluster is read.

use landlord_core::{AppName, CertificateOrder, ports::PlatformTarget};
use serde_json::Value;

use super::{Platform, values};
use crate::{error::Result, stack::Stack, values::merge};

/// What is ordered; `None`: nothing of an ACME server. Whoever takes the platform's contract makes the Gateway, whose names are in one
/// certificate of its issuer.
pub(crate) fn ordered(
    platform: &Platform,
    target: &PlatformTarget,
    release: &AppName,
    stack: Option<&Stack>,
) -> Result<Option<CertificateOrder>> {
    let (release, chart) = platform.release(release)?;
    if !release.contract {
        return Ok(None);
    }
    let mut all = chart.own_values();
    merge(&mut all, &values(target, release, stack));
    let issuer = &all["issuer"];
    let (Some("acme"), Some(server)) = (issuer["kind"].as_str(), issuer["acme"]["server"].as_str()) else {
        return Ok(None);
    };
    let names = all["gateway"]["hosts"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let order = CertificateOrder::of(server, names.collect());
    Ok(Some(order).filter(|order| !order.names.is_empty()))
}
