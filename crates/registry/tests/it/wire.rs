//! The wire to a PostgreSQL server, which can be cut at the worst moment.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;
use testkit::postgres::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Name of a server's socket in its folder.
const SOCKET: &str = ".s.PGSQL.5432";
const NO_CUT: u8 = 0;

/// What of the next commit is lost, and the connection with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// The server never hears of it.
    Question = 1,
    /// The server has done it.
    Answer = 2,
    /// The server never hears of it, nor that the client is gone.
    Client = 3,
}

pub struct Wire {
    pub folder: TempDir,
    cut: Arc<AtomicU8>,
}

impl Wire {
    /// A socket that leads to a database's server.
    pub fn before(database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let server = database.server().socket().join(SOCKET);
        let cut = Arc::new(AtomicU8::new(NO_CUT));
        tokio::spawn(accept(listener, server, Arc::clone(&cut)));
        Self { folder, cut }
    }

    pub fn cut_at_commit(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }
}

async fn accept(listener: UnixListener, server: PathBuf, cut: Arc<AtomicU8>) {
    while let Ok((client, _)) = listener.accept().await {
        let server = UnixStream::connect(&server).await.unwrap();
        tokio::spawn(join(client, server, Arc::clone(&cut)));
    }
}

/// Carries bytes both ways until one side ends, or until the cut.
async fn join(mut client: UnixStream, mut server: UnixStream, cut: Arc<AtomicU8>) {
    let (mut asked, mut answered) = ([0; 8_192], [0; 8_192]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let asked = &asked[..length];
                let is_commit = asked.windows(7).any(|window| window == b"COMMIT\0");
                let cut = if is_commit { cut.swap(NO_CUT, Ordering::SeqCst) } else { NO_CUT };
                if cut == Cut::Client as u8 {
                    drop(client);
                    return std::future::pending().await;
                }
                if cut == Cut::Question as u8 || server.write_all(asked).await.is_err() {
                    return;
                }
                if cut == Cut::Answer as u8 {
                    // Its answer is the sign that it was done.
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
