//! Provisioning over HTTPS. Register answers 202 and a poll 200: the Edge identity service accepts nothing else.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use protocol::dps::{OperationStatus, RETRY_AFTER_SECS};
use protocol::limits::REGISTER_BYTES_MAX;

use super::error::HubHttpError;
use super::{Call, HubHttp, credential, json};
use crate::provisioning::Enrollee;

impl HubHttp {
    async fn enrollee(&self, call: &Call<'_>, scope: &str, registration: &str) -> Result<Enrollee, HubHttpError> {
        let enrollee = self.gateway.attest(scope, registration, credential(call)?, None).await?;
        call.admit();
        Ok(enrollee)
    }

    pub(super) async fn register(
        &self,
        call: &Call<'_>,
        scope: &str,
        registration: &str,
    ) -> Result<Response<Body>, HubHttpError> {
        let enrollee = self.enrollee(call, scope, registration).await?;
        let body = call.body(REGISTER_BYTES_MAX).await?;
        let status = self.gateway.provisioning.register(&enrollee, &body).await?;
        let mut answer = operation_answer(&status);
        let location = format!("/{scope}/registrations/{registration}/operations/{}", status.operation_id);
        if let Ok(location) = HeaderValue::from_str(&location) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        Ok(answer)
    }

    pub(super) async fn operation(
        &self,
        call: &Call<'_>,
        scope: &str,
        registration: &str,
        operation: &str,
    ) -> Result<Response<Body>, HubHttpError> {
        let enrollee = self.enrollee(call, scope, registration).await?;
        Ok(operation_answer(&self.gateway.provisioning.status(&enrollee, operation).await?))
    }

    /// The registration's state alone.
    pub(super) async fn registration(
        &self,
        call: &Call<'_>,
        scope: &str,
        registration: &str,
    ) -> Result<Response<Body>, HubHttpError> {
        let enrollee = self.enrollee(call, scope, registration).await?;
        Ok(json(StatusCode::OK, &self.gateway.provisioning.standing(&enrollee).await?))
    }
}

fn operation_answer(status: &OperationStatus) -> Response<Body> {
    let code = StatusCode::from_u16(status.http_status()).expect("the statuses are 200 and 202");
    let mut answer = json(code, status);
    if status.is_pending() {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
    }
    answer
}
