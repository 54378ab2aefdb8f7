use super::*;

/// Every command with its path.
fn all(command: &clap::Command, path: &str, out: &mut Vec<(String, clap::Command)>) {
    out.push((path.to_owned(), command.clone()));
    for sub in command.get_subcommands() {
        all(sub, &format!("{path} {}", sub.get_name()), out);
    }
}

#[test]
fn the_commands_hold_together() {
    Program::command().debug_assert();
}

#[test]
fn every_command_and_every_flag_says_what_it_is_for() {
    let mut root = Program::command();
    root.build();
    let mut commands = Vec::new();
    all(&root, "entrepot", &mut commands);
    assert!(commands.len() > 20, "{}", commands.len());
    for (path, mut command) in commands {
        if path.contains(" help") {
            continue;
        }
        assert!(command.get_about().is_some(), "{path} has no description");
        let help = command.render_long_help().to_string();
        assert!(help.contains("Usage:"), "{path}: {help}");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
        }
    }
}

#[test]
fn the_flags_of_serve_are_those_of_the_configuration() {
    let line = ["entrepot", "serve", "--kafka-port", "0", "--set", "broker.id=3", "--bind", "::1"];
    let Command::Serve(flags) = Program::try_parse_from(line).unwrap().command else {
        panic!("not serve");
    };
    let config = Config::load(&flags, &Environment::default()).unwrap();
    assert_eq!((config.broker.id, config.kafka.port), (3, 0));
    assert_eq!(config.net.bind, "::1");
}

#[test]
fn examples_of_every_command_are_understood() {
    for line in [
        "topic list -o json",
        "topic create a b --partitions 3 --config retention.ms=1 --if-not-exists",
        "topic describe a --server h:1,h:2",
        "topic delete a --if-exists --broker h:1",
        "topic alter a --partitions 4 --set a=b --unset c",
        "group list --timeout 3",
        "group describe g",
        "group delete g h",
        "group reset-offsets g --topic t:0,1 --topic u --to -5 --dry-run",
        "produce t hello world --key k --header a=b --partition 0 --compression zstd --acks 1",
        "produce t --key-separator : --tombstones",
        "consume t --offset -10 --partition 0 --partition 1 --max 5 -e",
        "consume t --from-beginning --group g",
        "status -o json",
        "user list --ca ca.pem --user admin --password-file p --sasl-mechanism plain",
        "user add zoe --new-password-file p --iterations 8192 --command-config client.properties",
        "user password zoe --tls --cert c.pem --cert-key k.pem",
        "user remove zoe bob",
        "serve --secure",
        "config show --origin --config server.properties",
        "config check --set a=b",
        "config default",
        "completions fish",
    ] {
        let words = std::iter::once("entrepot").chain(line.split(' '));
        assert!(Program::try_parse_from(words).is_ok(), "{line}");
    }
    for line in [
        "topic create",
        "topic create a --partitions 0",
        "topic create a --config novalue",
        "group reset-offsets g --to nowhere",
        "produce t --compression rar",
        "produce t --key k --key-separator :",
        "consume t --offset soon",
        "consume t --group g --partition 0",
        "consume t --max 0",
        "status --timeout 0",
    ] {
        let words = std::iter::once("entrepot").chain(line.split(' '));
        assert!(Program::try_parse_from(words).is_err(), "{line}");
    }
}

#[test]
fn completions_name_the_commands() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Program::command(), "entrepot", &mut script);
        assert!(String::from_utf8(script).unwrap().contains("reset-offsets"), "{shell}");
    }
}
