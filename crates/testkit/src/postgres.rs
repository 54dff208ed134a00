//! A real PostgreSQL server for tests: Debian's programs, a folder and a unix socket of its own, ended with the test.
//!
//! Every user needs a password, so that a test sees where one would show. Nothing is synchronised to the disk: what is tested is
//! Tidegate, not PostgreSQL. The files `initdb` makes are kept beside the test's program and copied, which is a second faster.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Where Debian puts the programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// Password of the superuser, found nowhere else.
pub const PASSWORD: &str = "test-pw-70a1c3";

static SHARED: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());

/// A running server. Dropped, it ends and its files are gone.
#[derive(Debug)]
pub struct PostgresServer {
    folder: TempDir,
    child: Mutex<Option<Child>>,
    databases: AtomicU32,
}

/// An empty database on a server, which lives at least as long.
#[derive(Debug)]
pub struct TestDatabase {
    server: Arc<PostgresServer>,
    name: String,
}

impl PostgresServer {
    /// The server that the tests of this process share while one of them uses it.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Self::start();
        *shared = Arc::downgrade(&server);
        server
    }

    /// A server of the test's own, which it may stop.
    pub fn start() -> Arc<Self> {
        assert!(
            Path::new(PROGRAMS).join("postgres").is_file(),
            "{PROGRAMS}/postgres is missing: run the tests with `make test`, or install the Debian package postgresql-15"
        );
        let folder = tempfile::Builder::new().prefix("tidegate-postgres-").tempdir().expect("a temporary folder");
        // The server may be another user than the test: it has to get through to its own folder.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).expect("the folder is ours");
        run(Command::new("cp").arg("-a").arg(files()).arg(folder.path().join("data")));
        let socket = folder.path().join("socket");
        fs::create_dir(&socket).expect("the folder is ours");
        fs::set_permissions(&socket, Permissions::from_mode(0o777)).expect("the folder is ours");
        let server = Self { folder, child: Mutex::new(None), databases: AtomicU32::new(0) };
        server.restart();
        Arc::new(server)
    }

    /// The folder of its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Starts it again after [`stop`](Self::stop).
    pub fn restart(&self) {
        let child = serve(self.folder.path());
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    }

    /// Stops it as an administrator does: connections are closed at once.
    pub fn stop(&self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            // It may have ended by itself.
            let _ = kill_process(Pid::from_child(&child), Signal::INT);
            child.wait().expect("the server ends");
        }
    }

    /// An empty database.
    pub fn database(self: &Arc<Self>) -> TestDatabase {
        self.database_with("ENCODING 'UTF8'")
    }

    /// An empty database made with options of `CREATE DATABASE`.
    pub fn database_with(self: &Arc<Self>, options: &str) -> TestDatabase {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0 {options}"));
        TestDatabase { server: Arc::clone(self), name }
    }

    /// Runs SQL as the superuser, and answers the values of the rows, a row a line.
    fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(Path::new(PROGRAMS).join("psql"));
        psql.arg("-h").arg(self.socket()).args(["-U", "postgres", "-d", database]);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]).env("PGPASSWORD", PASSWORD);
        run(&mut psql)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl TestDatabase {
    /// Its URL, with the password.
    pub fn url(&self) -> String {
        self.url_with(PASSWORD)
    }

    /// Its URL with another password.
    pub fn url_with(&self, password: &str) -> String {
        self.url_at(&self.server.socket(), password)
    }

    /// Its URL behind a socket in another folder.
    pub fn url_at(&self, folder: &Path, password: &str) -> String {
        let folder = folder.display().to_string().replace('/', "%2F");
        format!("postgresql://postgres:{password}@{folder}/{}", self.name)
    }

    /// The server it is on.
    pub fn server(&self) -> &PostgresServer {
        &self.server
    }

    /// Runs SQL as the superuser, and answers the values of the rows, a row a line.
    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }
}

/// The files of a new server, made once.
fn files() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let folder = program.ancestors().nth(2).expect("it is below the target folder").join("postgres-15");
    fs::create_dir_all(&folder).expect("the target folder is ours");
    let lock = File::create(folder.join("lock")).expect("the target folder is ours");
    lock.lock().expect("another test's lock ends");
    let files = folder.join("data");
    if !files.is_dir() {
        // Made where user `postgres` gets through, then copied, then renamed: killed in between, it is made again.
        let making = tempfile::Builder::new().prefix("tidegate-initdb-").tempdir().expect("a temporary folder");
        fs::set_permissions(making.path(), Permissions::from_mode(0o777)).expect("the folder is ours");
        fs::write(making.path().join("password"), PASSWORD).expect("the folder is ours");
        let data = making.path().join("data");
        let mut initdb = as_server("initdb");
        initdb.arg("-D").arg(&data).arg("--pwfile").arg(making.path().join("password"));
        run(initdb.args([
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            "-N",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--wal-segsize=1",
        ]));
        let partial = folder.join("partial");
        let _ = fs::remove_dir_all(&partial);
        run(Command::new("cp").arg("-a").arg(&data).arg(&partial));
        fs::rename(&partial, &files).expect("both are in one folder");
    }
    files
}

/// One of the programs, as a user that may run it: PostgreSQL refuses to run as root.
fn as_server(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    // Should the test be killed, the server ends with it.
    command.arg("--pdeathsig=INT").arg(Path::new(PROGRAMS).join(program)).current_dir("/");
    command
}

/// Starts the server and waits until it takes connections.
fn serve(folder: &Path) -> Child {
    let mut server = as_server("postgres");
    server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder.join("socket"));
    for setting in [
        "listen_addresses=",
        "fsync=off",
        "full_page_writes=off",
        "shared_buffers=16MB",
        "max_connections=50",
        "autovacuum=off",
    ] {
        server.args(["-c", setting]);
    }
    server.stdout(Stdio::null()).stderr(Stdio::piped());
    let (sender, ready) = channel();
    // The server ends when the thread that started it does: this one stays as long as the server says something.
    thread::spawn(move || {
        let mut child = server.spawn().expect("setpriv is part of Debian");
        let lines = child.stderr.take().expect("it is piped");
        follow(child, lines, &sender);
    });
    ready.recv().expect("the thread answers").unwrap_or_else(|said| panic!("PostgreSQL did not start:\n{said}"))
}

fn follow(child: Child, lines: ChildStderr, ready: &Sender<Result<Child, String>>) {
    let mut starting = Some((child, String::new()));
    for line in BufReader::new(lines).lines() {
        let Ok(line) = line else { break };
        starting = match starting {
            // Nobody waits when the test has ended.
            Some((child, _)) if line.contains("ready to accept connections") => {
                let _ = ready.send(Ok(child));
                None
            }
            Some((child, said)) => Some((child, format!("{said}{line}\n"))),
            None => None,
        };
    }
    if let Some((_, said)) = starting {
        let _ = ready.send(Err(said));
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
