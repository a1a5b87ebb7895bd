//! Tags edited by hand: a resource without labels carries them in its description.

use crate::kinds::GcpKind;
use cloudsim_core::{ctx::Ctx, object::Tags};
use serde_json::json;

/// Lets the description of `id` follow its tags, if it carried those that were there `before`.
pub(crate) fn follow(ctx: &mut Ctx<'_>, id: &str, before: &Tags) {
    if ctx.scope().get(id).and_then(|o| GcpKind::of(o.kind)).is_none() {
        return;
    }
    ctx.adjust(id, |object| {
        let tags = json!(object.tags).to_string();
        let description = object.props.get_mut("doc").and_then(|doc| doc.get_mut("description"));
        if let Some(description) = description {
            let carried = description.as_str().and_then(|text| serde_json::from_str::<Tags>(text).ok());
            if carried.is_some_and(|carried| carried == *before) {
                *description = tags.into();
            }
        }
    });
}
