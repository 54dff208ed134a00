//! Answers: JSON on success, the error body otherwise.

use std::time::SystemTime;

use api::error::{Error, ErrorDetails, InnerError};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::health::with_causes;
use registry::random_bytes;

use crate::app::AppError;

/// When a caller should come again while the registry's database is away.
const UNAVAILABLE_RETRY_AFTER_SECS: u16 = 5;

/// What a handler answers.
pub(super) type Answer<T> = Result<Json<T>, AppError>;

/// A success without a body.
pub(super) type Empty = Result<StatusCode, AppError>;

fn status_and_code(error: &AppError) -> (StatusCode, &'static str) {
    match error {
        AppError::BadRequest(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
        AppError::Unauthenticated => (StatusCode::UNAUTHORIZED, "Unauthenticated"),
        AppError::Forbidden(_) | AppError::ForgedRequest => (StatusCode::FORBIDDEN, "Unauthorized"),
        AppError::NotFound(_) => (StatusCode::NOT_FOUND, "NotFound"),
        AppError::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        AppError::Conflict(_) => (StatusCode::CONFLICT, "Conflict"),
        AppError::EtagMismatch => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
        AppError::Unprocessable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "UnprocessableEntity"),
        AppError::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge"),
        AppError::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
        AppError::TooManyRequests | AppError::Busy => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        AppError::DeviceNotConnected => (StatusCode::NOT_FOUND, "DeviceNotConnected"),
        AppError::DeviceTimeout => (StatusCode::GATEWAY_TIMEOUT, "DeviceTimeout"),
        AppError::QueueFull => (StatusCode::FORBIDDEN, "DeviceMaximumQueueDepthExceeded"),
        AppError::QueuesFull => (StatusCode::FORBIDDEN, "IotHubQuotaExceeded"),
        AppError::NotSupported(_) => (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        AppError::DiskFull(_) => (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage"),
        AppError::Unavailable(_) | AppError::InDoubt(_) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        AppError::Internal(..) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
    }
}

/// What the caller is told; nothing of what is inside a failure of ours.
fn message(error: &AppError) -> String {
    match error {
        AppError::BadRequest(message)
        | AppError::NotFound(message)
        | AppError::Conflict(message)
        | AppError::NotSupported(message)
        | AppError::Unprocessable { message, .. } => message.clone(),
        AppError::Unauthenticated => "The credential is missing or not valid.".to_owned(),
        AppError::Forbidden(permission) => format!("The permission {} is missing.", permission.as_str()),
        AppError::ForgedRequest => "The header X-Tidegate-Csrf is missing.".to_owned(),
        AppError::MethodNotAllowed => "The path does not take this method.".to_owned(),
        AppError::EtagMismatch => "The etag does not match: it was changed since it was read.".to_owned(),
        AppError::BodyTooLarge(bytes_max) => format!("The body is larger than {bytes_max} bytes."),
        AppError::BodyTooSlow => "The body did not come in time.".to_owned(),
        AppError::TooManyRequests | AppError::Busy => "Too many requests; try again later.".to_owned(),
        AppError::DeviceNotConnected => "The device is not connected.".to_owned(),
        AppError::DeviceTimeout => "The device did not answer in time.".to_owned(),
        AppError::QueueFull => "As many messages wait for the device as may; it has to take some first.".to_owned(),
        AppError::QueuesFull => "As many messages wait for devices as may; devices have to take some first.".to_owned(),
        AppError::DiskFull(_) => "The disk of the server is full: nothing was changed.".to_owned(),
        AppError::Unavailable(_) => {
            "The database cannot be used just now: nothing was changed; try again later.".to_owned()
        }
        AppError::InDoubt(_) => {
            "The database went away during the change: read whether it was made before trying again.".to_owned()
        }
        AppError::Internal(..) => "Something went wrong.".to_owned(),
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, code) = status_and_code(&self);
        let request_id = format!("{:016x}", u64::from_be_bytes(random_bytes()));
        let time = httpdate::fmt_http_date(SystemTime::now());
        // What Central cannot do at all and a device that does not answer are no failures of it.
        let is_ours = status.is_server_error() && !matches!(self, Self::NotSupported(_) | Self::DeviceTimeout);
        if is_ours {
            tracing::error!(request_id, code, error = with_causes(&self), "request failed");
        } else {
            tracing::debug!(request_id, code, error = with_causes(&self), "request refused");
        }
        let message = format!("{} Request ID: {request_id}, Time: {time}.", message(&self));
        let faults = match self {
            Self::Unprocessable { faults, .. } if !faults.is_empty() => Some(InnerError { context: faults }),
            _ => None,
        };
        let error = ErrorDetails {
            code: code.to_owned(),
            message,
            request_id: Some(request_id),
            time: Some(time),
            inner_error: faults,
        };
        let mut response = (status, Json(Error { error })).into_response();
        response.headers_mut().insert("x-ms-error-code", HeaderValue::from_static(code));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(UNAVAILABLE_RETRY_AFTER_SECS));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hub::device_messages::SendError;

    use super::*;

    #[test]
    fn a_full_queue_is_told_from_an_application_whose_queues_are_full() {
        for (full, code) in [
            (SendError::DeviceFull, "DeviceMaximumQueueDepthExceeded"),
            (SendError::ApplicationFull, "IotHubQuotaExceeded"),
            (SendError::PlatformFull, "IotHubQuotaExceeded"),
        ] {
            assert_eq!(status_and_code(&full.into()), (StatusCode::FORBIDDEN, code));
        }
    }

    #[test]
    fn failures_of_ours_are_not_told() {
        let error = AppError::internal("the registry failed", "disk on fire");
        assert_eq!(message(&error), "Something went wrong.");
        assert_eq!(with_causes(&error), "the registry failed: disk on fire");
    }
}
