//! The hub's dialect on top of MQTT. A topic, property bag or user name is spelled here and nowhere else.
pub mod bag;
pub mod block_list;
pub mod delivery;
pub mod model_id;
pub mod topic;
pub mod username;
