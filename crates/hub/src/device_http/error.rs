//! Error bodies: the hub's `{"Message","ExceptionMessage"}`, the provisioning service's `{"errorCode","message",…}`, and the XML of
//! blob storage.

use axum::body::Body;
use events::clock::{now_ms, rfc3339_ms};
use http::{Response, StatusCode, header};
use model::identity::Identity;
use protocol::auth::judge::Denied;
use protocol::dps::DpsError;
use registry::{StoreError, new_id};
use serde_json::json;

use super::route::Audience;
use crate::authenticate::AuthenticateError;

/// A refusal, in words that are safe to show.
#[derive(Debug)]
pub struct HubHttpError {
    status: StatusCode,
    /// Name of the hub's error, such as `DeviceNotFound`.
    name: &'static str,
    message: String,
    /// What the provisioning service says, where it refused.
    dps: Option<DpsError>,
    /// The methods a path takes, where the method was wrong.
    allow: Option<String>,
}

impl HubHttpError {
    fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into(), dps: None, allow: None }
    }

    /// A refusal about files, by the name its audience knows.
    pub fn file(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, name, message)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ArgumentInvalid", message)
    }

    /// 401.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "IotHubUnauthorizedAccess", message)
    }

    /// 404 for a device.
    pub fn device_not_found(device: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "DeviceNotFound", format!("no device {device} in reach"))
    }

    /// 404 for a module.
    pub fn module_not_found(module: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ModuleNotFound", format!("no module {module}"))
    }

    /// 404 for a host name of no application.
    pub fn unknown_host(host: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("{host} is not the name of this hub"))
    }

    /// 405, naming the methods the path takes.
    pub fn method_not_allowed(methods: String) -> Self {
        let message = format!("the path takes {methods}");
        Self { allow: Some(methods), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message) }
    }

    /// A part of the interface that is not there: 404 for back ends, for whom the hub has no interface at all, else 501.
    pub fn unbuilt(audience: Audience) -> Self {
        match audience {
            Audience::Service => {
                Self::new(StatusCode::NOT_FOUND, "NotFound", "the hub's service API is not available in this version")
            }
            Audience::Device | Audience::Provisioning | Audience::Blob => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "this is not available in this version")
            }
        }
    }

    /// 412 for a lock that is not held.
    pub fn lock_lost() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "DeviceMessageLockLost", "no message is locked with this token")
    }

    /// 412.
    pub fn precondition_failed() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", "If-Match does not fit the stored etag")
    }

    /// 413.
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "MessageTooLarge", "the request is too large")
    }

    /// 408.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", "the body did not come in time")
    }

    /// 413 for one module too many.
    pub fn too_many_modules() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TooManyModulesOnDevice", "the device has too many modules")
    }

    /// 503.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "try again later")
    }

    /// The credential was not believed.
    pub fn refused(identity: &Identity, error: &AuthenticateError) -> Self {
        if transport::log::may_tell_of_stranger() {
            tracing::info!(%identity, "request refused: {error}");
        }
        match error {
            AuthenticateError::Store(_) | AuthenticateError::Busy => Self::unavailable(),
            AuthenticateError::Denied(Denied::Disabled(_)) => {
                Self::new(StatusCode::FORBIDDEN, "DeviceDisabled", "the device is disabled")
            }
            _ => Self::unauthorized("the credentials are not valid for this request"),
        }
    }

    /// The answer, in the words of the audience's service.
    pub fn into_response(self, audience: Audience) -> Response<Body> {
        let (tracking, now) = (new_id(), rfc3339_ms(now_ms()));
        let mut builder = Response::builder();
        if let Some(methods) = self.allow {
            builder = builder.header(header::ALLOW, methods);
        }
        if audience == Audience::Blob {
            return super::files::error_response(builder, self.status, self.name, &self.message, &tracking, &now);
        }
        let (status, body) = if audience == Audience::Provisioning {
            let error = self.dps.unwrap_or(DpsError {
                status: self.status.as_u16(),
                code: u32::from(self.status.as_u16()) * 1_000,
                message: self.message,
            });
            builder = builder.header("x-ms-error-code", error.code);
            if error.is_retryable() {
                builder = builder.header(header::RETRY_AFTER, protocol::dps::RETRY_AFTER_SECS);
            }
            (StatusCode::from_u16(error.status).unwrap_or(self.status), error.to_json(&tracking, &now))
        } else {
            let body = json!({
                "Message": format!("ErrorCode:{};{}", self.name, self.message),
                "ExceptionMessage": format!("Tracking ID:{tracking}-TimeStamp:{now}"),
            });
            builder = builder.header("iothub-errorcode", self.name);
            (self.status, body.to_string().into_bytes())
        };
        builder
            .status(status)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Body::from(body))
            .expect("the headers are well formed")
    }
}

impl From<StoreError> for HubHttpError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::EtagMismatch(_) => Self::precondition_failed(),
            error => {
                tracing::error!(error = &error as &dyn std::error::Error, "a device's request could not be answered");
                Self::unavailable()
            }
        }
    }
}

impl From<DpsError> for HubHttpError {
    fn from(error: DpsError) -> Self {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { dps: Some(error), ..Self::new(status, "Provisioning", "") }
    }
}
