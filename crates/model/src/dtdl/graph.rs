//! What only shows when all interfaces are known: references, inheritance, names across it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::code;
use super::element::{Content, Interface};
use super::read::{Node, Reader};
use crate::limits::{DTDL_CONTENTS_MAX, DTDL_EXTENDS_DEPTH_MAX};

/// Interfaces by id, every reference between them resolved and inheritance free of cycles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    interfaces: BTreeMap<String, Interface>,
}

impl Graph {
    /// The interface and everything it inherits from, itself first, each once.
    pub(crate) fn with_inherited(&self, id: &str) -> Vec<&Interface> {
        let mut found: Vec<&Interface> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![id];
        while let Some(id) = waiting.pop() {
            if let Some(interface) = self.interfaces.get(id).filter(|_| seen.insert(id)) {
                found.push(interface);
                waiting.extend(interface.extends.iter().rev().map(String::as_str));
            }
        }
        found
    }

    /// All contents of an interface, inherited ones included.
    pub(crate) fn contents<'g>(&'g self, id: &str) -> impl Iterator<Item = &'g Content> + use<'g> {
        self.with_inherited(id).into_iter().flat_map(|interface| &interface.contents)
    }
}

/// Something wrong with an interface: where, rule, text.
type Fault = (String, &'static str, String);

/// Checks every interface the reader found, adds what is wrong to its findings, and hands the interfaces over.
pub(crate) fn resolve(reader: &mut Reader<'_>) -> Graph {
    let mut faults = Vec::new();
    for (id, node) in &reader.nodes {
        let mut found = Vec::new();
        check_references(node, &reader.nodes, &mut found);
        let mut path = vec![id.as_str()];
        if inherits_well(node, &reader.nodes, &mut path, &mut found) {
            check_contents(id, node, &reader.nodes, &mut found);
        }
        faults.extend(found.into_iter().map(|fault| (node.file, fault)));
    }
    for (file, (pointer, code, message)) in faults {
        reader.add_at(file, pointer, code, message);
    }
    let nodes = std::mem::take(&mut reader.nodes);
    Graph { interfaces: nodes.into_iter().map(|(id, node)| (id, node.interface)).collect() }
}

fn check_references(node: &Node<'_>, nodes: &BTreeMap<String, Node<'_>>, faults: &mut Vec<Fault>) {
    let mut missing = |id: &String, pointer: String| {
        if !nodes.contains_key(id) {
            let message = format!("interface {id:?} is defined in none of the given documents");
            faults.push((pointer, code::UNRESOLVED_REFERENCE, message));
        }
    };
    for (id, pointer) in node.interface.extends.iter().zip(&node.extends_pointers) {
        missing(id, pointer.clone());
    }
    for (content, pointer) in node.interface.contents.iter().zip(&node.content_pointers) {
        match content {
            Content::Component(component) => missing(&component.interface, format!("{pointer}/schema")),
            Content::Relationship(relationship) if relationship.is_edge_module() => {
                relationship.targets.iter().for_each(|id| missing(id, format!("{pointer}/target")));
            }
            // Any other relationship leads to its target by reference: it need not be known.
            _ => {}
        }
    }
}

/// Follows inheritance upwards; false, with a fault, where it runs in a circle or too deep. `path` holds the ids on the
/// way, the interface itself first.
fn inherits_well<'n>(
    node: &'n Node<'_>,
    nodes: &'n BTreeMap<String, Node<'_>>,
    path: &mut Vec<&'n str>,
    faults: &mut Vec<Fault>,
) -> bool {
    for id in &node.interface.extends {
        let Some(parent) = nodes.get(id) else { continue };
        let start = &nodes[path[0]];
        let pointer = start.extends_pointers.first().unwrap_or(&start.pointer);
        if path.contains(&id.as_str()) {
            faults.push((pointer.clone(), code::CYCLE, format!("inheritance leads back to {id:?}")));
            return false;
        }
        if path.len() > DTDL_EXTENDS_DEPTH_MAX {
            let message = format!("inheritance has more than {DTDL_EXTENDS_DEPTH_MAX} levels");
            faults.push((pointer.clone(), code::TOO_DEEP, message));
            return false;
        }
        path.push(id);
        let well = inherits_well(parent, nodes, path, faults);
        path.pop();
        if !well {
            return false;
        }
    }
    true
}

/// Names and number of contents, inherited ones included, and components within components.
fn check_contents(id: &str, node: &Node<'_>, nodes: &BTreeMap<String, Node<'_>>, faults: &mut Vec<Fault>) {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut count = 0;
    for owner in ancestry(id, nodes) {
        let own = owner.interface.id() == id;
        for (content, pointer) in owner.interface.contents.iter().zip(&owner.content_pointers) {
            count += 1;
            let name = content.element().name.as_str();
            let Some(other) = names.insert(name, owner.interface.id()).filter(|_| !name.is_empty()) else { continue };
            let place = if own { format!("{pointer}/name") } else { node.pointer.clone() };
            let message = match own {
                true => format!("there are two contents {name:?}"),
                false => {
                    format!("{name:?} is in {other:?} and in {:?}, both part of this interface", owner.interface.id())
                }
            };
            faults.push((place, code::DUPLICATE_NAME, message));
        }
        if count > DTDL_CONTENTS_MAX {
            let message = format!("more than {DTDL_CONTENTS_MAX} contents, inherited ones included");
            faults.push((node.pointer.clone(), code::TOO_MANY, message));
            return;
        }
    }
    for (content, pointer) in node.interface.contents.iter().zip(&node.content_pointers) {
        let Content::Component(component) = content else { continue };
        let nested = ancestry(&component.interface, nodes)
            .into_iter()
            .any(|inner| inner.interface.contents.iter().any(|content| matches!(content, Content::Component(_))));
        if nested {
            let message = format!("the interface {:?} of a component has components itself", component.interface);
            faults.push((format!("{pointer}/schema"), code::NESTED_COMPONENT, message));
        }
    }
}

/// The node and all it inherits from, itself first, each once.
fn ancestry<'n, 'v>(id: &str, nodes: &'n BTreeMap<String, Node<'v>>) -> Vec<&'n Node<'v>> {
    let mut found: Vec<&Node<'_>> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<&str> = nodes.get_key_value(id).map(|(id, _)| id.as_str()).into_iter().collect();
    while let Some(id) = waiting.pop() {
        if let Some(node) = nodes.get(id).filter(|_| seen.insert(id)) {
            found.push(node);
            waiting.extend(node.interface.extends.iter().rev().map(String::as_str));
        }
    }
    found
}
