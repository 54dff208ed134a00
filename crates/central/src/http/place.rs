//! Paths below a device: the same at four levels.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::app::AppError;
use crate::app::properties::Place;

/// The names in a path below a device.
pub(super) struct DevicePath(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for DevicePath {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path(names) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| AppError::BadRequest("The path is not valid.".to_owned()))?;
        Ok(Self(names))
    }
}

impl DevicePath {
    /// The value of a name; empty when the path does not have it.
    pub(super) fn name(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The device, with module and component if the path has them.
    pub(super) fn place(&self) -> Place<'_> {
        Place {
            device: self.name("deviceId"),
            module: self.0.get("moduleName").map(String::as_str),
            component: self.0.get("componentName").map(String::as_str),
        }
    }
}
