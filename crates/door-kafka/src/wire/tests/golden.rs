//! The bytes of another implementation, kafka-python 3.0.12, 1.4.7 for versions that it dropped, and
//! Java's kafka-clients 4.1.1 and 4.4.0 for what it does not know: `golden/*.txt`.

use bytes::Bytes;

use super::{fetch, produce, unhex};
use crate::wire::messages::CASES;
use crate::wire::{Reader, fetch::FetchRequest, produce::ProduceRequest};

mod requests;
mod responses;

/// The frame named so in `frames.txt`.
fn frame(name: &str, version: i16) -> Bytes {
    let start = format!("{name} {version} ");
    let line = include_str!("golden/frames.txt").lines().find(|line| line.starts_with(&start));
    unhex(line.unwrap().strip_prefix(&start).unwrap())
}

/// Every line of `all.txt`: the message, its versions, its bytes.
fn all() -> impl Iterator<Item = (&'static str, i16, Bytes)> {
    let lines = include_str!("golden/all.txt").lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let versions = words.next().unwrap().split(',');
        let bytes = unhex(words.next().unwrap());
        versions.map(move |version| (name, version.parse().unwrap(), bytes.clone()))
    })
}

#[test]
fn every_message_in_every_version_is_read_and_written_alike() {
    let mut seen = std::collections::BTreeSet::new();
    for (name, version, bytes) in all() {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let mut r = Reader::new(bytes.clone());
        let again = (case.decode)(&mut r, version);
        assert_eq!(again, Ok(bytes), "{name} v{version}");
        assert_eq!(r.remaining(), 0, "{name} v{version}");
        seen.insert((name, version));
    }
    for case in CASES.iter().filter(|case| case.key.is_some()) {
        for version in case.min..=case.max {
            assert!(seen.contains(&(case.name, version)), "{} v{version} has no bytes", case.name);
        }
    }
}

#[test]
fn produce_and_fetch_by_hand_read_what_the_generated_messages_read() {
    for (name, version, bytes) in all() {
        let mut r = Reader::new(bytes.clone());
        match name {
            "ProduceRequest" => {
                let request = ProduceRequest::decode(&mut r, version).unwrap();
                assert_eq!(produce::generated(&request), produce::decoded(bytes, version));
            }
            "FetchRequest" => {
                let request = FetchRequest::decode(&mut r, version).unwrap();
                fetch::assert_same(&request, &fetch::decoded(bytes, version));
            }
            _ => continue,
        }
        assert_eq!(r.remaining(), 0, "{name} v{version}");
    }
}
