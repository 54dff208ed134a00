//! What a first start makes: the application, the key of its API tokens, the administrator's token.
//!
//! Every step looks before it makes, so that a start that was killed is finished by the next one.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use events::clock::now_ms;
use registry::{ApplicationRow, Registry, StoreError};

use super::admin_token;
use crate::app::signing_key::{SigningKeyError, SigningKeys};
use crate::app::{AppError, setup};
use crate::data_folder::{DataFolder, DataFolderError};

/// Name of the first application.
const APPLICATION_NAME: &str = "Tidegate";

/// The data folder is not set up.
#[derive(Debug, thiserror::Error)]
pub enum FirstStartError {
    /// A file of the folder.
    #[error("a file of the data folder cannot be written or read")]
    Folder(#[from] DataFolderError),
    /// The registry file.
    #[error("cannot create {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The application.
    #[error("the first application cannot be made")]
    Application(#[source] AppError),
    /// The administrator's token.
    #[error("the administrator's token cannot be made")]
    Token(#[source] StoreError),
    /// The key of the API tokens.
    #[error("the key of the API tokens cannot be used")]
    Key(#[from] SigningKeyError),
}

/// Makes an empty file that only the owner may read, unless it is there: SQLite would use the umask.
pub(super) fn create_private(path: &Path) -> Result<(), FirstStartError> {
    let created = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    match created {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(FirstStartError::Create { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// The first application, with its secrets in the folder.
pub(super) async fn set_up(
    folder: &DataFolder,
    registry: &Registry,
    keys: &SigningKeys,
) -> Result<ApplicationRow, FirstStartError> {
    let application = setup::first_application(registry, APPLICATION_NAME, now_ms()).await;
    let application = application.map_err(FirstStartError::Application)?;
    let key = keys.of(&application.id)?;
    admin_token::renew(folder, registry, &application, &key, now_ms()).await?;
    Ok(application)
}
