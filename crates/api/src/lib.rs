//! The REST contract: what Central's HTTP interface says, without any of what it does.
//!
//! - The types are the request and answer bodies, one file a resource. Names and members of the IoT Central part are those
//!   of its published OpenAPI documents; what is ours lives under `/api/ext/v1` and is in [`session`], [`fleet`], [`edge`],
//!   [`messages`], [`health`] and [`live`].
//! - [`endpoints::ENDPOINTS`] lists every operation once: path, versions that have it, the permission it needs, bodies.
//!   The server builds its routes from it, the authorization test walks it and [`openapi`] describes it, so the three
//!   cannot drift apart.
//!
//! Times are RFC 3339 text in UTC. Members that are absent are left out, never `null`.

pub mod access;
pub mod certificate;
pub mod command;
pub mod device;
pub mod edge;
pub mod endpoint;
pub mod endpoints;
pub mod enrollment;
pub mod error;
pub mod files;
pub mod fleet;
pub mod health;
mod live;
pub mod manifest;
pub mod messages;
pub mod openapi;
pub mod permission;
pub mod query;
pub mod session;
pub mod template;

#[cfg(test)]
mod tests;

/// Declares the body of a list: `value` and, if there is more, the absolute address of the next page.
macro_rules! collection {
    ($(#[$doc:meta])* $name:ident of $item:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The items of this page.
            pub value: Vec<$item>,
            /// Absolute address of the next page; absent on the last one.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub next_link: Option<String>,
        }
    };
}
pub(crate) use collection;
