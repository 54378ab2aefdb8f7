//! Where a ZooKeeper is: `host:port,host:port/path`, as ZooKeeper's clients and Kafka's
//! `zookeeper.connect` take it.

use std::fmt::{self, Display, Formatter};

use crate::write::carry_out::check_path;

/// ZooKeeper's port, where none is given.
const PORT: u16 = 2181;

/// Servers that one may name.
const SERVERS_MAX: usize = 64;

/// The servers of one ZooKeeper, and the path below which everything is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    hosts: Vec<(String, u16)>,
    chroot: String,
}

impl Servers {
    /// Takes a connect string apart. The path goes for all servers and stands behind the last one.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed =
            || "host:port, several after commas, and perhaps a /path behind the last".to_owned();
        let text = text.trim();
        let (servers, path) = match text.find('/') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        // A single slash is no path.
        let chroot = if path == "/" { "" } else { path };
        if !chroot.is_empty() && check_path(chroot).is_err() {
            return Err(allowed());
        }
        let servers = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
        let hosts: Option<Vec<_>> = servers.map(host_and_port).collect();
        match hosts {
            Some(hosts) if !hosts.is_empty() && hosts.len() <= SERVERS_MAX => {
                Ok(Self { hosts, chroot: chroot.to_owned() })
            }
            _ => Err(allowed()),
        }
    }

    /// Host names or addresses (without brackets), and ports. Never empty.
    pub fn hosts(&self) -> &[(String, u16)] {
        &self.hosts
    }

    /// The path below which everything is to be; empty for the root.
    pub fn chroot(&self) -> &str {
        &self.chroot
    }
}

impl Display for Servers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        f.write_str(&self.chroot)
    }
}

/// An IPv6 address may stand in brackets.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':');
    if host.is_empty() || !host.chars().all(allowed) {
        return None;
    }
    let port = match port {
        None => PORT,
        // Digits only: Rust's parser would take a plus sign.
        Some(port) if port.chars().all(|c| c.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port != 0)?
        }
        Some(_) => return None,
    };
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_string_is_taken_apart() {
        for (text, shown, chroot) in [
            ("localhost", "localhost:2181", ""),
            ("zk1:2181, zk2:2182,/kafka/a", "zk1:2181,zk2:2182/kafka/a", "/kafka/a"),
            (" [::1]:2183/ ", "[::1]:2183", ""),
            ("[fe80::1%eth0]", "[fe80::1%eth0]:2181", ""),
        ] {
            let servers = Servers::parse(text).unwrap();
            assert_eq!((servers.to_string().as_str(), servers.chroot()), (shown, chroot));
            assert_eq!(Servers::parse(&servers.to_string()), Ok(servers));
        }
        for text in [
            "", ":", ":1", ",", "/kafka", "a:x", "a:0", "a:+1", "a:99999", "a b:1", "a:1/b/",
            "a:1//b", "a:1/../b", "[::1", "[::1]2", "a:",
        ] {
            Servers::parse(text).unwrap_err();
        }
        Servers::parse(&vec!["a"; 65].join(",")).unwrap_err();
    }
}
