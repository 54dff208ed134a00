//! What a condition may ask a message, and a message that owns its parts.
use std::borrow::Cow;

use super::text::names_equal;

/// A message as conditions see it. Names are compared ignoring case.
pub trait MessageView {
    /// An application property: `None` when it is absent, `Some(None)` when it is there without a value.
    fn application(&self, name: &str) -> Option<Option<Cow<'_, str>>>;
    /// A system property by its condition name (`contentType`, `connectionDeviceId`, `cid`, …).
    fn system(&self, name: &str) -> Option<Cow<'_, str>>;
    /// The body as sent.
    fn body(&self) -> &[u8];
}

/// A message that owns its parts. Of two properties whose names differ in case only, the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedMessage {
    /// The body as sent.
    pub body: Vec<u8>,
    /// Application properties; a value may be missing.
    pub properties: Vec<(String, Option<String>)>,
    /// System properties by condition name.
    pub system_properties: Vec<(String, String)>,
}

impl MessageView for OwnedMessage {
    fn application(&self, name: &str) -> Option<Option<Cow<'_, str>>> {
        let (_, value) = self.properties.iter().find(|(known, _)| names_equal(known, name))?;
        Some(value.as_deref().map(Cow::Borrowed))
    }

    fn system(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.system_properties.iter().find(|(known, _)| names_equal(known, name))?;
        Some(Cow::Borrowed(value))
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}
