//! `config`: contexts, as kubectl has them. Needs no daemon.

use crate::{
    arguments::{ConfigCommand, ConnectionArguments},
    connection::Contexts,
    error::Error,
    output,
};

pub(crate) fn run(command: ConfigCommand, given: &ConnectionArguments) -> Result<(), Error> {
    let mut contexts = Contexts::load()?;
    match command {
        ConfigCommand::CurrentContext => match contexts.current() {
            Some(name) => output::print(name),
            None => Err(Error::NotFound("no context is in use; choose one with `landlord config use-context`".into())),
        },
        ConfigCommand::GetContexts => {
            for (name, context) in contexts.all() {
                let mark = if contexts.current() == Some(name) { "*" } else { " " };
                output::print(&format!("{mark} {name}  {}", context.server))?;
            }
            Ok(())
        }
        ConfigCommand::UseContext { name } => {
            contexts.choose(&name)?;
            output::print(&format!("context {name} is in use"))
        }
        ConfigCommand::SetContext { name } => {
            contexts.set(&name, |context| {
                // Here a new address is that of the same daemon.
                if let Some(server) = &given.server {
                    context.server.clone_from(server);
                }
                context.overlay(&ConnectionArguments { server: None, ..given.clone() });
            })?;
            output::print(&format!("context {name} is set"))
        }
        ConfigCommand::DeleteContext { name } => {
            contexts.delete(&name)?;
            output::print(&format!("context {name} is removed"))
        }
    }
}
