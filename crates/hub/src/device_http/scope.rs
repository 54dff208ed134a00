//! Scope calls: an edge's hub learns the identities of its children, with their keys, so that it can authenticate them offline.
//!
//! Every call is made with the token of `{edge}/$edgeHub`. An edge sees itself with its modules, and its children with theirs;
//! of a child edge that speaks through it, the same.
//!
//! A device of an authority is said to be one as the original says it, which is not enough to judge it. What is ours stands beside:
//! the authorities that its group has verified, by SHA-256, and each of them once in the answer.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Response, StatusCode};
use model::identity::Identity;
use model::manifest::EDGE_HUB;
use protocol::auth::certificate::Thumbprint;
use protocol::auth::judge::{Authentication, SignedBy};
use protocol::limits::AUTH_CHAIN_LENGTH_MAX;
use registry::{DeviceRow, ScopePage, ScopedDevice};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::HubHttpError;
use super::modules::{module_json, sas_json, self_signed_json};
use super::{Call, Caller, HubHttp, json, query_parameter};
use crate::authenticate::{device_authentication, may_connect};
use crate::limits::{HUB_HTTP_CALL_BYTES_MAX, SCOPE_PAGE_BYTES_MAX, SCOPE_PAGE_DEVICES_MAX, SCOPE_PAGE_ROWS_MAX};

/// Beside what the original has: of the answer, and of how a device proves itself.
const AUTHORITIES: &str = "certificateAuthorities";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeOfTarget {
    page_size: Option<usize>,
    continuation_link: Option<String>,
    auth_chain: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnBehalfOf {
    target_device_id: String,
    target_module_id: Option<String>,
}

/// The scopes of a device, as its record says them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    /// An edge device's own; a leaf's is its parent's, which is how callers find an edge's children.
    pub device: Option<String>,
    /// The parent's, of an edge device.
    pub parents: Vec<String>,
}

impl Scopes {
    /// Of a device and the parent it has.
    pub fn of(device: &DeviceRow, parent: Option<&DeviceRow>) -> Self {
        let scope = |edge: &DeviceRow| scope_of(&edge.id, &edge.generation_id);
        let parent = parent.map(scope);
        if device.is_edge {
            return Self { device: Some(scope(device)), parents: parent.into_iter().collect() };
        }
        Self { device: parent, parents: Vec::new() }
    }
}

/// The scope an edge device spans.
fn scope_of(edge: &str, generation: &str) -> String {
    format!("ms-azure-iot-edge://{edge}-{generation}")
}

impl HubHttp {
    async fn edge_hub(&self, call: &Call<'_>, edge: &str) -> Result<Caller, HubHttpError> {
        let caller = self.caller(call, &Identity::module(edge, EDGE_HUB)).await?;
        // Keys of others are handed out here, to the hub itself: not to whoever speaks as it.
        if caller.principal.signed_by != SignedBy::Identity {
            return Err(HubHttpError::unauthorized("the token is not signed with the hub module's own key"));
        }
        if !caller.principal.device.is_edge {
            return Err(HubHttpError::unauthorized("the device is no edge device"));
        }
        Ok(caller)
    }

    /// Everything in the scope of the chain's first device, page by page.
    pub(super) async fn scope_of_target(&self, call: &Call<'_>, edge: &str) -> Result<Response<Body>, HubHttpError> {
        let caller = self.edge_hub(call, edge).await?;
        let body: ScopeOfTarget = serde_json::from_slice(&call.body(HUB_HTTP_CALL_BYTES_MAX).await?)
            .map_err(|error| HubHttpError::bad_request(format!("the body is wrong: {error}")))?;
        let target = body.auth_chain.as_deref().and_then(|chain| chain.split(';').next()).unwrap_or(edge);
        let target = self.device_in_reach(&caller, target).await?;
        let page = body.page_size.unwrap_or(SCOPE_PAGE_DEVICES_MAX);
        self.scope_page(&caller, &target, page, body.continuation_link.as_deref()).await
    }

    /// The older form of the same: the caller's own scope.
    pub(super) async fn own_scope(&self, call: &Call<'_>, edge: &str) -> Result<Response<Body>, HubHttpError> {
        let caller = self.edge_hub(call, edge).await?;
        let page = query_parameter(call.query, "deviceCount").map(|count| count.parse());
        let page = page.transpose().map_err(|_| HubHttpError::bad_request("deviceCount is no number".to_owned()))?;
        let after = query_parameter(call.query, "continuationToken");
        let target = caller.principal.device.clone();
        self.scope_page(&caller, &target, page.unwrap_or(SCOPE_PAGE_DEVICES_MAX), after.as_deref()).await
    }

    /// One device, with one of its modules.
    pub(super) async fn on_behalf_of(&self, call: &Call<'_>, edge: &str) -> Result<Response<Body>, HubHttpError> {
        let caller = self.edge_hub(call, edge).await?;
        let body: OnBehalfOf = serde_json::from_slice(&call.body(HUB_HTTP_CALL_BYTES_MAX).await?)
            .map_err(|error| HubHttpError::bad_request(format!("the body is wrong: {error}")))?;
        let module = body.target_module_id.filter(|id| !id.is_empty());
        self.one(&caller, &body.target_device_id, module.as_deref()).await
    }

    /// The older form of the same.
    pub(super) async fn one_in_scope(&self, call: &Call<'_>, edge: &str) -> Result<Response<Body>, HubHttpError> {
        let caller = self.edge_hub(call, edge).await?;
        let device = query_parameter(call.query, "targetDeviceId").unwrap_or_default();
        let module = query_parameter(call.query, "targetModuleId").filter(|id| !id.is_empty());
        self.one(&caller, &device, module.as_deref()).await
    }

    async fn one(&self, caller: &Caller, device: &str, module: Option<&str>) -> Result<Response<Body>, HubHttpError> {
        let registry = &self.gateway.registry;
        self.device_in_reach(caller, device).await?;
        let admitted = registry.device_admitted(&caller.app, device).await?;
        let admitted = admitted.ok_or_else(|| HubHttpError::device_not_found(device))?;
        let gateway_generation = match &admitted.device.gateway {
            Some(gateway) => registry.device_get(&caller.app, gateway).await?.map(|row| row.generation_id),
            None => None,
        };
        let mut modules = Vec::new();
        if let Some(id) = module {
            let module = registry.module_get(&caller.app, device, id).await?;
            modules.push(module.ok_or_else(|| HubHttpError::module_not_found(id))?);
        }
        let mut body = ScopeBody::default();
        body.add(&ScopedDevice { admitted, gateway_generation, modules });
        Ok(body.answer(None))
    }

    async fn scope_page(
        &self,
        caller: &Caller,
        target: &DeviceRow,
        page_size: usize,
        after: Option<&str>,
    ) -> Result<Response<Body>, HubHttpError> {
        let devices = page_size.clamp(1, SCOPE_PAGE_DEVICES_MAX);
        let page = ScopePage { after, devices, rows: SCOPE_PAGE_ROWS_MAX };
        let (scoped, mut is_more) = self.gateway.registry.scope_page(&caller.app, &target.id, page).await?;
        let mut body = ScopeBody::default();
        let mut last = None;
        for scoped in &scoped {
            if !body.add(scoped) {
                is_more = true;
                break;
            }
            last = Some(scoped.admitted.device.id.as_str());
        }
        Ok(body.answer(last.filter(|_| is_more)))
    }

    /// The device, if it is the caller's own, its child, or a child further down.
    async fn device_in_reach(&self, caller: &Caller, id: &str) -> Result<DeviceRow, HubHttpError> {
        let not_found = || HubHttpError::device_not_found(id);
        let device = self.gateway.registry.device_get(&caller.app, id).await?.ok_or_else(not_found)?;
        let mut above = device.clone();
        for _ in 0..AUTH_CHAIN_LENGTH_MAX {
            if above.id == caller.principal.device.id {
                return Ok(device);
            }
            let parent = above.gateway.ok_or_else(not_found)?;
            above = self.gateway.registry.device_get(&caller.app, &parent).await?.ok_or_else(not_found)?;
        }
        Err(not_found())
    }
}

/// An answer under construction.
#[derive(Default)]
struct ScopeBody {
    devices: Vec<Value>,
    modules: Vec<Value>,
    /// Certificates of the authorities that devices name, base64 of DER by SHA-256.
    authorities: BTreeMap<String, String>,
    bytes: usize,
}

impl ScopeBody {
    /// Adds a device with its modules, unless there are others and the answer would be larger than a page may be.
    fn add(&mut self, scoped: &ScopedDevice) -> bool {
        let authentication = device_authentication(&scoped.admitted);
        let device = device_json(scoped, &authentication);
        let modules: Vec<Value> = scoped.modules.iter().map(module_json).collect();
        let bytes: usize = std::iter::once(&device).chain(&modules).map(|value| value.to_string().len() + 1).sum();
        let mut authorities = named_authorities(&authentication);
        authorities.retain(|name, _| !self.authorities.contains_key(name));
        let bytes = bytes + authorities.values().map(|text| text.len() + "\"\",".len()).sum::<usize>();
        if !self.devices.is_empty() && self.bytes + bytes > SCOPE_PAGE_BYTES_MAX {
            return false;
        }
        self.bytes += bytes;
        self.devices.push(device);
        self.modules.extend(modules);
        self.authorities.extend(authorities);
        true
    }

    fn answer(self, continuation: Option<&str>) -> Response<Body> {
        let Self { devices, modules, authorities, .. } = self;
        let mut answer = json!({ "devices": devices, "modules": modules, "continuationLink": continuation });
        if !authorities.is_empty() {
            answer[AUTHORITIES] = authorities.into_values().collect();
        }
        json(StatusCode::OK, &answer)
    }
}

/// What somebody proves itself with the certificates of: base64 of DER by SHA-256.
fn named_authorities(authentication: &Authentication) -> BTreeMap<String, String> {
    let Authentication::Authorities(authorities) = authentication else { return BTreeMap::new() };
    authorities.iter().map(|authority| (authority.sha256().to_string(), authority.to_text())).collect()
}

fn device_json(scoped: &ScopedDevice, authentication: &Authentication) -> Value {
    let ScopedDevice { admitted, gateway_generation, .. } = scoped;
    let device = &admitted.device;
    let parent = device.gateway.as_deref().zip(gateway_generation.as_deref());
    let parent = parent.map(|(id, generation)| scope_of(id, generation));
    // An edge's scope is its own and its parent's is beside it; a leaf's is its parent's.
    let device_scope = if device.is_edge { Some(scope_of(&device.id, &device.generation_id)) } else { parent.clone() };
    let parent_scopes: Vec<String> = if device.is_edge { parent.into_iter().collect() } else { Vec::new() };
    let authentication = match authentication {
        Authentication::Sas(keys) if keys.len() == 2 => sas_json(&keys[0], &keys[1]),
        Authentication::Thumbprints(known) => {
            let thumbprint = |n: usize| known.get(n).map(Thumbprint::to_string);
            self_signed_json(thumbprint(0).as_deref(), thumbprint(1).as_deref())
        }
        Authentication::Authorities(_) => {
            let names: Vec<String> = named_authorities(authentication).into_keys().collect();
            json!({ "type": "certificateAuthority", AUTHORITIES: names })
        }
        Authentication::Sas(_) | Authentication::Held { .. } | Authentication::None => json!({ "type": "none" }),
    };
    json!({
        "deviceId": device.id,
        "generationId": device.generation_id,
        "etag": device.etag.trim_matches('"'),
        "status": if may_connect(admitted) { "enabled" } else { "disabled" },
        "authentication": authentication,
        "capabilities": { "iotEdge": device.is_edge },
        "deviceScope": device_scope,
        "parentScopes": parent_scopes,
    })
}

#[cfg(test)]
mod tests;
