//! `webhooks` and its subcommands.

use clap::Subcommand;

/// What is done with webhooks.
#[derive(Debug, Subcommand)]
pub enum Webhooks {
    /// Lists them.
    List,
    /// Shows one: which tenants' events wait, and what was given up.
    Show {
        /// Name, as in the configuration.
        name: String,
    },
    /// Delivers events again, from one on, that one included.
    Replay {
        /// Name, as in the configuration.
        name: String,
        /// Id of the first event: the header `webhook-id` of its delivery, or from `show`.
        #[arg(long, value_name = "EVENT")]
        from: String,
    },
    /// Sends an event of no tenant at once, and shows what the receiver answered. Exit code 3 if it was not taken.
    Test {
        /// Name, as in the configuration.
        name: String,
    },
}
