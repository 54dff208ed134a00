//! Which names may stand in a module's server certificate.
//!
//! Whoever trusts this gateway's authority trusts every certificate of it, so a name in one is a power: a module with a certificate
//! for the gateway's host name can pass for the hub to every downstream device. By itself a module therefore gets its own id, by
//! which other modules reach it, and nothing else. Further names are the manifest's to give, in a variable of the module that only
//! the manifest's author can set ([`CERTIFICATE_NAMES_VARIABLE`]). See decision 22.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

use crate::identity::is_certificate_name;

/// Variable of a module in the deployment manifest: names its certificates may have, with commas or blanks between.
pub const CERTIFICATE_NAMES_VARIABLE: &str = "TIDEGATE_CERTIFICATE_NAMES";

/// Stands for this gateway's host name in that variable: one manifest fits many gateways.
const GATEWAY: &str = "$gateway";

/// What modules may be called.
pub struct CertificateNames {
    hostname: String,
    /// Names of others that no module has by its id.
    taken: Vec<String>,
    /// What the manifest gives, by module.
    given: RwLock<BTreeMap<String, Vec<String>>>,
}

/// A name is not for this module.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// It is no name at all.
    #[error("commonName {0:?} is neither a name nor an address")]
    NoName(String),
    /// It is another's.
    #[error(
        "module {module} gets no certificate for {name}{whose}: only for its own id. Where it shall have one, the deployment \
         manifest says so: \"env\": {{\"{CERTIFICATE_NAMES_VARIABLE}\": {{\"value\": \"{name}\"}}}} of the module"
    )]
    NotGiven {
        /// The module.
        module: String,
        /// What it asked for.
        name: String,
        /// Whose name that is, where it matters most.
        whose: &'static str,
    },
}

impl CertificateNames {
    /// On a gateway of this name, below one of that name if it is nested.
    pub fn new(hostname: &str, parent_hostname: Option<&str>) -> Self {
        let taken = [Some(hostname), parent_hostname, Some("localhost")];
        Self {
            hostname: hostname.to_owned(),
            taken: taken.into_iter().flatten().map(str::to_owned).collect(),
            given: RwLock::default(),
        }
    }

    /// Takes over what a manifest gives: each module with its variable. Modules that are not named have their own id.
    pub fn give<'a>(&self, modules: impl Iterator<Item = (&'a str, Option<&'a str>)>) {
        let names = |text: &str| -> Vec<String> {
            let names = text.split([',', ' ']).filter(|name| !name.is_empty());
            names.map(|name| if name == GATEWAY { self.hostname.clone() } else { name.to_owned() }).collect()
        };
        let given = modules.filter_map(|(module, text)| Some((module.to_owned(), names(text?)))).collect();
        *self.given.write().unwrap_or_else(PoisonError::into_inner) = given;
    }

    /// The names of a certificate for a module that asks for this one, which comes first.
    pub fn names_for(&self, module: &str, asked: &str) -> Result<Vec<String>, NameRefused> {
        if !is_certificate_name(asked) {
            return Err(NameRefused::NoName(asked.to_owned()));
        }
        let own = module.trim_start_matches('$');
        if !self.may_have(module, asked) {
            let is_gateway = is_same(asked, &self.hostname);
            return Err(NameRefused::NotGiven {
                module: module.to_owned(),
                name: asked.to_owned(),
                whose: if is_gateway { ", the name of this gateway" } else { "" },
            });
        }
        let mut names = vec![asked.to_owned()];
        if !is_same(own, asked) && is_certificate_name(own) && self.may_have(module, own) {
            names.push(own.to_owned());
        }
        Ok(names)
    }

    fn may_have(&self, module: &str, name: &str) -> bool {
        let own = module.trim_start_matches('$');
        // A module may be called like a host or an address; that does not make it one.
        let is_free = name.parse::<IpAddr>().is_err() && !self.taken.iter().any(|taken| is_same(taken, name));
        let given = self.given.read().unwrap_or_else(PoisonError::into_inner);
        (is_free && is_same(own, name))
            || given.get(module).is_some_and(|names| names.iter().any(|given| is_same(given, name)))
    }
}

/// Whether a client that checks one finds it in a certificate for the other.
fn is_same(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.eq_ignore_ascii_case(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names() -> CertificateNames {
        CertificateNames::new("edge.plant", Some("parent.plant"))
    }

    #[test]
    fn by_itself_a_module_has_its_own_id_and_nothing_else() {
        let names = names();
        names.give([("other", Some("other.plant"))].into_iter());
        assert_eq!(names.names_for("m", "m"), Ok(vec!["m".to_owned()]));
        assert_eq!(names.names_for("$edgeHub", "EdgeHub"), Ok(vec!["EdgeHub".to_owned()]));
        for foreign in
            ["edge.plant", "EDGE.PLANT", "parent.plant", "localhost", "127.0.0.1", "other", "other.plant", "m.m"]
        {
            assert!(matches!(names.names_for("m", foreign), Err(NameRefused::NotGiven { .. })), "{foreign}");
        }
        for none in ["", "no name", "*", "*.plant", "edge.plant.", "a/b"] {
            assert_eq!(names.names_for("m", none), Err(NameRefused::NoName(none.to_owned())));
        }
    }

    #[test]
    fn a_module_that_is_called_like_a_host_is_not_that_host() {
        let names = names();
        for module in ["edge.plant", "Edge.Plant", "$edge.plant", "parent.plant", "localhost", "127.0.0.1"] {
            let asked = module.trim_start_matches('$');
            assert!(names.names_for(module, asked).is_err(), "{module}");
            names.give([(module, Some("x.plant"))].into_iter());
            assert_eq!(names.names_for(module, "x.plant"), Ok(vec!["x.plant".to_owned()]), "{module}");
        }
    }

    #[test]
    fn what_the_manifest_gives_a_module_may_have_and_what_it_takes_back_not() {
        let names = names();
        names.give([("m", Some("$gateway, m.plant 192.0.2.7")), ("n", None)].into_iter());
        for (asked, expected) in [
            ("edge.plant", &["edge.plant", "m"][..]),
            ("M.plant", &["M.plant", "m"]),
            ("192.0.2.7", &["192.0.2.7", "m"]),
            ("m", &["m"]),
        ] {
            assert_eq!(names.names_for("m", asked).unwrap(), expected);
        }
        assert!(names.names_for("n", "edge.plant").is_err());
        names.give([("m", Some(""))].into_iter());
        assert!(names.names_for("m", "edge.plant").is_err());
        assert_eq!(names.names_for("m", "m"), Ok(vec!["m".to_owned()]));
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        let refused = names().names_for("proxy", "edge.plant").unwrap_err().to_string();
        assert_eq!(
            refused,
            "module proxy gets no certificate for edge.plant, the name of this gateway: only for its own id. Where it shall have \
             one, the deployment manifest says so: \"env\": {\"TIDEGATE_CERTIFICATE_NAMES\": {\"value\": \"edge.plant\"}} of the \
             module"
        );
    }
}
