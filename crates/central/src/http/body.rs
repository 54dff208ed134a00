//! Bodies of requests: JSON, whatever the content type says it is called.

use axum::extract::{FromRequest, Request};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use transport::server::body::BodyError;

use crate::app::AppError;

/// The JSON body of a request.
///
/// Text that is no JSON is a bad request; JSON that does not have the members or types it must have is unprocessable.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let body = request.into_body().collect().await.map_err(|error| failed(error.into_inner().as_ref()))?;
        let json: serde_json::Value = serde_json::from_slice(&body.to_bytes())
            .map_err(|error| AppError::BadRequest(format!("The body is not valid JSON: {error}.")))?;
        let value = serde_json::from_value(json)
            .map_err(|error| AppError::unprocessable(format!("The body is not valid: {error}."), Vec::new()))?;
        Ok(Self(value))
    }
}

fn failed(error: &(dyn std::error::Error + Send + Sync + 'static)) -> AppError {
    match error.downcast_ref() {
        Some(BodyError::TooLarge(bytes_max)) => AppError::BodyTooLarge(*bytes_max),
        Some(BodyError::TooSlow) => AppError::BodyTooSlow,
        Some(BodyError::Busy) => AppError::Busy,
        Some(BodyError::Broken(_)) | None => AppError::BadRequest("The body cannot be read.".to_owned()),
    }
}
