//! Container image names, and which registry credential fits one.
//!
//! ```text
//! [registry[:port]/]path[:tag]        no tag: `:latest`
//! [registry[:port]/]path@algo:hash
//! $upstream:<port>/path[:tag]         the parent edge device's registry
//! ```

use std::fmt;

use thiserror::Error;

use super::agent::RegistryCredential;

/// Text that stands for the parent's host name.
const UPSTREAM: &str = "$upstream";
/// The engine's default registry, under the names its credentials are found with.
const DEFAULT_REGISTRIES: &[&str] = &["docker.io", "index.docker.io", "https://index.docker.io/v1/"];

/// A normalised image name: trimmed, and with a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageName(String);

/// An image name that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseImageNameError {
    /// Nothing but blanks.
    #[error("image name is blank")]
    Blank,
    /// More than one colon after the last slash.
    #[error("image name has two tags")]
    TwoTags,
    /// A tag, digest or path that is empty, or blanks inside.
    #[error("image name has an empty part or blanks in it")]
    EmptyPart,
    /// `$upstream` without `:<port>/`, or with a port that starts with no digit from 1 to 9.
    #[error("$upstream must be followed by ':', a port number and '/'")]
    UpstreamPort,
}

impl ImageName {
    /// Reads and normalises a name.
    ///
    /// # Errors
    /// What about the text is no image name.
    pub fn parse(text: &str) -> Result<Self, ParseImageNameError> {
        let name = text.trim();
        if name.is_empty() {
            return Err(ParseImageNameError::Blank);
        }
        if name.contains(char::is_whitespace) {
            return Err(ParseImageNameError::EmptyPart);
        }
        if let Some(rest) = name.strip_prefix(UPSTREAM) {
            check_upstream_port(rest)?;
        }
        let last = name.rsplit('/').next().unwrap_or(name);
        let (repository, suffix) = match last.split_once('@') {
            // `name:tag@algo:hash` is legal: the digest decides, the tag is for people.
            Some((repository, digest)) => (repository, Some(digest)),
            None => (last, None),
        };
        if suffix.is_some_and(|digest| !is_digest(digest)) {
            return Err(ParseImageNameError::EmptyPart);
        }
        let mut parts = repository.split(':');
        let (base, tag) = (parts.next().unwrap_or_default(), parts.next());
        if parts.next().is_some() {
            return Err(ParseImageNameError::TwoTags);
        }
        if base.is_empty() || tag == Some("") {
            return Err(ParseImageNameError::EmptyPart);
        }
        let tagged = tag.is_some() || suffix.is_some();
        Ok(Self(if tagged { name.to_owned() } else { format!("{name}:latest") }))
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without tag and digest, as `[tidegate.processes]` writes it.
    pub fn without_tag(&self) -> &str {
        let name = self.0.split('@').next().unwrap_or(&self.0);
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        match name[last..].find(':') {
            Some(colon) => &name[..last + colon],
            None => name,
        }
    }

    /// The registry's host and port, where the name gives one: the part before the first slash, if it holds `.` or `:`.
    pub fn registry(&self) -> Option<&str> {
        let (host, _) = self.0.split_once('/')?;
        host.contains(['.', ':']).then_some(host)
    }

    /// The credential to pull with: the one whose address equals the registry, ignoring case.
    ///
    /// A name with a slash but no registry is looked for at the engine's default registry; one without a slash needs
    /// no credential.
    pub fn credential<'c>(
        &self,
        credentials: impl IntoIterator<Item = &'c RegistryCredential>,
    ) -> Option<&'c RegistryCredential> {
        if !self.0.contains('/') {
            return None;
        }
        let registry = self.registry();
        let matches = |address: &str| match registry {
            Some(host) => host.eq_ignore_ascii_case(address),
            None => DEFAULT_REGISTRIES.iter().any(|known| known.eq_ignore_ascii_case(address)),
        };
        credentials.into_iter().find(|credential| matches(&credential.address))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text after `$upstream` is `:<port>/…` with something following.
fn check_upstream_port(rest: &str) -> Result<(), ParseImageNameError> {
    let (port, path) =
        rest.strip_prefix(':').and_then(|rest| rest.split_once('/')).ok_or(ParseImageNameError::UpstreamPort)?;
    let digits = port.starts_with(|c: char| ('1'..='9').contains(&c)) && port.chars().all(|c| c.is_ascii_digit());
    if !digits || path.is_empty() {
        return Err(ParseImageNameError::UpstreamPort);
    }
    Ok(())
}

/// `algo:hash`.
fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hash)| {
        !algorithm.is_empty() && !hash.is_empty() && !hash.contains(':') && !text.contains('@')
    })
}

#[cfg(test)]
mod tests;
