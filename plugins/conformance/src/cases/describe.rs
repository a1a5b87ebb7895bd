//! What a plugin says about itself, and how it takes a daemon that is newer than it is.

use std::{collections::BTreeSet, time::Duration};

use landlord_provider_api::{
    Method, TEARDOWN,
    abi::{STATUS_ERROR, STATUS_OK},
    v1,
};
use prost::Message as _;

use crate::{
    cases::configure::validate_request,
    schema,
    world::{Step, World, fail, failed},
};

/// Longest DNS label.
const LABEL_LEN_MAX: usize = 63;
/// Numbers that no method has, between those that have one and beyond them.
const NO_METHODS: [u32; 6] = [0, 4, 18, 33, 99, u32::MAX];
/// Field 1000 of any message, a varint: what a newer contract may add.
const UNKNOWN_FIELD: [u8; 3] = [0xc0, 0x3e, 0x01];

pub(crate) async fn describe(world: &World) -> Step<String> {
    let plugin = world.plugin()?;
    plugin.start().await.map_err(failed)?;
    let Some(description) = plugin.description() else { fail!("there is no description") };
    let mut problems = Vec::new();
    identity(description, &mut problems);
    durations(description, &mut problems);
    buckets(description, &mut problems);
    let (status, payload) = plugin.exchange(Method::Describe as u32, Vec::new()).await.map_err(failed)?;
    if status != STATUS_OK || v1::DescribeResponse::decode(payload.as_slice()).as_ref() != Ok(description) {
        problems.push("a second Describe, after Configure, says something else".into());
    }
    if problems.is_empty() {
        Ok(format!("{} {}", description.name, description.version))
    } else {
        fail!("{}", problems.join("; "))
    }
}

fn identity(description: &v1::DescribeResponse, problems: &mut Vec<String>) {
    let mut must = |good: bool, problem: String| {
        if !good {
            problems.push(problem);
        }
    };
    let name = description.name.as_bytes();
    let is_label = !name.is_empty()
        && name.len() <= LABEL_LEN_MAX
        && name.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && !name.starts_with(b"-")
        && !name.ends_with(b"-");
    must(is_label, format!("the name {:?} is no DNS label", description.name));
    let semver = semver::Version::parse(&description.version);
    must(semver.is_ok(), format!("the version {:?} is no semver", description.version));
    let distinct: BTreeSet<&String> = description.capabilities.iter().collect();
    let fine = distinct.len() == description.capabilities.len() && !distinct.iter().any(|c| c.trim().is_empty());
    must(fine, "capabilities are empty or named twice".into());
    for (which, text) in
        [("config_schema", &description.config_schema), ("parameters_schema", &description.parameters_schema)]
    {
        problems.extend(schema::problems(text).into_iter().map(|problem| format!("{which} {problem}")));
    }
}

/// Names that durations and costs may have; deletes are distinguished by kind.
fn method_names() -> BTreeSet<String> {
    let deletes = TEARDOWN.iter().map(|kind| {
        let words = kind.as_str_name().trim_start_matches("RESOURCE_KIND_").split('_');
        let camel: String = words.map(|word| word[..1].to_owned() + &word[1..].to_lowercase()).collect();
        format!("Delete{camel}")
    });
    Method::ALL.iter().map(|method| method.name().to_owned()).chain(deletes).collect()
}

fn ensures() -> impl Iterator<Item = &'static str> {
    Method::ALL.iter().map(|method| method.name()).filter(|name| name.starts_with("Ensure"))
}

fn durations(description: &v1::DescribeResponse, problems: &mut Vec<String>) {
    let (known, mut seen) = (method_names(), BTreeSet::new());
    for expected in &description.expected_durations {
        let method = &expected.method;
        if !known.contains(method) {
            problems.push(format!("expected_durations names the unknown method {method:?}"));
        }
        if !seen.insert(method.as_str()) {
            problems.push(format!("expected_durations names {method} twice"));
        }
        let time = |duration: Option<prost_types::Duration>| duration.and_then(|d| Duration::try_from(d).ok());
        let fine = match (time(expected.typical), time(expected.slow)) {
            (Some(typical), Some(slow)) => !typical.is_zero() && typical <= slow,
            _ => false,
        };
        if !fine {
            problems.push(format!("the expected duration of {method} must be more than 0 and at most its slow one"));
        }
    }
    let missing: Vec<&str> = ensures().filter(|name| !seen.contains(name)).collect();
    if !missing.is_empty() {
        problems.push(format!("expected_durations lacks {}", missing.join(", ")));
    }
}

fn buckets(description: &v1::DescribeResponse, problems: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for bucket in &description.rate_buckets {
        let name = &bucket.name;
        if !name.split_once('/').is_some_and(|(service, class)| !service.is_empty() && !class.is_empty()) {
            problems.push(format!("the bucket {name:?} is not named service/class"));
        }
        if !names.insert(name.as_str()) {
            problems.push(format!("the bucket {name} is there twice"));
        }
        let positive = |figure: f64| figure > 0.0 && figure.is_finite();
        if !positive(bucket.rate_per_second) || !positive(bucket.burst) {
            problems.push(format!("the bucket {name} must have a rate and a burst of more than 0"));
        }
        if bucket.source.trim().is_empty() {
            problems.push(format!("the bucket {name} does not say where its figures come from (source)"));
        }
    }
    let (known, mut charged, mut pairs) = (method_names(), BTreeSet::new(), BTreeSet::new());
    for cost in &description.method_costs {
        let (method, bucket) = (cost.method.as_str(), cost.bucket.as_str());
        if !known.contains(method) {
            problems.push(format!("method_costs names the unknown method {method:?}"));
        }
        if !names.contains(bucket) {
            problems.push(format!("{method} costs the unknown bucket {bucket:?}"));
        }
        if !(cost.cost > 0.0 && cost.cost.is_finite()) {
            problems.push(format!("{method} must cost more than 0 of {bucket}"));
        }
        if !pairs.insert((method, bucket)) {
            problems.push(format!("{method} costs {bucket} twice"));
        }
        charged.insert(method);
    }
    // A plugin without limits has no costs either.
    let missing: Vec<&str> = ensures().chain(["ListOwned"]).filter(|name| !charged.contains(name)).collect();
    if !names.is_empty() && !missing.is_empty() {
        problems.push(format!("method_costs lacks {}", missing.join(", ")));
    }
}

pub(crate) async fn versions(world: &World) -> Step<String> {
    let plugin = world.plugin()?;
    plugin.start().await.map_err(failed)?;
    let pid = plugin.health().pid;
    for number in NO_METHODS {
        let (status, payload) = plugin.exchange(number, Vec::new()).await.map_err(failed)?;
        let error = v1::Error::decode(payload.as_slice());
        match (status, error) {
            (STATUS_ERROR, Ok(error)) if !error.message.is_empty() => {}
            (status, _) => fail!("the unknown method {number} got status {status} and no typed error"),
        }
    }
    let request = validate_request(world).encode_to_vec();
    let newer = [request.as_slice(), &UNKNOWN_FIELD].concat();
    let method = Method::Validate as u32;
    let known = plugin.exchange(method, request).await.map_err(failed)?;
    let unknown = plugin.exchange(method, newer).await.map_err(failed)?;
    if known != unknown {
        fail!("an unknown field changes the response of Validate, or is not taken");
    }
    if plugin.health().pid != pid {
        fail!("the process did not survive it");
    }
    Ok(format!("{} unknown methods, 1 unknown field", NO_METHODS.len()))
}
