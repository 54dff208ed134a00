//! What a device sends to register.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::DpsError;
use crate::hub::model_id::{is_model_id, is_old_model_id};
use crate::limits::REGISTER_BYTES_MAX;

/// A register request. The registration id always comes from the connection or path, never from the body.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RegisterRequest {
    /// Custom payload, a JSON text inside a JSON string already read.
    pub payload: Option<Value>,
    /// TPM attestation, over HTTPS and AMQP.
    pub tpm: Option<TpmAttestation>,
}

/// The TPM's public keys, base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TpmAttestation {
    /// Endorsement key.
    pub endorsement_key: String,
    /// Storage root key.
    #[serde(default)]
    pub storage_root_key: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registration_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<Value>,
    /// The name raw clients of 2019 give the payload.
    #[serde(default, skip_serializing)]
    data: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tpm: Option<TpmAttestation>,
}

impl RegisterRequest {
    /// Reads a body, which may be empty, for the registration the connection named. A body that names another one is refused.
    pub fn parse(body: &[u8], registration_id: &str) -> Result<Self, DpsError> {
        if body.len() > REGISTER_BYTES_MAX {
            return Err(DpsError::bad_request("the request is too large"));
        }
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        // Read as an object first: serde would take an array for a struct as well.
        let body: Body = serde_json::from_slice::<Map<String, Value>>(body)
            .and_then(|object| serde_json::from_value(Value::Object(object)))
            .map_err(|error| DpsError::bad_request(format!("the request is not readable: {error}")))?;
        if body.registration_id.as_deref().is_some_and(|named| !named.eq_ignore_ascii_case(registration_id)) {
            return Err(DpsError::bad_request("the request names another registration"));
        }
        let payload = body.payload.or(body.data).map(read_again).filter(|payload| !payload.is_null());
        let request = Self { payload, tpm: body.tpm };
        let is_known_form = |id: &str| id.is_empty() || is_model_id(id) || is_old_model_id(id);
        if !request.model_id().is_none_or(is_known_form) {
            return Err(DpsError::bad_request("the model id is no DTMI, or too long"));
        }
        Ok(request)
    }

    /// The device template the payload asks for, in any of the spellings devices use, newest first.
    pub fn model_id(&self) -> Option<&str> {
        let payload = self.payload.as_ref()?;
        [payload.get("modelId"), payload.get("iotcModelId"), payload.pointer("/__iot:interfaces/CapabilityModelId")]
            .into_iter()
            .flatten()
            .find_map(Value::as_str)
    }

    /// The JSON body our own device role sends.
    pub fn to_json(&self, registration_id: &str) -> Vec<u8> {
        let body = Body {
            registration_id: Some(registration_id.to_owned()),
            payload: self.payload.clone(),
            data: None,
            tpm: self.tpm.clone(),
        };
        serde_json::to_vec(&body).expect("strings and JSON values always serialize")
    }
}

/// Samples pass the payload as text: a JSON string that holds JSON is read again.
fn read_again(payload: Value) -> Value {
    match &payload {
        Value::String(text) => serde_json::from_str(text).unwrap_or(payload),
        _ => payload,
    }
}
