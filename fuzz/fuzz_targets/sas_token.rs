//! Any text is a token or refused; no text made without the key verifies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::auth::sas::SasToken;

fuzz_target!(|text: &str| {
    if let Ok(token) = SasToken::parse(text) {
        assert!(!token.verify("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="));
        let _ = token.resource_matches("hub.example.test/devices/dev1");
        let _ = token.is_expired(0);
    }
});
