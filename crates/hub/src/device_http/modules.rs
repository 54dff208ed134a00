//! Module identities, as the edge's identity service keeps them with the device's own token.

use axum::body::Body;
use events::clock::now_ms;
use http::{Response, StatusCode, header};
use model::identity::Identity;
use model::module_name::ModuleName;
use protocol::auth::certificate::Thumbprint;
use registry::{ModuleAuthentication, ModuleChange, ModuleRow, SymmetricKeys, new_symmetric_keys};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::HubHttpError;
use super::{Call, Caller, HubHttp, json, no_content};
use crate::limits::{HUB_HTTP_CALL_BYTES_MAX, MODULES_PER_DEVICE_MAX};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutModule {
    module_id: Option<String>,
    device_id: Option<String>,
    managed_by: Option<String>,
    authentication: Option<Authentication>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authentication {
    #[serde(rename = "type")]
    kind: Option<String>,
    symmetric_key: Option<SymmetricKey>,
    x509_thumbprint: Option<X509Thumbprint>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct X509Thumbprint {
    primary_thumbprint: Option<String>,
    secondary_thumbprint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SymmetricKey {
    primary_key: Option<String>,
    secondary_key: Option<String>,
}

/// A module as the hub shows it. Keys in clear: the caller is the device itself or its gateway.
pub(super) fn module_json(module: &ModuleRow) -> Value {
    let authentication = match &module.authentication {
        ModuleAuthentication::None => json!({ "type": "none" }),
        ModuleAuthentication::Sas(keys) => sas_json(&keys.primary, &keys.secondary),
        ModuleAuthentication::SelfSigned { primary, secondary } => {
            self_signed_json(primary.as_deref(), secondary.as_deref())
        }
        ModuleAuthentication::CertificateAuthority => json!({ "type": "certificateAuthority" }),
    };
    json!({
        "moduleId": module.id,
        "deviceId": module.device,
        "generationId": module.generation_id,
        "etag": module.etag.trim_matches('"'),
        "managedBy": module.managed_by,
        "authentication": authentication,
    })
}

/// How an identity with keys is shown.
pub(super) fn sas_json(primary: &str, secondary: &str) -> Value {
    json!({
        "type": "sas",
        "symmetricKey": { "primaryKey": primary, "secondaryKey": secondary },
        "x509Thumbprint": { "primaryThumbprint": null, "secondaryThumbprint": null },
    })
}

/// How an identity with thumbprints is shown.
pub(super) fn self_signed_json(primary: Option<&str>, secondary: Option<&str>) -> Value {
    json!({
        "type": "selfSigned",
        "symmetricKey": { "primaryKey": null, "secondaryKey": null },
        "x509Thumbprint": { "primaryThumbprint": primary, "secondaryThumbprint": secondary },
    })
}

impl HubHttp {
    async fn device_itself(&self, call: &Call<'_>, device: &str) -> Result<Caller, HubHttpError> {
        self.caller(call, &Identity::device(device)).await
    }

    pub(super) async fn modules_list(&self, call: &Call<'_>, device: &str) -> Result<Response<Body>, HubHttpError> {
        let caller = self.device_itself(call, device).await?;
        let modules = self.gateway.registry.modules_list(&caller.app, device).await?;
        Ok(json(StatusCode::OK, &modules.iter().map(module_json).collect::<Vec<_>>()))
    }

    pub(super) async fn module_get(
        &self,
        call: &Call<'_>,
        device: &str,
        module: &str,
    ) -> Result<Response<Body>, HubHttpError> {
        let caller = self.device_itself(call, device).await?;
        let found = self.gateway.registry.module_get(&caller.app, device, module).await?;
        let found = found.ok_or_else(|| HubHttpError::module_not_found(module))?;
        Ok(json(StatusCode::OK, &module_json(&found)))
    }

    /// Makes or changes a module. The generation id stays, so that keys derived from it stay good. Always 200.
    pub(super) async fn module_put(
        &self,
        call: &Call<'_>,
        device: &str,
        module: &str,
    ) -> Result<Response<Body>, HubHttpError> {
        let caller = self.device_itself(call, device).await?;
        let body: PutModule = serde_json::from_slice(&call.body(HUB_HTTP_CALL_BYTES_MAX).await?)
            .map_err(|error| HubHttpError::bad_request(format!("the body is no module: {error}")))?;
        let names_another = body.module_id.as_deref().is_some_and(|named| named != module)
            || body.device_id.as_deref().is_some_and(|named| named != device);
        if names_another {
            return Err(HubHttpError::bad_request("the ids of path and body differ"));
        }
        ModuleName::parse(module).map_err(|error| HubHttpError::bad_request(error.to_string()))?;
        let etag = if_match(call);
        let modules = self.gateway.registry.modules_list(&caller.app, device).await?;
        let known = modules.iter().find(|known| known.id == module);
        match (known, &etag) {
            (None, IfMatch::Exists | IfMatch::Tag(_)) => return Err(HubHttpError::precondition_failed()),
            (None, IfMatch::Absent) if modules.len() >= MODULES_PER_DEVICE_MAX => {
                return Err(HubHttpError::too_many_modules());
            }
            _ => {}
        }
        let change = ModuleChange {
            managed_by: body.managed_by.filter(|text| !text.is_empty()),
            authentication: body.authentication.map(authentication).transpose()?,
            if_match: match etag {
                IfMatch::Tag(tag) => Some(tag),
                IfMatch::Absent | IfMatch::Exists => None,
            },
        };
        let stored = self.gateway.registry.module_put(&caller.app, device, module, change, now_ms()).await?;
        Ok(json(StatusCode::OK, &module_json(&stored)))
    }

    pub(super) async fn module_delete(
        &self,
        call: &Call<'_>,
        device: &str,
        module: &str,
    ) -> Result<Response<Body>, HubHttpError> {
        let caller = self.device_itself(call, device).await?;
        let found = self.gateway.registry.module_get(&caller.app, device, module).await?;
        let found = found.ok_or_else(|| HubHttpError::module_not_found(module))?;
        if matches!(if_match(call), IfMatch::Tag(tag) if tag != found.etag) {
            return Err(HubHttpError::precondition_failed());
        }
        self.gateway.registry.module_delete(&caller.app, device, module, now_ms()).await?;
        Ok(no_content())
    }
}

fn authentication(body: Authentication) -> Result<ModuleAuthentication, HubHttpError> {
    match body.kind.as_deref() {
        Some(kind) if kind.eq_ignore_ascii_case("none") => Ok(ModuleAuthentication::None),
        None | Some("sas") => {
            let keys = body.symmetric_key.map(|keys| (keys.primary_key, keys.secondary_key));
            Ok(ModuleAuthentication::Sas(match keys {
                Some((Some(primary), Some(secondary))) => SymmetricKeys { primary, secondary },
                Some((Some(primary), None)) => SymmetricKeys { secondary: primary.clone(), primary },
                _ => new_symmetric_keys(),
            }))
        }
        // The identity service's own word for it is the second.
        Some("selfSigned" | "x509") => self_signed(body.x509_thumbprint.unwrap_or_default()),
        Some("certificateAuthority") => Ok(ModuleAuthentication::CertificateAuthority),
        Some(kind) => Err(HubHttpError::bad_request(format!("authentication type {kind} is not supported"))),
    }
}

/// As it is kept: in one spelling. One that is no thumbprint would be a module nobody can be.
fn self_signed(thumbprints: X509Thumbprint) -> Result<ModuleAuthentication, HubHttpError> {
    let read = |text: Option<String>| match text.filter(|text| !text.trim().is_empty()) {
        None => Ok(None),
        Some(text) => match Thumbprint::parse(&text) {
            Some(thumbprint) => Ok(Some(thumbprint.to_string())),
            None => Err(HubHttpError::bad_request(format!("{text} is no thumbprint: 40 or 64 hex digits"))),
        },
    };
    let (primary, secondary) = (read(thumbprints.primary_thumbprint)?, read(thumbprints.secondary_thumbprint)?);
    if primary.is_none() && secondary.is_none() {
        return Err(HubHttpError::bad_request("a module of type selfSigned needs a thumbprint"));
    }
    Ok(ModuleAuthentication::SelfSigned { primary, secondary })
}

enum IfMatch {
    Absent,
    /// `*`, with or without quotes.
    Exists,
    /// A tag in quotes, as stored.
    Tag(String),
}

fn if_match(call: &Call<'_>) -> IfMatch {
    // A tag that is no text matches nothing; passed over, the change would be made unasked.
    let text = call.headers.get(header::IF_MATCH).map(|value| String::from_utf8_lossy(value.as_bytes()));
    match text.as_deref().map(|text| text.trim_matches('"')) {
        None | Some("") => IfMatch::Absent,
        Some("*") => IfMatch::Exists,
        Some(tag) => IfMatch::Tag(format!("\"{tag}\"")),
    }
}
