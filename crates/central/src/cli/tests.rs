//! Flags, precedence and exit codes.
#![allow(clippy::unwrap_used)]

use clap::CommandFactory;

use super::*;
use crate::database::Database;

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

fn serve_options(arguments: &[&str]) -> anyhow::Result<ServeOptions> {
    let cli = Cli::try_parse_from(["tidegate", "serve", "--data", "d"].iter().chain(arguments)).unwrap();
    let Command::Serve(arguments) = cli.command else { panic!("serve was asked for") };
    arguments.options()
}

#[test]
fn flags_win_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    std::fs::write(&file, "hostname = \"a.example.test\"\n[listen]\nhttps = \"127.0.0.1:1\"\nmqtts = \"127.0.0.1:2\"")
        .unwrap();
    let options = serve_options(&["--config", file.to_str().unwrap(), "--https", "127.0.0.1:3"]).unwrap();
    assert_eq!(options.config.hostname, "a.example.test");
    assert_eq!(options.config.listen.https, "127.0.0.1:3".parse().unwrap());
    assert_eq!(options.config.listen.mqtts, "127.0.0.1:2".parse().unwrap());
    assert!(matches!(options.database, Database::Folder));
    std::fs::write(&file, "[database]\nurl_file = \"not-there\"").unwrap();
    let options = serve_options(&["--config", file.to_str().unwrap(), "--database", "postgresql://h/d"]).unwrap();
    assert!(matches!(options.database, Database::Server(url) if url.to_string().ends_with("@h:5432/d")));
    let missing = serve_options(&["--config", file.to_str().unwrap()]).unwrap_err();
    assert!(missing.to_string().contains(&dir.path().join("not-there").display().to_string()), "{missing}");
    assert_eq!(exit_code(&missing), 78);
}

#[test]
fn exit_codes_tell_configuration_from_the_rest() {
    let config = serve_options(&["--http", "0.0.0.0:80"]).unwrap_err();
    assert_eq!(exit_code(&config), 78);
    let config = serve_options(&["--config", "/nonexistent/tidegate.toml"]).unwrap_err();
    assert_eq!(exit_code(&config), 78);
    assert_eq!(exit_code(&anyhow::anyhow!("else")), 1);
}

#[test]
fn every_command_has_an_example() {
    fn check(command: &clap::Command) {
        let leaves: Vec<_> = command.get_subcommands().filter(|command| command.get_name() != "help").collect();
        if leaves.is_empty() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example:"), "{} has no example", command.get_name());
        }
        leaves.into_iter().for_each(check);
    }
    check(&Cli::command());
}
