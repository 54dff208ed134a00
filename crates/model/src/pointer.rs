//! Where in a JSON document something was found.
//!
//! A [`Pointer`] is built while descending, as a chain of borrowed steps on the stack, and becomes RFC 6901 text
//! (`/modulesContent/$edgeAgent/properties.desired/modules`) only when there is something to report. Validating a good
//! document therefore allocates nothing for its paths.

use std::fmt;

/// One step of a chain that ends at the document's root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pointer<'a> {
    parent: Option<&'a Pointer<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    /// The start, with the text of the pointer that leads to it (empty for a whole document).
    Root(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Pointer<'a> {
    /// The document itself, or the part of a larger one that `prefix` (already pointer text) leads to.
    pub(crate) fn root(prefix: &'a str) -> Self {
        Self { parent: None, step: Step::Root(prefix) }
    }

    /// The member `name` of the object here.
    pub(crate) fn key<'b>(&'b self, name: &'b str) -> Pointer<'b> {
        Pointer { parent: Some(self), step: Step::Key(name) }
    }

    /// The element at `index` of the array here.
    pub(crate) fn index(&self, index: usize) -> Pointer<'_> {
        Pointer { parent: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        match self.step {
            Step::Root(prefix) => f.write_str(prefix),
            Step::Index(index) => write!(f, "/{index}"),
            Step::Key(name) if name.contains(['~', '/']) => {
                write!(f, "/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Step::Key(name) => write!(f, "/{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
