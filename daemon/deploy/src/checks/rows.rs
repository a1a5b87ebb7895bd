//! What results a stack's checks have, in which order, and which needs which. Pure.

use landlord_core::ports::DeployTarget;
use tracing::{Instrument as _, instrument::Instrumented};

use crate::{
    check::{Chat, Check, Use},
    stack::Manifest,
};

/// Which checks are run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent<'a> {
    /// All of them.
    All,
    /// Those that find out why the Gateway does not serve the environment's names. What it says itself.
    Unserved(&'a str),
}

impl Extent<'_> {
    /// Why a check is not run.
    pub(super) fn leaves_out(&self, target: &DeployTarget, uses: &Use) -> Option<String> {
        let Self::Unserved(why) = self else { return None };
        let is_run = match uses {
            Use::Names {} => true,
            // One that is still to be issued for the first time is not about to end.
            Use::Certificates { .. } => target.was_ready,
            _ => false,
        };
        (!is_run).then(|| (*why).to_owned())
    }
}

/// One result to come.
pub(super) enum Row<'a> {
    One(&'a Check),
    SignsIn(&'a Check, &'a Chat),
    Knows(&'a Check, &'a Chat),
    Answers(&'a Check, &'a Chat),
}

impl Row<'_> {
    pub(super) fn check(&self) -> &Check {
        match self {
            Self::One(check) | Self::SignsIn(check, _) | Self::Knows(check, _) | Self::Answers(check, _) => check,
        }
    }

    pub(super) fn name(&self) -> String {
        let name = &self.check().name;
        match self {
            Self::One(_) => name.clone(),
            Self::SignsIn(..) => format!("{name}-signs-in"),
            Self::Knows(..) => format!("{name}-knows-the-file"),
            Self::Answers(..) => format!("{name}-answers"),
        }
    }

    /// Does it in a span of its own: the environment is used from outside.
    pub(super) fn traced<F: Future>(&self, does: F) -> Instrumented<F> {
        does.instrument(tracing::debug_span!("check", otel.kind = "client", check = self.name()))
    }

    /// Results without which this one says nothing.
    pub(super) fn needs(&self) -> Vec<String> {
        match self {
            Self::One(_) | Self::SignsIn(..) => Vec::new(),
            Self::Knows(check, chat) => vec![format!("{}-signs-in", check.name), chat.files.clone()],
            Self::Answers(check, _) => vec![format!("{}-knows-the-file", check.name)],
        }
    }
}

/// All of them, in the order in which they are run.
pub(super) fn rows(manifest: &Manifest) -> Vec<Row<'_>> {
    let last = |check: &&Check| matches!(check.uses, Use::WrongPassword(_));
    let first = manifest.checks.iter().filter(|check| !last(check));
    let ordered = first.chain(manifest.checks.iter().filter(last));
    let rows = ordered.flat_map(|check| match &check.uses {
        Use::Chat(chat) => vec![Row::SignsIn(check, chat), Row::Knows(check, chat), Row::Answers(check, chat)],
        Use::Names {}
        | Use::Certificates { .. }
        | Use::Sftp(_)
        | Use::Webdav(_)
        | Use::Documents(_)
        | Use::Closed(_)
        | Use::Attempt(_)
        | Use::WrongPassword(_)
        | Use::Http(_) => vec![Row::One(check)],
    });
    rows.collect()
}
