//! Finding the program an image is mapped to.

use std::path::{Path, PathBuf};

/// A name with a slash is a path. Any other is looked for beside this executable, where our own modules are installed, and
/// then in `PATH`.
pub fn resolve(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_program(path));
    }
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside.into_iter().chain(std::env::split_paths(&path)).map(|dir| dir.join(program)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_looked_up_and_paths_are_taken_as_they_are() {
        assert!(resolve("sh").is_some());
        assert_eq!(resolve("/bin/sh"), Some(PathBuf::from("/bin/sh")));
        let plain_file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(resolve(plain_file.path().to_str().unwrap()), None, "not executable");
        assert_eq!(resolve("no-such-program-here"), None);
    }
}
