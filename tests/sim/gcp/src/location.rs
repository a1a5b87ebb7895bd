//! Where the journal says that something happened.

use cloudsim_core::ctx::Ctx;

/// Lets the journal say where what follows happened; objects must not be looked up afterwards.
pub(crate) fn place(ctx: &mut Ctx<'_>, location: &str) {
    location.clone_into(&mut ctx.key.region);
}
