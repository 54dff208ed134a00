//! Who may speak: the proofs clients send.
pub mod sas;
