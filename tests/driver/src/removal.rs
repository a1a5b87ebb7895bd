//! The way back: deletes kind by kind, as the daemon does, and what the inventory still holds.

use std::time::Instant;

use landlord_provider_api::{ErrorKind, ProviderError, ProviderPlugin, TEARDOWN, v1};

use crate::{DOMAIN, Flow, TIMEOUT, is_retried, outcome, until};

impl<P: ProviderPlugin> Flow<P> {
    /// Deletes one kind; gives what was removed.
    pub async fn delete_kind(&self, kind: v1::ResourceKind) -> Result<Vec<v1::OwnedObject>, ProviderError> {
        let removed = std::sync::Mutex::new(Vec::new());
        let collected = &removed;
        until(kind.as_str_name(), self, |checkpoint| async move {
            let request = v1::DeleteRequest {
                scope: Some(self.scope.clone()),
                kind: kind.into(),
                role: self.pool.role.clone(),
                domain: DOMAIN.to_owned(),
                checkpoint,
                recorded: self.recorded,
            };
            let response = self.times(|| self.provider.delete(request.clone())).await?;
            let progress = response.progress.clone().unwrap_or_default();
            collected.lock().expect("not poisoned").extend(progress.removed);
            Ok((outcome(&response.progress), ()))
        })
        .await?;
        Ok(removed.into_inner().expect("not poisoned"))
    }

    /// What holds a removal is named by whichever of its first steps comes first, with a remedy.
    pub async fn is_held_first(&self, names: &[&str]) {
        use v1::ResourceKind as Kind;
        for kind in [Kind::DnsRecords, Kind::Identity, Kind::Addons, Kind::NodePool, Kind::Cluster, Kind::DnsZone] {
            let request = v1::DeleteRequest {
                scope: Some(self.scope.clone()),
                kind: kind.into(),
                role: self.pool.role.clone(),
                domain: DOMAIN.to_owned(),
                recorded: true,
                ..v1::DeleteRequest::default()
            };
            let what = kind.as_str_name();
            let error = self.provider.delete(request).await.expect_err(what);
            assert_eq!(error.kind, ErrorKind::Conflict, "{what}: {error}");
            let missing: Vec<_> = names.iter().filter(|name| !error.message.contains(**name)).collect();
            let before = v1::ObserveRequest {
                scope: Some(self.scope.clone()),
                kind: kind.into(),
                for_removal: true,
                ..v1::ObserveRequest::default()
            };
            assert_eq!(self.provider.observe(before).await.expect_err(what).kind, ErrorKind::Conflict, "{what}");
            assert!(missing.is_empty() && !error.remedy.is_empty(), "{what} does not name {missing:?}: {error:?}");
        }
    }

    /// Everything, in the order of the design; gives what was removed.
    pub async fn delete(&self) -> Result<Vec<v1::OwnedObject>, ProviderError> {
        let mut removed = Vec::new();
        for kind in TEARDOWN {
            removed.extend(self.delete_kind(kind).await?);
        }
        Ok(removed)
    }

    /// All pages of the inventory.
    pub async fn owned(&self) -> Result<Vec<v1::OwnedObject>, ProviderError> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListOwnedRequest { scope: Some(self.scope.clone()), page_token };
            let response = self.provider.list_owned(request).await?;
            all.extend(response.objects);
            page_token = response.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Waits until the inventory is empty.
    pub async fn owned_is_empty(&self) {
        let start = Instant::now();
        loop {
            match self.owned().await {
                Ok(objects) if objects.is_empty() => return,
                Ok(objects) => assert!(start.elapsed() < TIMEOUT, "left over: {objects:#?}"),
                Err(error) => assert!(is_retried(error.kind) && start.elapsed() < TIMEOUT, "{error}"),
            }
            tokio::time::sleep(self.pause).await;
        }
    }
}
