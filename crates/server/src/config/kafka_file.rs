//! From the keys of `server.properties` to ours.

use std::collections::BTreeMap;

use door_kafka::jaas::Module;
use door_zookeeper::Servers;

use super::kafka_keys::{self, Convert, KAFKA_KEYS, KafkaKey, Meaning, Part};
use super::keys;
use super::listeners::Address;
use super::origin::{ConfigError, Notice, Origin, nearest};
use super::security::is_per_listener;
use super::sources::{Collected, Given, Setting};

/// Translates all keys of one source. Their order does not matter; where a key is given twice, the
/// last one counts.
pub(crate) fn translate(given: Vec<Given>, out: &mut Collected) {
    let mut parts: BTreeMap<Part, Given> = BTreeMap::new();
    let mut used = Used::default();
    let (of_listeners, given) = given.into_iter().partition(|given| scope(&given.key).is_some());
    of_one_listener(of_listeners, out);
    let mut rows = rows_in_table_order(given, out);
    rows.sort_by_key(|(position, _, _)| *position);
    for (_, row, given) in rows {
        match &row.meaning {
            Meaning::Sets(ours, convert) => sets(ours, convert, None, given, &mut used, out),
            Meaning::Takes(part, _) => {
                parts.insert(*part, given);
            }
            Meaning::Nothing(check, why) => match check.check(&given.value) {
                Ok(()) => out.notice(&given, format!("has no effect here: {why}")),
                Err(allowed) => out.bad(given, allowed),
            },
            Meaning::Refused(unless, why) => refuse(unless, why, given, out),
        }
    }
    broker_id(&mut parts, out);
    data_dir(&mut parts, out);
    listeners(&mut parts, out);
    roles(&mut parts, out);
    zookeeper(&mut parts, out);
}

/// Which keys set what, for each listener that has its own: the first one counts.
type Used = BTreeMap<(Option<String>, &'static str), String>;

fn sets(
    ours: &'static str,
    convert: &Convert,
    listener: Option<String>,
    given: Given,
    used: &mut Used,
    out: &mut Collected,
) {
    // Of two login modules, only PLAIN's names users: the other must not get in its way.
    if matches!(convert, Convert::Users) && !names_users(&given, out) {
        return;
    }
    let slot = (listener, ours);
    if let Some(first) = used.get(&slot) {
        return out.notice(&given, format!("has no effect: {first} is set, which goes first"));
    }
    used.insert(slot.clone(), given.key.clone());
    set(ours, convert, slot.0, given, out);
}

/// The listener and the key of `listener.name.LISTENER.[MECHANISM.]key`.
fn scope(key: &str) -> Option<(&str, &str)> {
    let rest = key.strip_prefix("listener.name.")?;
    // A listener's name may have dots in it: the shortest one that leaves a key of Kafka's.
    let mut dots = rest.match_indices('.').map(|(at, _)| at).filter(|at| *at > 0);
    let (listener, key) = dots
        .find_map(|at| {
            let (listener, key) = (&rest[..at], &rest[at + 1..]);
            kafka_keys::find(without_mechanism(key)).map(|_| (listener, key))
        })
        .or_else(|| rest.split_once('.'))?;
    Some((listener, without_mechanism(key)))
}

/// Settings of one mechanism are taken as the listener's: here, only one mechanism has each.
fn without_mechanism(key: &str) -> &str {
    let mechanisms = ["plain.", "scram-sha-256.", "scram-sha-512.", "oauthbearer.", "gssapi."];
    mechanisms.iter().find_map(|mechanism| key.strip_prefix(mechanism)).unwrap_or(key)
}

/// Keys for one listener alone.
fn of_one_listener(given: Vec<Given>, out: &mut Collected) {
    let mut last: BTreeMap<String, Given> = BTreeMap::new();
    for entry in given {
        last.insert(entry.key.clone(), entry);
    }
    let mut rows = Vec::new();
    for entry in last.into_values() {
        let Some((listener, key)) = scope(&entry.key) else { continue };
        let position = |row: &KafkaKey| KAFKA_KEYS.iter().position(|other| other.name == row.name);
        let row = kafka_keys::find(key).map(|row| (position(row), row));
        rows.push((row, listener.to_ascii_uppercase(), entry));
    }
    rows.sort_by_key(|(row, _, _)| row.map(|(position, _)| position));
    let mut used = Used::default();
    for (row, listener, given) in rows {
        match row.map(|(_, row)| &row.meaning) {
            Some(Meaning::Sets(ours, convert)) if keys::find(ours).is_some_and(is_per_listener) => {
                sets(ours, convert, Some(listener), given, &mut used, out);
            }
            Some(Meaning::Nothing(check, why)) => match check.check(&given.value) {
                Ok(()) => out.notice(&given, format!("has no effect here: {why}")),
                Err(allowed) => out.bad(given, allowed),
            },
            Some(Meaning::Refused(unless, why)) => refuse(unless, why, given, out),
            Some(Meaning::Sets(..) | Meaning::Takes(..)) | None => {
                out.errors.push(ConfigError::Unsupported {
                    key: given.key,
                    why: kafka_keys::NO_LISTENER_KEYS.to_owned(),
                    origin: given.origin,
                });
            }
        }
    }
}

/// Whether a login module's line names users of `PLAIN`. Others name the broker itself, which logs in
/// nowhere.
fn names_users(given: &Given, out: &mut Collected) -> bool {
    match Module::parse(&given.value) {
        Some(module) if module.users().is_empty() => {
            let text = "has no effect here: it names no users of PLAIN (user_NAME), and a broker \
                        that runs alone logs in nowhere";
            out.notice(given, text.to_owned());
            false
        }
        // What is no such line is refused where it is set.
        _ => true,
    }
}

type Row = (usize, &'static KafkaKey, Given);

/// Finds each key's row and reports unknown and repeated keys.
fn rows_in_table_order(given: Vec<Given>, out: &mut Collected) -> Vec<Row> {
    let mut last: BTreeMap<String, Given> = BTreeMap::new();
    for entry in given {
        if let Some(earlier) = last.insert(entry.key.clone(), entry.clone()) {
            out.notice(&earlier, format!("is set again at {}; the last one counts", entry.origin));
        }
    }
    let mut rows = Vec::new();
    for entry in last.into_values() {
        match kafka_keys::find(&entry.key) {
            Some(row) => {
                let position = KAFKA_KEYS.iter().position(|other| other.name == row.name);
                rows.push((position.unwrap_or_default(), row, entry));
            }
            None => {
                let known = KAFKA_KEYS.iter().map(|row| row.name).filter(|n| !n.ends_with('.'));
                out.errors.push(ConfigError::UnknownKey {
                    nearest: nearest(&entry.key, known).map(str::to_owned),
                    key: entry.key,
                    origin: entry.origin,
                });
            }
        }
    }
    rows
}

fn set(
    ours: &'static str,
    convert: &Convert,
    listener: Option<String>,
    given: Given,
    out: &mut Collected,
) {
    let value = match convert {
        Convert::Same => given.value.clone(),
        Convert::Times(factor) => match given.value.trim().parse::<i64>() {
            Ok(n) if n < 0 => n.to_string(),
            Ok(n) if n.checked_mul(*factor).is_some() => (n * factor).to_string(),
            _ => return out.bad(given, format!("a whole number up to {}", i64::MAX / factor)),
        },
        Convert::Rate => match given.value.trim().parse::<f64>() {
            Ok(rate) if rate >= i64::MAX as f64 => "-1".to_owned(),
            Ok(rate) if rate >= 0.0 => rate.ceil().max(1.0).to_string(),
            _ => return out.bad(given, "a number from 0 up".to_owned()),
        },
        Convert::AtMost(most) => match given.value.trim().parse::<i64>() {
            Ok(n) if n > *most => {
                out.notice(&given, format!("is taken as {most}, the most that is supported"));
                most.to_string()
            }
            _ => given.value.clone(),
        },
        Convert::ZeroIsNone if given.value.trim() == "0" => "-1".to_owned(),
        Convert::ZeroIsNone | Convert::Users => given.value.clone(),
        Convert::FileUrl => match given.value.trim().strip_prefix("file:") {
            // `file:/a` and `file:///a` are the same file.
            Some(rest) => format!("/{}", rest.trim_start_matches('/')),
            None => {
                let allowed = "a file: URL. Nothing is fetched over the network here: have the \
                               issuer's key set (JWKS) fetched into a file, which is read again \
                               when it changes";
                return out.bad(given, allowed.to_owned());
            }
        },
        Convert::Words(words) => {
            let word = words.iter().find(|(word, _)| *word == given.value.trim());
            let Some((_, value)) = word else { return out.bad(given, convert.words()) };
            (*value).to_owned()
        }
    };
    out.set_for(listener, ours, value, given);
}

fn refuse(unless: &[&str], why: &str, given: Given, out: &mut Collected) {
    let value = given.value.trim();
    if unless.iter().any(|harmless| harmless.eq_ignore_ascii_case(value)) {
        out.notice(&given, "has no effect here: it asks for nothing that is not so already".into());
    } else {
        out.errors.push(ConfigError::Unsupported {
            key: given.key,
            why: why.to_owned(),
            origin: given.origin,
        });
    }
}

fn broker_id(parts: &mut BTreeMap<Part, Given>, out: &mut Collected) {
    let is_set = |given: &Given| given.value.trim() != "-1";
    let broker = parts.remove(&Part::BrokerId).filter(is_set);
    let node = parts.remove(&Part::NodeId).filter(is_set);
    if let (Some(broker), Some(node)) = (&broker, &node)
        && broker.value.trim() != node.value.trim()
    {
        out.errors.push(ConfigError::Conflict {
            key: node.key.clone(),
            why: format!(
                "is {}, but broker.id at {} is {}; keep one of them",
                node.value.trim(),
                broker.origin,
                broker.value.trim()
            ),
            origin: node.origin.clone(),
        });
    }
    if let Some(given) = broker.or(node) {
        out.set("broker.id", given.value.clone(), given);
    }
}

fn data_dir(parts: &mut BTreeMap<Part, Given>, out: &mut Collected) {
    let dirs = parts.remove(&Part::LogDirs);
    let dir = parts.remove(&Part::LogDir);
    if let (Some(dirs), Some(dir)) = (&dirs, &dir) {
        out.notice(dir, format!("has no effect: {} is set, which goes first", dirs.key));
    }
    let Some(given) = dirs.or(dir) else { return };
    let folders = keys::list(&given.value);
    let Some(first) = folders.first() else {
        return out.bad(given, "a folder".to_owned());
    };
    if folders.len() > 1 {
        out.notice(
            &given,
            format!(
                "only one data folder is supported; {first} is used and {} is not",
                folders[1..].join(", ")
            ),
        );
    }
    out.set("storage.dir", first.clone(), given);
}

/// Listeners, without those of the controller quorum that this broker does not have.
fn listeners(parts: &mut BTreeMap<Part, Given>, out: &mut Collected) {
    let names = parts.remove(&Part::ControllerNames);
    let controllers: Vec<String> = names
        .as_ref()
        .map(|given| keys::list(&given.value.to_ascii_uppercase()))
        .unwrap_or_default();
    if let Some(given) = &names {
        out.notice(given, "these listeners are not opened: one broker keeps its own metadata; there is no controller quorum to reach".into());
    }
    let is_ours = |text: &String| {
        Address::parse(text).is_none_or(|address| !controllers.contains(&address.name))
    };
    let ours = |given: &Given| -> Vec<String> {
        keys::list(&given.value).into_iter().filter(is_ours).collect()
    };
    let (host, port) = (parts.remove(&Part::HostName), parts.remove(&Part::Port));
    match parts.remove(&Part::Listeners) {
        Some(given) => {
            for unused in [&host, &port].into_iter().flatten() {
                out.notice(unused, "has no effect: listeners is set, which goes first".into());
            }
            let kept = ours(&given);
            if kept.is_empty() {
                out.bad(given, "at least one listener that is not the controller's".to_owned());
            } else {
                out.set("kafka.listeners", kept.join(","), given);
            }
        }
        None => old_listener(host, port.as_ref(), out),
    }
    let (old_host, old_port) =
        (parts.remove(&Part::AdvertisedHost), parts.remove(&Part::AdvertisedPort));
    match parts.remove(&Part::Advertised) {
        Some(given) => {
            for unused in [&old_host, &old_port].into_iter().flatten() {
                let text = "has no effect: advertised.listeners is set, which goes first";
                out.notice(unused, text.into());
            }
            out.set("kafka.advertised_listeners", ours(&given).join(","), given);
        }
        None => old_advertised(old_host, old_port, port.as_ref(), out),
    }
    if let Some(given) = parts.remove(&Part::SecurityMap) {
        out.set("kafka.listener_security", given.value.clone(), given);
    }
}

/// `host.name` and `port`, which Kafka knew before 3.0.
fn old_listener(host: Option<Given>, port: Option<&Given>, out: &mut Collected) {
    match (host, port) {
        (Some(host), port) => {
            let number = port.map_or("9092", |port| port.value.trim());
            let text = format!("PLAINTEXT://{}:{number}", host.value.trim());
            out.set("kafka.listeners", text, host);
        }
        (None, Some(port)) => out.set("kafka.port", port.value.clone(), port.clone()),
        (None, None) => {}
    }
}

/// `advertised.host.name` and `advertised.port`, which Kafka knew before 3.0.
fn old_advertised(
    host: Option<Given>,
    port: Option<Given>,
    listening: Option<&Given>,
    out: &mut Collected,
) {
    let number = port.as_ref().or(listening).map_or("9092", |port| port.value.trim());
    let name = host.as_ref().map_or("localhost", |host| host.value.trim());
    let text = format!("PLAINTEXT://{name}:{number}");
    if let Some(given) = host.or(port) {
        out.set("kafka.advertised_listeners", text, given);
    }
}

fn roles(parts: &mut BTreeMap<Part, Given>, out: &mut Collected) {
    let Some(given) = parts.remove(&Part::Roles) else { return };
    let roles = keys::list(&given.value);
    let known = roles.iter().all(|role| role == "broker" || role == "controller");
    if roles.is_empty() && given.value.trim().is_empty()
        || known && roles.contains(&"broker".into())
    {
        out.notice(
            &given,
            "has no effect here: this process is always broker and controller in one".into(),
        );
    } else {
        out.bad(given, "broker or broker,controller; there are no separate controllers".to_owned());
    }
}

/// A loopback address alone is taken as the place where clients of this machine expect ZooKeeper:
/// the stock file has it, and there is a ZooKeeper only if somebody started one.
fn zookeeper(parts: &mut BTreeMap<Part, Given>, out: &mut Collected) {
    if let Some(given) = parts.remove(&Part::ZookeeperSession) {
        out.set("registration.session_timeout_ms", given.value.clone(), given.clone());
        out.set("zookeeper.session_timeout_max_ms", given.value.clone(), given);
    }
    let Some(given) = parts.remove(&Part::ZookeeperConnect) else { return };
    let servers = match Servers::parse(&given.value) {
        Ok(servers) => servers,
        Err(allowed) => return out.bad(given, allowed),
    };
    match servers.hosts() {
        [(host, port)] if is_loopback(host) && servers.chroot().is_empty() => {
            out.set("registration.if_port_taken", "true".to_owned(), given.clone());
            out.set("zookeeper.port", port.to_string(), given);
        }
        _ => out.set("registration.zookeeper", servers.to_string(), given),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Collected {
    fn notice(&mut self, given: &Given, text: String) {
        self.notices.push(Notice { key: given.key.clone(), origin: given.origin.clone(), text });
    }

    fn bad(&mut self, given: Given, allowed: String) {
        let Given { key, value, origin } = given;
        self.errors.push(ConfigError::BadValue { key, value, allowed, origin });
    }

    fn set(&mut self, ours: &'static str, value: String, given: Given) {
        self.set_for(None, ours, value, given);
    }

    fn set_for(
        &mut self,
        listener: Option<String>,
        ours: &'static str,
        value: String,
        given: Given,
    ) {
        let Given { key: given_as, origin, .. } = given;
        if let Some(key) = keys::find(ours) {
            self.settings.push(Setting { key, value, listener, given_as, origin });
        }
    }
}

/// Reads a file of this format.
pub(crate) fn read(path: &std::path::Path, bytes: &[u8], out: &mut Collected) {
    let (entries, malformed) = door_kafka::properties::parse(bytes);
    let origin = |line| Origin::File { path: path.to_owned(), line };
    for bad in malformed {
        out.errors.push(ConfigError::Syntax { origin: origin(bad.line), what: bad.what.into() });
    }
    let given = entries
        .into_iter()
        .map(|entry| Given { key: entry.key, value: entry.value, origin: origin(entry.line) })
        .collect();
    translate(given, out);
}

#[cfg(test)]
mod tests;
