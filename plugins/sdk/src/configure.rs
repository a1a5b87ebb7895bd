//! Configure reports every problem of settings, credential and endpoint at once.

use landlord_provider_api::{ErrorKind, ProviderError};

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<ProviderError>);

impl Problems {
    /// Keeps an error; gives the value if there is none.
    pub fn keep<T>(&mut self, result: Result<T, ProviderError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    /// One more problem.
    pub fn push(&mut self, error: ProviderError) {
        self.0.push(error);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// INVALID with the messages and remedies of all.
    #[must_use]
    pub fn into_error(self) -> ProviderError {
        let all = |part: fn(&ProviderError) -> &str| {
            let mut texts: Vec<&str> = self.0.iter().map(part).filter(|text| !text.is_empty()).collect();
            texts.dedup();
            texts.join("; ")
        };
        ProviderError::new(ErrorKind::Invalid, all(|error| &error.message)).with_remedy(all(|error| &error.remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::Problems;
    use landlord_provider_api::{ErrorKind, ProviderError};

    #[test]
    fn all_problems_are_in_one_error() {
        let mut problems = Problems::default();
        assert_eq!(problems.keep(Ok(1)), Some(1));
        assert!(problems.is_empty());
        for what in ["settings", "credential"] {
            let error = ProviderError::new(ErrorKind::Auth, format!("bad {what}")).with_remedy("see the README");
            assert_eq!(problems.keep::<()>(Err(error)), None);
        }
        let error = problems.into_error();
        assert_eq!(
            (error.kind, error.message.as_str(), error.remedy.as_str()),
            (ErrorKind::Invalid, "bad settings; bad credential", "see the README")
        );
    }
}
