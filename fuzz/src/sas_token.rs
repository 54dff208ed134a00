//! Any text is a token or refused; no text made without the key verifies.

use protocol::auth::sas::SasToken;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = SasToken::parse(text) {
        assert!(!token.verify("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="));
        let _ = token.covers("hub.example.test/devices/dev1");
        let _ = token.is_for("hub.example.test/devices/dev1");
        let _ = token.is_expired(0);
    }
}
