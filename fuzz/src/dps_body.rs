//! Bodies of the provisioning service, in both directions: anything is read or refused, and what was read is written so that
//! it reads the same.

use protocol::dps::{DpsError, OperationStatus, RegisterRequest};

/// Runs the target.
pub fn run(bytes: &[u8]) {
    if let Ok(request) = RegisterRequest::parse(bytes, "reg1") {
        let _ = request.model_id();
        let again = RegisterRequest::parse(&request.to_json("reg1"), "reg1").expect("our own request is a good one");
        assert_eq!(again.tpm, request.tpm);
    }
    if let Ok(status) = serde_json::from_slice::<OperationStatus>(bytes) {
        let again: OperationStatus = serde_json::from_slice(&status.to_json()).expect("our own answer is a good one");
        assert_eq!(again, status);
    }
    for status in [200, 401, 429, 500] {
        let _ = DpsError::from_json(status, bytes).is_retryable();
    }
}
