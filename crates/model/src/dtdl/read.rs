//! Reading DTDL documents into typed interfaces, collecting every finding on the way.
//!
//! A [`Reader`] goes through all documents once. Each interface it meets, at the top of a document or inline, goes into
//! one table by id ([`Reader::nodes`]); references stay ids. What needs the whole table (inheritance, references) is
//! then checked by [`super::graph`].

mod content;
mod context;
mod cotypes;
mod element;
mod interface;
mod schema;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::element::Interface;
use super::{Finding, code};
use crate::limits::PROBLEMS_MAX;
use crate::pointer::Pointer;

/// By whose rules a document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The language's own: nothing undefined passes.
    Language,
    /// A device template's: both contexts are taken for granted, undefined members are kept and ignored, an interface
    /// may be inlined more than once, a semantic type may lack its unit, edge modules are named like modules, and an id is any text.
    Template,
}

/// An interface in the table, with what is needed to report on it.
pub(crate) struct Node<'v> {
    pub(crate) interface: Interface,
    pub(super) json: &'v Value,
    pub(super) file: usize,
    pub(super) pointer: String,
    /// Where each of its contents is written.
    pub(super) content_pointers: Vec<String>,
    /// Where each of the interfaces it extends is named.
    pub(super) extends_pointers: Vec<String>,
}

/// State of one pass over a set of documents.
pub(crate) struct Reader<'v> {
    rules: Rules,
    /// Whether the IoT Central extension holds in the current document.
    iot_central: bool,
    /// Index of the current document.
    file: usize,
    findings: Vec<Vec<Finding>>,
    /// Reusable schemas of the current interface, by id.
    reusable: HashMap<&'v str, schema::Reusable<'v>>,
    /// Where each id is defined, of interfaces and of everything else.
    ids: HashMap<&'v str, (usize, String)>,
    pub(crate) nodes: BTreeMap<String, Node<'v>>,
}

impl<'v> Reader<'v> {
    pub(crate) fn new(rules: Rules, files: usize) -> Self {
        Self {
            rules,
            iot_central: rules == Rules::Template,
            file: 0,
            findings: vec![Vec::new(); files],
            reusable: HashMap::new(),
            ids: HashMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// Reads a file: an interface, or an array of them.
    pub(crate) fn file(&mut self, index: usize, json: &'v Value) {
        self.file = index;
        let root = Pointer::root("");
        match json {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.document(item, &root.index(index));
                }
            }
            Value::Object(_) => self.document(json, &root),
            _ => self.add(&root, code::NOT_AN_INTERFACE, "a document is an interface, or an array of interfaces"),
        }
    }

    fn document(&mut self, json: &'v Value, at: &Pointer<'_>) {
        let Value::Object(object) = json else {
            self.add(at, code::NOT_AN_INTERFACE, "a document is an interface, or an array of interfaces");
            return;
        };
        if self.context(object, at) {
            self.interface(json, at);
        }
    }

    /// All findings, by document.
    pub(crate) fn into_findings(self) -> Vec<Vec<Finding>> {
        self.findings
    }

    pub(crate) fn add(&mut self, at: &Pointer<'_>, code: &'static str, message: impl Into<String>) {
        self.add_at(self.file, at.to_string(), code, message.into());
    }

    pub(super) fn add_at(&mut self, file: usize, pointer: String, code: &'static str, message: String) {
        let findings = &mut self.findings[file];
        let finding = Finding { code, message, pointer };
        // What is referred to is read again, and would be told again.
        if findings.len() < PROBLEMS_MAX && !findings.contains(&finding) {
            findings.push(finding);
        }
    }
}

/// The elements of a set: JSON-LD writes a set of one without the array.
fn set_items<'v, 'p>(
    value: &'v Value,
    at: &'p Pointer<'p>,
) -> impl Iterator<Item = (&'v Value, Pointer<'p>)> + use<'v, 'p> {
    let (items, single) = match value {
        Value::Array(items) => (items.as_slice(), false),
        single => (std::slice::from_ref(single), true),
    };
    items.iter().enumerate().map(move |(index, item)| (item, if single { *at } else { at.index(index) }))
}
