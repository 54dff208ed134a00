//! Scope calls: an edge's hub learns the identities of its children, with their keys, so that it can authenticate them offline.
//!
//! Every call is made with the token of `{edge}/$edgeHub`. An edge sees itself with its modules, and its children with theirs;
//! of a child edge that speaks through it, the same.

use axum::body::Body;
use http::{Response, StatusCode};
use model::identity::Identity;
use model::manifest::EDGE_HUB;
use protocol::auth::judge::SignedBy;
use protocol::limits::AUTH_CHAIN_LENGTH_MAX;
use registry::DeviceRow;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::HubHttpError;
use super::modules::module_json;
use super::{Call, Caller, HubHttp, json, query_parameter};
use crate::limits::{HUB_HTTP_CALL_BYTES_MAX, SCOPE_PAGE_DEVICES_MAX};

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
        let parent = parent.map(scope_of);
        if device.is_edge {
            return Self { device: Some(scope_of(device)), parents: parent.into_iter().collect() };
        }
        Self { device: parent, parents: Vec::new() }
    }
}

/// The scope an edge device spans.
fn scope_of(edge: &DeviceRow) -> String {
    format!("ms-azure-iot-edge://{}-{}", edge.id, edge.generation_id)
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
        let page = query_parameter(call.query, "deviceCount").and_then(|count| count.parse().ok());
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
        let device = self.device_in_reach(caller, device).await?;
        let mut modules = Vec::new();
        if let Some(id) = module {
            let module = self.gateway.registry.module_get(&caller.app, &device.id, id).await?;
            modules.push(module_json(&module.ok_or_else(|| HubHttpError::module_not_found(id))?));
        }
        let device = self.device_json(caller, &device).await?;
        Ok(scope_body(&[device], &modules, None))
    }

    async fn scope_page(
        &self,
        caller: &Caller,
        target: &DeviceRow,
        page_size: usize,
        after: Option<&str>,
    ) -> Result<Response<Body>, HubHttpError> {
        let page_size = page_size.clamp(1, SCOPE_PAGE_DEVICES_MAX);
        let mut devices = self.gateway.registry.devices_children(&caller.app, &target.id).await?;
        devices.push(target.clone());
        devices.retain(|device| after.is_none_or(|after| device.id.as_str() > after));
        devices.sort_by(|left, right| left.id.cmp(&right.id));
        let is_last = devices.len() <= page_size;
        devices.truncate(page_size);
        let next = devices.last().filter(|_| !is_last).map(|device| device.id.clone());
        let (mut device_bodies, mut modules) = (Vec::with_capacity(devices.len()), Vec::new());
        for device in &devices {
            device_bodies.push(self.device_json(caller, device).await?);
            modules.extend(self.gateway.registry.modules_list(&caller.app, &device.id).await?.iter().map(module_json));
        }
        Ok(scope_body(&device_bodies, &modules, next.as_deref()))
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

    async fn device_json(&self, caller: &Caller, device: &DeviceRow) -> Result<Value, HubHttpError> {
        let parent = match &device.gateway {
            Some(gateway) => self.gateway.registry.device_get(&caller.app, gateway).await?,
            None => None,
        };
        let scopes = Scopes::of(device, parent.as_ref());
        let authentication = match (&device.primary_key, &device.secondary_key) {
            (Some(primary), Some(secondary)) => json!({
                "type": "sas",
                "symmetricKey": { "primaryKey": primary, "secondaryKey": secondary },
                "x509Thumbprint": { "primaryThumbprint": null, "secondaryThumbprint": null },
            }),
            _ => json!({ "type": "none" }),
        };
        Ok(json!({
            "deviceId": device.id,
            "generationId": device.generation_id,
            "etag": device.etag.trim_matches('"'),
            "status": if device.enabled { "enabled" } else { "disabled" },
            "authentication": authentication,
            "capabilities": { "iotEdge": device.is_edge },
            "deviceScope": scopes.device,
            "parentScopes": scopes.parents,
        }))
    }
}

fn scope_body(devices: &[Value], modules: &[Value], continuation: Option<&str>) -> Response<Body> {
    json(StatusCode::OK, &json!({ "devices": devices, "modules": modules, "continuationLink": continuation }))
}
