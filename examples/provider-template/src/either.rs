//! Which of Nimbus's two APIs is used. Only this example has the choice: your cloud is like one of the two, so keep its module,
//! `objects` or `by_id`, and call that.

use landlord_provider_api::v1;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    by_id,
    cloud::{Cloud, Object, Result},
    objects::{self, Place},
};
use landlord_provider_sdk::progress::Outcome;

/// The APIs, as the settings name them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    /// The caller names objects.
    #[default]
    Names,
    /// The cloud gives ids.
    Ids,
}

/// The objects of one project, by either.
pub(crate) struct Objects {
    pub(crate) cloud: Cloud,
    api: Api,
}

impl Objects {
    pub(crate) fn new(api: Api, endpoint: &str, project: &str, token: String) -> Result<Self> {
        let version = if api == Api::Ids { "v2" } else { "v1" };
        Ok(Self { cloud: Cloud::new(&format!("{endpoint}/{version}/projects/{project}"), token)?, api })
    }

    pub(crate) async fn ensure(
        &self,
        place: &Place<'_>,
        spec: &Value,
        last: &[u8],
    ) -> Result<(Outcome, Option<Object>)> {
        match self.api {
            Api::Names => objects::ensure(&self.cloud, place, spec).await,
            Api::Ids => by_id::ensure(&self.cloud, place, spec, last).await,
        }
    }

    pub(crate) async fn observe(&self, place: &Place<'_>) -> Result<v1::ObserveResponse> {
        match self.api {
            Api::Names => objects::observe(&self.cloud, place).await,
            Api::Ids => by_id::observe(&self.cloud, place).await,
        }
    }

    pub(crate) async fn delete(&self, place: &Place<'_>, recorded: bool) -> Result<v1::Progress> {
        match self.api {
            Api::Names => objects::delete(&self.cloud, place, recorded).await,
            Api::Ids => by_id::delete(&self.cloud, place).await,
        }
    }

    /// Where a cluster's tokens are requested.
    pub(crate) fn token_path(&self, cluster: &str) -> String {
        let collection = if self.api == Api::Ids { "objects" } else { "clusters" };
        format!("{collection}/{cluster}/token")
    }
}
