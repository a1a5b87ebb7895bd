//! Searches for secrets in everything that a plugin logged and returned in errors.

use crate::{
    capture,
    tenant::Stage,
    world::{Step, Stop, World, fail},
};

pub(crate) async fn secrets(world: &World) -> Step<String> {
    if !capture::install() {
        return Err(Stop::Skipped("another subscriber of this process takes the log".into()));
    }
    let mut secrets = world.config.secrets();
    if secrets.is_empty() {
        return Err(Stop::Skipped("the configured credential holds no secret of 8 characters or more".into()));
    }
    // Alone, this case has a lifecycle to judge, with an order that is refused.
    let mut tenant = world.tenant();
    world.build(&mut tenant).await?;
    let plugin = world.plugin()?;
    if let Ok(access) = tenant.kube_access(&plugin).await {
        world.note_token(&access.token);
    }
    let mut refused = tenant.forgotten();
    refused.scope.tenant_uid = "none".into();
    if let Err(error) = refused.ensure(&plugin, Stage::Network).await {
        world.note("ensure network", &error)?;
    }
    world.take_down(&tenant).await?;
    secrets.extend(world.tokens());
    let (lines, all) = capture::of(&world.session.mark());
    if !all {
        fail!("the plugin logs too much to be read: lower the rate of its log lines");
    }
    let errors = world.errors();
    for (what, text) in lines.iter().map(|line| ("log line", line)).chain(errors.iter().map(|text| ("error", text))) {
        if let Some(secret) = secrets.iter().find(|secret| text.contains(*secret)) {
            // The report is no place for it either.
            fail!("a secret is in a {what}: {}", text.replace(secret, "[the secret]"));
        }
    }
    Ok(format!("{} log lines, {} errors, {} secrets", lines.len(), errors.len(), secrets.len()))
}
