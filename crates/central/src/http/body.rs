//! Bodies of requests: JSON, whatever the content type says it is called.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::app::AppError;

/// The JSON body of a request.
///
/// Text that is no JSON is a bad request; JSON that does not have the members or types it must have is unprocessable.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| AppError::BadRequest(format!("The body cannot be read: {rejection}.")))?;
        let json: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| AppError::BadRequest(format!("The body is not valid JSON: {error}.")))?;
        let value = serde_json::from_value(json)
            .map_err(|error| AppError::unprocessable(format!("The body is not valid: {error}."), Vec::new()))?;
        Ok(Self(value))
    }
}
