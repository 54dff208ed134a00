//! Every operation of the interface, once.
//!
//! The server builds its routes from this list and refuses to start when a handler is missing or has no entry.

mod central;
mod device_tree;
mod extensions;

use crate::endpoint::{Endpoint, Parameter, ParameterKind};

/// The lists, in the order of the published document; ours last.
const LISTS: [&[Endpoint]; 3] = [central::ENDPOINTS, device_tree::ENDPOINTS, extensions::ENDPOINTS];

/// Every operation.
pub fn all() -> impl Iterator<Item = &'static Endpoint> {
    LISTS.into_iter().flatten()
}

/// The operation with this id.
pub fn by_id(id: &str) -> Option<&'static Endpoint> {
    all().find(|endpoint| endpoint.id == id)
}

const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::Text, about }
}

const MAX_PAGE_SIZE: Parameter = Parameter {
    name: "maxpagesize",
    kind: ParameterKind::Integer,
    about: "Items a page holds at the most, 1 to 100 (25 when absent). `$top` means the same.",
};
const FILTER: Parameter =
    text("filter", "Which items: `field op literal`, joined by `and`, `or`. `$filter` means the same.");
const ORDER_BY: Parameter = text("orderby", "Order: `displayName` with `asc` or `desc`. `$orderby` means the same.");
const EXPAND: Parameter = text("expand", "`deploymentManifest` adds the manifest the device was given.");
const UNMODELED: Parameter = Parameter {
    name: "unmodeled",
    kind: ParameterKind::Flag,
    about: "Whether values the template does not describe are shown and taken too.",
};
const PAGED: &[Parameter] = &[MAX_PAGE_SIZE];
const LISTED: &[Parameter] = &[FILTER, MAX_PAGE_SIZE, ORDER_BY];
