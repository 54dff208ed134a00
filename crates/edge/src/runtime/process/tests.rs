#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::Process;
use crate::limits::STOP_GRACE;
use crate::runtime::contract::{self, ContractModules};

fn shell(script: &str) -> Process {
    Process { program: "sh".into(), args: vec!["-c".into(), script.into()] }
}

fn spec(name: &str, image: &str) -> ModuleSpec {
    let env = BTreeMap::from([("GREETING".to_owned(), format!("hello from {name}"))]);
    ModuleSpec { env, ..ModuleSpec::plain(name, image) }
}

async fn open(dir: &Path, scripts: &[(&str, &str)]) -> ProcessRuntime {
    let processes = scripts.iter().map(|(image, script)| ((*image).to_owned(), shell(script)));
    ProcessRuntime::open(Processes::from_entries(processes), &dir.join("logs"), &dir.join("run"), None).await.unwrap()
}

#[tokio::test]
async fn keeps_the_contract_of_runtimes() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = open(dir.path(), &[("lasting", "exec sleep 1000"), ("failing", "exit 3")]).await;
    let modules = ContractModules {
        lasting: spec("a", "lasting:1.0"),
        failing: spec("b", "failing"),
        impossible: spec("c", "unmapped:1.0"),
    };
    contract::check(&runtime, modules).await;
    assert_eq!(std::fs::read_dir(dir.path().join("run")).unwrap().count(), 0, "no records are left");
}

#[tokio::test]
async fn output_is_captured_and_the_environment_is_the_modules_own() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo \"$GREETING\"; echo oops >&2; env | grep -c CARGO_PKG_NAME";
    let runtime = open(dir.path(), &[("talker", script)]).await;
    runtime.create(&spec("m", "talker"), STOP_GRACE).await.unwrap();
    runtime.start("m").await.unwrap();
    contract::until(&runtime, "m", |run| matches!(run, RunState::Exited { .. })).await;
    let texts = async || {
        let lines = runtime.read("m", &LogFilter::default()).await.unwrap();
        let mut texts: Vec<_> = lines.into_iter().map(|line| (line.stream.as_str(), line.text)).collect();
        texts.sort();
        texts
    };
    // The readers of the pipes may be a moment behind the end of the process.
    while texts().await.len() < 3 {
        tokio::task::yield_now().await;
    }
    let expected = [("stderr", "oops"), ("stdout", "0"), ("stdout", "hello from m")];
    assert_eq!(texts().await, expected.map(|(stream, text)| (stream, text.to_owned())));
    assert_eq!(runtime.modules().await.unwrap(), ["m"]);
}

#[tokio::test]
async fn what_a_module_started_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = open(dir.path(), &[("parent", "sleep 1000 & echo $! > \"$PIDFILE\"; exit 0")]).await;
    let pid_file = dir.path().join("child.pid");
    let mut spec = spec("m", "parent");
    spec.env.insert("PIDFILE".into(), pid_file.display().to_string());
    runtime.create(&spec, STOP_GRACE).await.unwrap();
    runtime.start("m").await.unwrap();
    contract::until(&runtime, "m", |run| matches!(run, RunState::Exited { .. })).await;
    let child = std::fs::read_to_string(pid_file).unwrap();
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    while stat().is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Process { program: "/no/such/program".into(), args: vec![] };
    let processes = Processes::from_entries([("image".to_owned(), missing)]);
    let runtime =
        ProcessRuntime::open(processes, &dir.path().join("logs"), &dir.path().join("run"), None).await.unwrap();
    runtime.create(&spec("m", "image"), STOP_GRACE).await.unwrap();
    let error = runtime.start("m").await.unwrap_err();
    assert_eq!(error.to_string(), "the program /no/such/program of image image is not found");
}

/// Only root can be somebody else; who is not can only look whether that is said (`users`).
#[tokio::test]
async fn where_modules_have_users_of_their_own_they_are_apart() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let users = ModuleUsers::open(200_000..200_010, dir.path().join("users.json"), dir.path().join("modules")).unwrap();
    let script = "id -u; id -G; pwd; touch $TMPDIR/x && echo written; ls ../../other/home 2>&1 | grep -c denied; \
        grep -E 'NoNewPrivs|CapEff|CapPrm' /proc/self/status | tr -d '\\t'; ulimit -n; grep processes /proc/self/limits";
    let processes = Processes::from_entries([("talker".to_owned(), shell(script)), ("idle".to_owned(), shell("true"))]);
    let (logs, run) = (dir.path().join("logs"), dir.path().join("run"));
    let runtime = ProcessRuntime::open(processes, &logs, &run, Some(Arc::new(users))).await.unwrap();
    for (module, image) in [("other", "idle"), ("m", "talker")] {
        runtime.create(&spec(module, image), STOP_GRACE).await.unwrap();
        runtime.start(module).await.unwrap();
        contract::until(&runtime, module, |run| matches!(run, RunState::Exited { .. })).await;
    }
    let texts = async || -> Vec<String> {
        let lines = runtime.read("m", &LogFilter::default()).await.unwrap();
        lines.into_iter().map(|line| line.text).collect()
    };
    while texts().await.len() < 10 {
        tokio::task::yield_now().await;
    }
    let texts = texts().await;
    let home = dir.path().join("modules/m/home").display().to_string();
    let no_capabilities = "0".repeat(16);
    let expected = ["200001", "200001", &home, "written", "1"];
    assert_eq!(texts[..5], expected, "{texts:?}");
    let status = [format!("CapPrm:{no_capabilities}"), format!("CapEff:{no_capabilities}"), "NoNewPrivs:1".to_owned()];
    assert_eq!(texts[5..8], status);
    let of_ours = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    assert_eq!(texts[8], of_ours.min(crate::limits::MODULE_FILES_MAX).to_string());
    assert!(
        texts[9].split_whitespace().any(|word| word == crate::limits::MODULE_PROCESSES_MAX.to_string()),
        "{texts:?}"
    );
}
