//! What operators write.

use std::collections::BTreeMap;
use std::path::Path;

use door::tls::PrincipalRules;
use door_kafka::jaas::Module;
use server::config::{Config, Environment, Flags};

use super::disk::scratch;

/// A properties file.
pub(super) fn properties(input: &[u8]) {
    let (entries, _) = door_kafka::properties::parse(input);
    for entry in entries {
        let _ = Module::parse(&entry.value).map(|module| module.class.len());
    }
    load("server.properties", input);
}

/// A TOML file.
pub(super) fn toml(input: &[u8]) {
    load("entrepot.toml", input);
}

fn load(name: &str, input: &[u8]) {
    let dir = scratch();
    let path = dir.path().join(name);
    std::fs::write(&path, input).expect("the scratch folder is writable");
    let environment = Environment { variables: BTreeMap::new(), machine: "machine".into() };
    let read = |path: &Path| {
        let flags = Flags { config: Some(path.to_owned()), ..Flags::default() };
        Config::load(&flags, &environment)
    };
    match read(&path) {
        Ok(config) => {
            // What we show of it is a file of our own with the same meaning.
            let shown = config.to_toml(false);
            std::fs::write(dir.path().join("shown.toml"), &shown).expect("as above");
            match read(&dir.path().join("shown.toml")) {
                Ok(again) => assert_eq!(again.to_toml(false), shown),
                Err(errors) => panic!("what is shown cannot be read: {errors}\n{shown}"),
            }
        }
        Err(errors) => _ = errors.to_string(),
    }
}

/// Rules, and on the second line a subject.
pub(super) fn subject_rules(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (rules, subject) = text.split_once('\n').unwrap_or((text, "CN=writer,OU=team,O=Company"));
    if let Ok(rules) = PrincipalRules::parse(rules) {
        let _ = rules.apply(subject);
    }
}
