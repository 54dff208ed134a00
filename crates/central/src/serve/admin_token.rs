//! `admin.token`: the API token of the built-in administrator, made at the first start and renewed before it ends, so that scripts
//! that read the file go on.
//!
//! One that was revoked stays so; who wants a new one removes the file. The old text holds until its own end.

use std::time::Duration;

use events::clock::now_ms;
use registry::{ApiTokenRow, ApplicationRow, Registry, StoreError, new_id};
use storage::file_layer::Access;
use tokio_util::sync::CancellationToken;

use super::FirstStartError;
use crate::app::roles;
use crate::app::signing_key::{SigningKey, TokenText};
use crate::app::tokens::{self, OfflineToken};
use crate::core::Core;
use crate::data_folder::DataFolder;
use crate::limits::ADMIN_TOKEN_RENEWAL;

/// How often the token is looked at.
const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// What is to become of the token in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// It holds for long enough.
    Keep,
    /// There is none, it cannot be read, or it ends soon.
    New,
    /// Somebody revoked it.
    Revoked,
}

/// Makes the token, or another one in its place, where that is needed at `now_ms`.
pub(super) async fn renew(
    folder: &DataFolder,
    registry: &Registry,
    application: &ApplicationRow,
    key: &SigningKey,
    now_ms: i64,
) -> Result<(), FirstStartError> {
    let text = folder.read(&folder.admin_token())?;
    let wanted = wanted(text.as_deref(), registry, application, key, now_ms).await.map_err(FirstStartError::Token)?;
    match wanted {
        Wanted::Keep => return Ok(()),
        Wanted::Revoked => {
            tracing::warn!(
                "admin.token was revoked and lets nobody in; remove the file to have a new one at the next start"
            );
            return Ok(());
        }
        Wanted::New => {}
    }
    let role = roles::by_name("Administrator").expect("the administrator is a built-in role");
    // A fresh id each time: a token made just before a crash is in nobody's hands.
    let id = format!("admin-{}", new_id());
    let wanted = OfflineToken { id: &id, role, expires_ms: tokens::default_expiry_ms(now_ms), now_ms };
    let token = tokens::create_offline(registry, application, key, wanted).await;
    let token = token.map_err(FirstStartError::Token)?;
    folder.write(&folder.admin_token(), format!("{token}\n").as_bytes(), Access::Private)?;
    if text.is_some() {
        tracing::info!("admin.token was renewed");
    }
    Ok(())
}

async fn wanted(
    text: Option<&str>,
    registry: &Registry,
    application: &ApplicationRow,
    key: &SigningKey,
    now_ms: i64,
) -> Result<Wanted, StoreError> {
    let token = text.and_then(|text| TokenText::parse(text.trim()));
    let Some(token) = token.filter(|token| token.application == application.id) else { return Ok(Wanted::New) };
    let renewal_ms = i64::try_from(ADMIN_TOKEN_RENEWAL.as_millis()).unwrap_or(i64::MAX);
    if token.expires_ms.saturating_sub(now_ms) <= renewal_ms {
        return Ok(Wanted::New);
    }
    let row: Option<ApiTokenRow> = registry.resource_get(&application.id, &token.id).await?;
    Ok(match row {
        None => Wanted::Revoked,
        Some(row) if key.verify(&token, &row) => Wanted::Keep,
        Some(_) => Wanted::New,
    })
}

/// Renews it while Central runs, until the token is cancelled.
pub(super) async fn run(core: Core, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        let application = core.applications.first();
        let renewed = match core.signing_keys.of(&application.id) {
            Ok(key) => renew(&core.folder, &core.registry, application, &key, now_ms()).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = renewed {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "admin.token could not be renewed");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    //! Each state of the file, at the limit of its life.

    use super::*;
    use crate::app::setup;

    #[tokio::test]
    async fn it_is_renewed_before_it_ends_and_never_once_it_was_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let folder = DataFolder::create(dir.path()).unwrap();
        let registry = Registry::open(&folder.registry()).await.unwrap();
        let application = setup::first_application(&registry, "Tidegate", 1).await.unwrap();
        let (key, _) = SigningKey::generate();
        let renew = async |now_ms| {
            renew(&folder, &registry, &application, &key, now_ms).await.unwrap();
            folder.read(&folder.admin_token()).unwrap().unwrap()
        };
        let first = renew(1_000).await;
        let ends_ms = TokenText::parse(first.trim()).unwrap().expires_ms;
        let limit_ms = ends_ms - ADMIN_TOKEN_RENEWAL.as_millis() as i64;
        assert_eq!(renew(limit_ms - 1).await, first);
        let second = renew(limit_ms).await;
        assert_ne!(second, first);
        for damaged in ["", "not a token", &first[..20]] {
            folder.write(&folder.admin_token(), damaged.as_bytes(), Access::Private).unwrap();
            assert!(TokenText::parse(renew(2_000).await.trim()).is_some(), "{damaged:?}");
        }
        let newest = renew(2_000).await;
        let id = TokenText::parse(newest.trim()).unwrap().id;
        registry.resource_delete::<ApiTokenRow>(&application.id, &id, &registry::Precondition::None).await.unwrap();
        assert_eq!(renew(3_000).await, newest, "who revoked it meant it");
    }
}
