//! Ids for the interfaces of a generated template: derived from names, legal, short enough, and each used once.

use std::collections::BTreeSet;

use crate::dtdl::dtmi;
use crate::limits::DTDL_INTERFACE_ID_CHARS_MAX;

/// Characters of a name that go into an id.
const SEGMENT_CHARS_MAX: usize = 40;

/// Makes ids below one root.
pub(super) struct InterfaceIds {
    /// Segments of the root's id.
    base: Vec<String>,
    version: String,
    root: String,
    used: BTreeSet<String>,
}

impl InterfaceIds {
    /// The root's id is the template's without a leading `modelDefinition`; with `model` appended where nothing is to
    /// be dropped, because the two must differ. A template id that is no DTMI leaves only the display name to go by.
    pub(super) fn new(template_id: &str, display_name: &str) -> Self {
        let mut base: Vec<String>;
        let mut version = "1".to_owned();
        let versioned = format!("{template_id};1");
        if dtmi::is_user_dtmi(template_id) || dtmi::is_user_dtmi(&versioned) {
            base = dtmi::segments(template_id).map(str::to_owned).collect();
            version = dtmi::version(template_id).unwrap_or("1").to_owned();
            if base.len() > 1 && base[0] == "modelDefinition" {
                base.remove(0);
            } else {
                base.push("model".to_owned());
            }
        } else {
            base = vec!["tidegate".to_owned(), segment(display_name)];
        }
        let mut ids = Self { base, version, root: String::new(), used: BTreeSet::from([template_id.to_owned()]) };
        ids.root = ids.unique(&[]);
        ids
    }

    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Id of a module's interface.
    pub(super) fn module(&mut self, module: &str) -> String {
        self.unique(&[segment(module)])
    }

    /// Id of the `management` interface of a module.
    pub(super) fn management(&mut self, module: &str) -> String {
        self.unique(&[segment(module), "management".to_owned()])
    }

    /// The root's segments and `further` as an id nobody has yet: segments of the root are dropped from the front until
    /// it is short enough, and a number is appended while it is taken.
    fn unique(&mut self, further: &[String]) -> String {
        let (mut start, mut count) = (0, 1);
        loop {
            let segments: Vec<&str> = self.base[start..].iter().chain(further).map(String::as_str).collect();
            let number = if count == 1 { String::new() } else { count.to_string() };
            let id = format!("dtmi:{}{number};{}", segments.join(":"), self.version);
            if id.len() > DTDL_INTERFACE_ID_CHARS_MAX {
                if start + 1 < self.base.len() {
                    start += 1;
                } else {
                    // One segment, and too long by itself.
                    self.base = vec![segment(&self.base[self.base.len() - 1])];
                    start = 0;
                }
            } else if self.used.insert(id.clone()) {
                return id;
            } else {
                count += 1;
            }
        }
    }
}

/// A legal segment that resembles `name`.
fn segment(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let text: String = name.chars().map(legal).skip_while(|c| *c == '_').take(SEGMENT_CHARS_MAX).collect();
    let text = text.trim_end_matches('_');
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) { text.to_owned() } else { format!("m{text}") }
}

#[cfg(test)]
mod tests;
