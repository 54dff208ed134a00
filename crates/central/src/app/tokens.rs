//! API tokens: making, listing, deleting, and authenticating with them.

use api::access::{ApiToken, RoleAssignment};
use events::clock::{now_ms, parse_iso8601_ms, rfc3339_ms};
use registry::{ApiTokenRow, ApplicationRow, CountMax, IdField, Precondition, Registry, StoreError};

use super::page::Cursor;
use super::resource::Managed;
use super::roles::{self, BuiltInRole};
use super::signing_key::TokenText;
use super::{Access, Actor, ActorKind, App, AppError, SigningKey};
use crate::limits::{API_TOKEN_LIFE, ID_CHARS_MAX, USERS_MAX};

/// A token to make without a caller.
#[derive(Debug, Clone, Copy)]
pub struct OfflineToken<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it may do.
    pub role: &'a BuiltInRole,
    /// When it stops working.
    pub expires_ms: i64,
    /// Now.
    pub now_ms: i64,
}

/// Makes a token without a caller: for the command line, which works on the data folder itself. Answers its text.
pub async fn create_offline(
    registry: &Registry,
    application: &ApplicationRow,
    key: &SigningKey,
    token: OfflineToken<'_>,
) -> Result<String, StoreError> {
    let roles = vec![RoleAssignment { role: token.role.id.to_owned(), organization: None }];
    let roles = serde_json::to_string(&roles).expect("role assignments are plain JSON");
    let row = ApiTokenRow { id: token.id.to_owned(), roles, expires_ms: token.expires_ms, created_ms: token.now_ms };
    registry.resource_put(&application.id, &row, &Precondition::Absent, ApiTokens::COUNT_MAX).await?;
    Ok(key.sign(&application.id, &row))
}

/// When a token made now expires, if nobody says otherwise.
pub fn default_expiry_ms(now_ms: i64) -> i64 {
    now_ms.saturating_add(i64::try_from(API_TOKEN_LIFE.as_millis()).unwrap_or(i64::MAX))
}

/// API tokens, as people manage them.
pub struct ApiTokens;

impl Managed for ApiTokens {
    type Row = ApiTokenRow;
    type Api = ApiToken;
    const WHAT: &'static str = "API token";
    const COUNT_MAX: CountMax = CountMax(USERS_MAX);

    fn field(name: &str) -> Option<IdField> {
        (name == "id").then_some(IdField)
    }

    fn to_api(_: &Access, row: ApiTokenRow) -> Result<ApiToken, AppError> {
        let (roles, expiry) = (read_roles(&row.roles)?, Some(rfc3339_ms(row.expires_ms)));
        Ok(ApiToken { id: Some(row.id), roles, expiry, token: None })
    }

    fn cursor(row: &ApiTokenRow) -> Cursor {
        Cursor::of_id(&row.id)
    }
}

/// Reads role assignments as stored.
pub(super) fn read_roles(text: &str) -> Result<Vec<RoleAssignment>, AppError> {
    let roles = serde_json::from_str(text).map_err(|source| StoreError::Corrupt { what: "role assignment", source })?;
    Ok(roles)
}

/// Whether an id the caller chose may be one: what a path and a log line can carry.
pub(super) fn check_id(what: &str, id: &str) -> Result<(), AppError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if !id.is_empty() && id.len() <= ID_CHARS_MAX && id.chars().all(allowed) {
        return Ok(());
    }
    Err(AppError::BadRequest(format!("'{id}' is not a valid id of a {what}.")))
}

impl App {
    /// The actor an `Authorization` header proves to an application, if it does.
    pub async fn authenticate_token(
        &self,
        application: &ApplicationRow,
        header: &str,
    ) -> Result<Option<Actor>, AppError> {
        let Some(text) = TokenText::parse(header) else { return Ok(None) };
        if text.application != application.id {
            return Ok(None);
        }
        let row: Option<ApiTokenRow> = self.registry().resource_get(&text.application, &text.id).await?;
        let Some(row) = row else { return Ok(None) };
        if !self.signing_key(&application.id)?.verify(&text, &row) || row.expires_ms <= now_ms() {
            return Ok(None);
        }
        let roles = read_roles(&row.roles)?;
        Ok(Some(Actor { kind: ActorKind::ApiToken { id: row.id }, application: text.application, roles }))
    }

    /// Makes a token; its text is in the answer.
    pub async fn token_create(&self, access: &Access, id: &str, wanted: &ApiToken) -> Result<ApiToken, AppError> {
        check_id("API token", id)?;
        roles::check_assignments(access, &wanted.roles)?;
        let now_ms = now_ms();
        let expires_ms = match &wanted.expiry {
            None => default_expiry_ms(now_ms),
            Some(text) => parse_iso8601_ms(text)
                .filter(|expires_ms| *expires_ms > now_ms)
                .ok_or_else(|| AppError::fault("/expiry", "expiry must be a time that is to come"))?,
        };
        let roles = serde_json::to_string(&wanted.roles).expect("role assignments are plain JSON");
        let row = ApiTokenRow { id: id.to_owned(), roles, expires_ms, created_ms: now_ms };
        // A token under an id that was in use before: whoever still has the old text must not be let in again by accident.
        let stored = match self.resource_store::<ApiTokens>(access, &row, &Precondition::Absent).await {
            Err(AppError::EtagMismatch) => {
                return Err(AppError::Conflict(format!("There is an API token '{id}' already; delete it first.")));
            }
            stored => stored?,
        };
        let text = self.signing_key(access.application())?.sign(access.application(), &stored);
        Ok(ApiToken { token: Some(text), ..ApiTokens::to_api(access, stored)? })
    }
}
