//! Errors as an operator reads them: the whole chain, and each cause once.

/// The chain in one line. Libraries name a cause in their own text and give it as the source as well: such a cause is left out.
#[must_use]
pub fn report(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        said if said.ends_with(&cause) => text,
        _ => format!("{text}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use anyhow::anyhow;

    use super::report;
    use crate::{
        config::Config,
        store::{StoreCommand, run},
    };

    #[tokio::test]
    async fn a_database_that_is_away_is_named_whole_and_its_cause_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut config = Config::default();
        config.store.url = format!("postgres://keeper@{address}/landlord");
        let refused = report(&run(StoreCommand::Init { if_missing: false }, &config).await.unwrap_err());
        assert!(refused.contains(&format!("postgres://keeper@{address}/landlord ")), "{refused}");
        assert_eq!(refused.matches("Connection refused").count(), 1, "{refused}");
    }

    #[test]
    fn causes_that_say_more_are_kept() {
        let error = anyhow!("it ends").context("b").context("a: b").context("first");
        assert_eq!(report(&error), "first: a: b: it ends");
    }
}
