//! Lists of resources by tag, a little late.
//!
//! <https://learn.microsoft.com/rest/api/resources/resources/list>: a cache serves them, so that new resources appear and
//! deleted ones disappear with a lag ("…list operations are eventually consistent",
//! <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-not-found>). Children (subnets, agent pools,
//! record sets) are never listed. Responses have at most a page of resources and the address of the next.

use super::{id::Target, kind::AzureKind, lro, resource, wire::unknown};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    clock::iso8601,
    ctx::Ctx,
    duration,
    kind::Kind,
    object::{Object, Tags},
};
use serde_json::{Value, json};

/// Most resources on a page.
const MAX_PAGE: usize = 1_000;

/// A `$filter`, as far as it is known here.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    tag: Option<(String, Option<String>)>,
    kind: Option<String>,
    location: Option<String>,
}

impl Filter {
    /// Reads `tagName eq 'a' and tagValue eq 'b'`, `resourceType eq '…'`, `location eq '…'`.
    ///
    /// # Errors
    /// InvalidFilterInQueryString.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut filter = Self::default();
        for part in split(text) {
            let words = part.split_once(" eq ").or_else(|| part.split_once(" Eq "));
            let value = words.and_then(|(_, v)| v.trim().strip_prefix('\'')?.strip_suffix('\''));
            let (Some((name, _)), Some(value)) = (words, value) else {
                return Err(bad(text));
            };
            let value = value.replace("''", "'");
            match (name.trim().to_lowercase().as_str(), &mut filter.tag) {
                ("tagname", tag) => *tag = Some((value, None)),
                ("tagvalue", Some((_, wanted))) => *wanted = Some(value),
                ("resourcetype", _) => filter.kind = Some(value),
                ("location", _) => filter.location = Some(resource::normal(&value)),
                _ => return Err(bad(text)),
            }
        }
        // Tags cannot be combined with anything else.
        if filter.tag.is_some() && (filter.kind.is_some() || filter.location.is_some()) {
            return Err(bad(text));
        }
        Ok(filter)
    }

    /// Whether a resource with these tags fits. Names of tags are compared without case, values with.
    fn fits_tags(&self, tags: &Tags) -> bool {
        self.tag.as_ref().is_none_or(|(name, value)| {
            let found = tags.iter().find(|(k, _)| k.eq_ignore_ascii_case(name));
            found.is_some_and(|(_, v)| value.as_ref().is_none_or(|wanted| wanted == v))
        })
    }

    /// Whether a resource fits.
    #[must_use]
    pub(crate) fn fits(&self, object: &Object) -> bool {
        self.fits_tags(&object.tags)
            && self.kind.as_ref().is_none_or(|k| object.kind.type_name().eq_ignore_ascii_case(k))
            && self.location.as_ref().is_none_or(|l| resource::location(object) == *l)
    }
}

/// Splits at ` and ` outside quotes.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut rest = text.trim();
    while let Some(letter) = rest.chars().next() {
        if !quoted && rest.get(..5).is_some_and(|w| w.eq_ignore_ascii_case(" and ")) {
            parts.push(String::new());
            rest = &rest[5..];
            continue;
        }
        quoted ^= letter == '\'';
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
        rest = &rest[letter.len_utf8()..];
    }
    parts.retain(|p| !p.trim().is_empty());
    parts
}

fn bad(text: &str) -> ApiError {
    ApiError::new("InvalidFilterInQueryString", format!("Invalid $filter '{text}' specified in the query string."))
}

/// Handles a call.
///
/// # Errors
/// A filter that is not understood; a group that is not there.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    if !matches!(call.action.as_str(), "resources.List" | "resources.ListByResourceGroup") {
        return Err(unknown(call));
    }
    resource::check_group(ctx, target)?;
    let filter = Filter::parse(call.params.text("$filter"))?;
    let mut found = collect(ctx, &filter, target.group.as_deref());
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let after = call.params.text("$skiptoken").to_owned();
    let size = call.params.text("$top").parse().unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    found.retain(|(key, _)| *key > after);
    let more = found.len() > size;
    found.truncate(size);
    let mut body = json!({ "value": found.iter().map(|(_, v)| v.clone()).collect::<Vec<_>>() });
    if let Some((last, _)) = found.last().filter(|_| more) {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(call.params.0.iter().filter(|(k, _)| *k != "$skiptoken"));
        query.append_pair("$skiptoken", last);
        body["nextLink"] = format!("{}/{}?{}", lro::HOST, call.path.join("/"), query.finish()).into();
    }
    Ok(Reply::Json(200, body))
}

/// What the cache shows: key and entry.
fn collect(ctx: &mut Ctx<'_>, filter: &Filter, group: Option<&str>) -> Vec<(String, Value)> {
    let now = ctx.now;
    let scope = ctx.scope();
    scope.tombstones.retain(|t| t.until_us > now);
    let objects: Vec<Object> = match (&filter.tag, group) {
        (_, Some(group)) => scope.in_vpc(&group.to_lowercase()).cloned().collect(),
        (Some((name, Some(value))), None) => scope.tagged(name, value).cloned().collect(),
        _ => scope.all().cloned().collect(),
    };
    let inside = |id: &str| group.is_none_or(|g| super::id::group_of(id).is_some_and(|of| of.eq_ignore_ascii_case(g)));
    let tracked = |kind: Kind| AzureKind::of(kind).is_some_and(|kind| kind.info().tracked);
    let mut found: Vec<(String, Value)> = scope
        .tombstones
        .iter()
        .filter(|t| tracked(t.kind) && inside(&t.arn) && filter.fits_tags(&t.tags))
        .map(|t| (t.arn.to_lowercase(), entry(&t.arn, t.kind.type_name(), &t.tags, "")))
        .collect();
    for object in objects.iter().filter(|o| tracked(o.kind) && o.is_live() && filter.fits(o)) {
        let lag = ctx.world.clock.wall_us(ctx.draw(duration::TAG_LAG, &object.id));
        if object.created_us + lag <= now && ctx.sees(object.created_us) {
            let mut shown = entry(&object.arn, object.kind.type_name(), &object.tags, &resource::location(object));
            shown["provisioningState"] = object.state.clone().into();
            shown["createdTime"] = iso8601(object.created_us).into();
            if let Some(AzureKind::ScaleSet | AzureKind::Disk | AzureKind::Snapshot) = resource::kind_of(object) {
                shown["managedBy"] = object.text("managed_by").into();
            }
            found.push((object.id.clone(), shown));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    found
}

fn entry(id: &str, kind: &str, tags: &Tags, location: &str) -> Value {
    json!({ "id": id, "name": super::id::leaf(id), "type": kind, "tags": tags, "location": location })
}

#[cfg(test)]
mod tests {
    use super::Filter;

    #[test]
    fn filters() {
        let filter = Filter::parse("tagName eq 'a and b' and tagValue eq 'it''s'").expect("a filter");
        assert_eq!(filter.tag, Some(("a and b".to_owned(), Some("it's".to_owned()))));
        assert_eq!(Filter::parse("").expect("none"), Filter::default());
        for bad in ["tagName = 'a'", "substringof('a', name)", "tagName eq 'a' and resourceType eq 'b'"] {
            assert_eq!(Filter::parse(bad).expect_err("bad").code, "InvalidFilterInQueryString", "{bad}");
        }
    }
}
