//! The name of a module: what the hub takes as a module id, and what an edge may call files by.
//!
//! 1 to 128 ASCII letters, digits and `- : . + % _ # * ? ! ( ) , = @ $ '`. No slash, no control character, no space: a name is part
//! of a path, of a file's name and of a client id on its way. `.` and `..` are names of folders and of no module.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use thiserror::Error;

use crate::limits::MODULE_NAME_CHARS_MAX;

/// A text that may be a module's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleName(Box<str>);

/// Why a text is no module's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a module name has 1 to {MODULE_NAME_CHARS_MAX} ASCII letters, digits and -:.+%_#*?!(),=@$' characters")]
pub struct ParseModuleNameError;

impl ModuleName {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, ParseModuleNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-:.+%_#*?!(),=@$'".contains(&byte);
        let fits = (1..=MODULE_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed);
        if fits && text != "." && text != ".." { Ok(Self(text.into())) } else { Err(ParseModuleNameError) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name is a text that was looked at: it can be read like any other.
impl Deref for ModuleName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Maps by name are searched with texts.
impl Borrow<str> for ModuleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ModuleName {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for ModuleName {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_hub_takes_and_a_file_can_be_called() {
        let longest = "m".repeat(MODULE_NAME_CHARS_MAX);
        for name in ["m", "$edgeAgent", "...", "a.b", "-:.+%_#*?!(),=@$'", &longest] {
            assert_eq!(ModuleName::parse(name).map(|name| name.to_string()).as_deref(), Ok(name));
        }
        let too_long = format!("{longest}m");
        let wrong =
            ["", ".", "..", "/", "a/b", "/etc/passwd", "../x", "a\\b", "a b", "a\nb", "a\0", "ü", "a\"b", &too_long];
        for name in wrong {
            assert_eq!(ModuleName::parse(name), Err(ParseModuleNameError), "{name:?}");
        }
    }
}
