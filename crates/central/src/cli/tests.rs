//! Flags, precedence and exit codes.
#![allow(clippy::unwrap_used)]

use clap::CommandFactory;

use super::*;

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

fn serve_options(arguments: &[&str]) -> Result<ServeOptions, ReadConfigError> {
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
}

#[test]
fn exit_codes_tell_configuration_from_the_rest() {
    let config = anyhow::Error::new(serve_options(&["--http", "0.0.0.0:80"]).unwrap_err());
    assert_eq!(exit_code(&config), 78);
    let config = anyhow::Error::new(serve_options(&["--config", "/nonexistent/tidegate.toml"]).unwrap_err());
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
