//! The model id a device announces: at CONNECT, over the provisioning service.
//!
//! ```text
//! dtmi:<segment>[:<segment>…][;<version>]     what IoT Central makes has no version, and segments of its own taste
//! urn:<anything of letters, digits and :_-.;> the ids of models before DTMIs, in provisioning only
//! ```

use crate::limits::MODEL_ID_BYTES_MAX;

/// Whether a text may be a model id: a DTMI, with or without a version, of at most 256 bytes.
pub fn is_model_id(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("dtmi:").filter(|_| text.len() <= MODEL_ID_BYTES_MAX) else { return false };
    let (path, version) = rest.split_once(';').map_or((rest, None), |(path, version)| (path, Some(version)));
    let is_segment =
        |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    path.split(':').all(is_segment) && version.is_none_or(|version| version.split('.').all(is_number))
}

/// Whether a text may be an id of a model before DTMIs, as old devices send when they register.
pub fn is_old_model_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":_-.;".contains(&byte);
    text.strip_prefix("urn:").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(allowed))
        && text.len() <= MODEL_ID_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_id_is_a_dtmi_of_bounded_length() {
        let longest = format!("dtmi:{};1", "a".repeat(MODEL_ID_BYTES_MAX - 7));
        for id in ["dtmi:com:example:Thermostat;1", "dtmi:a;1.2", "dtmi:modelDefinition:bnu_1:9hq", &longest] {
            assert!(is_model_id(id), "{id}");
        }
        let too_long = longest.replace(";1", "a;1");
        let wrong = [
            "",
            "dtmi:",
            "dtmi:;1",
            "dtmi:a::b;1",
            "dtmi:a b;1",
            "dtmi:a\n;1",
            "dtmi:a;",
            "dtmi:a;x",
            "dtmi:ä;1",
            "a;1",
            "dtmi:a/b;1",
            &too_long,
        ];
        for id in wrong {
            assert!(!is_model_id(id), "{id:?}");
        }
        let old_too_long = format!("urn:{}", "a".repeat(MODEL_ID_BYTES_MAX));
        assert!(is_old_model_id("urn:contoso:Pump-7:1") && !is_old_model_id("urn:") && !is_old_model_id(&old_too_long));
    }
}
