//! Central as its users meet it: over TLS, through the command line, across restarts.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests say what they need by failing")]

mod applications;
mod central;
mod certificates;
mod damage;
mod doctor;
mod durability;
mod files;
mod gateway;
mod hub_http;
mod impersonation;
mod messages;
mod older_registry;
mod postgres;
mod provisioning;
mod rest;
mod revocation;
mod sessions;
mod start;
mod strangers;
mod web_socket;
