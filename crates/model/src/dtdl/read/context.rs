//! `@context`: which language version and extensions a document is written in.

use serde_json::{Map, Value};

use super::{Reader, Rules, code, set_items};
use crate::pointer::Pointer;

const DTDL: &str = "dtmi:dtdl:context;2";
const IOT_CENTRAL: &str = "dtmi:iotcentral:context;2";
const DTDL_ANY_VERSION: &str = "dtmi:dtdl:context;";
/// Documents of version 1 name their context by address.
const DTDL_V1: &str = "http://azureiot.com/v1/contexts/";

impl<'v> Reader<'v> {
    /// Checks the context of a document and notes its extensions. False when the document is of another version (or of
    /// none): what it says cannot be judged by these rules then.
    pub(crate) fn context(&mut self, object: &'v Map<String, Value>, at: &Pointer<'_>) -> bool {
        self.iot_central = self.rules == Rules::Template;
        let Some(context) = object.get("@context") else {
            if self.rules == Rules::Language {
                let message = format!("@context is missing; DTDL version 2 is {DTDL:?}");
                self.add(at, code::MISSING_CONTEXT, message);
            }
            return self.rules == Rules::Template;
        };
        let at = at.key("@context");
        let mut terms = Vec::new();
        for (item, at) in set_items(context, &at) {
            match item.as_str() {
                Some(term) => {
                    if !self.context_term(term, &at) {
                        return false;
                    }
                    terms.push(term);
                }
                None => self.add(&at, code::UNKNOWN_CONTEXT, "a context that is no text is not supported"),
            }
        }
        if !terms.contains(&DTDL) {
            self.add(&at, code::MISSING_CONTEXT, format!("@context does not name DTDL version 2, {DTDL:?}"));
            return self.rules == Rules::Template;
        }
        // Templates of IoT Central put their own context first; everything else has to follow the language's.
        if terms.iter().find(|term| **term != IOT_CENTRAL) != Some(&DTDL) {
            self.add(&at, code::BAD_CONTEXT, format!("{DTDL:?} must come before other contexts"));
        }
        true
    }

    /// Applies a context inside a document to the element it stands in; the caller restores the outer one.
    pub(super) fn nested_context(&mut self, object: &Map<String, Value>, at: &Pointer<'_>) {
        let Some(context) = object.get("@context") else { return };
        let at = at.key("@context");
        for (item, at) in set_items(context, &at) {
            match item.as_str() {
                Some(term) => {
                    self.context_term(term, &at);
                }
                None => self.add(&at, code::UNKNOWN_CONTEXT, "a context that is no text is not supported"),
            }
        }
    }

    /// Checks a context inside a document where nothing could make use of it.
    pub(super) fn check_nested_context(&mut self, object: &Map<String, Value>, at: &Pointer<'_>) {
        let outer = self.iot_central;
        self.nested_context(object, at);
        self.iot_central = outer;
    }

    /// Judges one term. False for another version of the language.
    fn context_term(&mut self, term: &str, at: &Pointer<'_>) -> bool {
        match term {
            DTDL => {}
            IOT_CENTRAL => self.iot_central = true,
            other if other.starts_with(DTDL_ANY_VERSION) || other.starts_with(DTDL_V1) => {
                let message = format!("{other:?} is not supported: only DTDL version 2 is checked");
                self.add(at, code::UNSUPPORTED_VERSION, message);
                return false;
            }
            other => self.add(at, code::UNKNOWN_CONTEXT, format!("{other:?} is no known context")),
        }
        true
    }
}
