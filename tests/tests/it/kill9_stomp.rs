//! SIGKILL under STOMP clients, again and again: what had its receipt is there, and what was acknowledged with one does not
//! come again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tests::{PATIENCE, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};
use crate::wires::stomp::Stomp;

const QUEUE: &[u8] = b"/queue/kill9";

/// Messages of a publisher that have no receipt yet.
const WINDOW: u64 = 50;

/// What publishers know in the end.
#[derive(Debug, Default)]
struct Published {
    /// The number of the next message.
    next: u64,
    stored: BTreeSet<u64>,
}

/// What consumers know in the end.
#[derive(Debug, Default)]
struct Consumed {
    seen: BTreeSet<u64>,
    /// Those whose acknowledgement had its receipt.
    settled: BTreeSet<u64>,
}

/// Publishes numbers until the connection is gone.
fn publisher(port: u16, mut done: Published, heard: Arc<AtomicU64>) -> JoinHandle<Published> {
    std::thread::spawn(move || {
        let mut client = Stomp::connect(port).unwrap();
        let mut waits = 0;
        let mut run = |done: &mut Published| -> std::io::Result<()> {
            loop {
                while waits < WINDOW {
                    let number = done.next.to_string();
                    done.next += 1;
                    waits += 1;
                    let headers = [("destination", QUEUE), ("receipt", number.as_bytes())];
                    client.say("SEND", &headers, number.as_bytes())?;
                }
                let told = client.next()?;
                assert_eq!(told.command, "RECEIPT", "{told:?}");
                done.stored.insert(told.get("receipt-id").parse().unwrap());
                heard.fetch_add(1, Ordering::Relaxed);
                waits -= 1;
            }
        };
        run(&mut done).expect_err("only a broken connection ends it");
        done
    })
}

/// Takes and acknowledges until the connection is gone, or until all of `wanted` was seen at some time.
fn consumer(port: u16, mut done: Consumed, wanted: Option<&BTreeSet<u64>>) -> JoinHandle<Consumed> {
    let ends = wanted.is_some();
    let mut missing: BTreeSet<u64> =
        wanted.into_iter().flat_map(|wanted| wanted.difference(&done.seen)).copied().collect();
    std::thread::spawn(move || {
        let mut client = Stomp::connect(port).unwrap();
        let individually: [(&str, &[u8]); 4] = [
            ("id", b"0"),
            ("destination", QUEUE),
            ("ack", b"client-individual"),
            ("prefetch-count", b"20"),
        ];
        client.say("SUBSCRIBE", &individually, b"").unwrap();
        let mut run = |done: &mut Consumed| -> std::io::Result<()> {
            while !ends || !missing.is_empty() {
                let told = client.next()?;
                match told.command.as_str() {
                    "MESSAGE" => {
                        let number = String::from_utf8(told.body.clone()).unwrap();
                        let (known, ack) = (number.parse().unwrap(), told.get("ack"));
                        assert!(!done.settled.contains(&known), "{known} comes again");
                        done.seen.insert(known);
                        missing.remove(&known);
                        let headers = [("id", ack.as_bytes()), ("receipt", number.as_bytes())];
                        client.say("ACK", &headers, b"")?;
                    }
                    "RECEIPT" => {
                        done.settled.insert(told.get("receipt-id").parse().unwrap());
                    }
                    _ => panic!("{told:?}"),
                }
            }
            Ok(())
        };
        let ended = run(&mut done);
        let first: Vec<_> = missing.iter().take(20).collect();
        assert!(!ends || ended.is_ok(), "{first:?} and maybe more never came: {ended:?}");
        done
    })
}

#[test]
fn stomp_keeps_what_had_its_receipt_whenever_the_broker_is_killed() {
    let rounds: u64 = setting("ENTREPOT_KILL_ROUNDS").unwrap_or(15);
    let seed = setting("ENTREPOT_KILL_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_KILL_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut broker = Serve::new().start();
    let port = broker.stomp();
    let heard = Arc::new(AtomicU64::new(0));
    let (mut published, mut consumed) = (Published::default(), Consumed::default());
    for round in 0..rounds {
        let before = heard.load(Ordering::Relaxed);
        let publishing = publisher(port, published, Arc::clone(&heard));
        let consuming = consumer(port, consumed, None);
        let begun = Instant::now();
        while heard.load(Ordering::Relaxed) <= before {
            assert!(begun.elapsed() < PATIENCE, "nothing is stored in round {round}");
            std::thread::sleep(Duration::from_millis(1)); // poll: for a receipt, bounded by PATIENCE
        }
        broker.lives_for(chance.up_to(200));
        broker.kill();
        published = publishing.join().expect("it knows what it knows");
        consumed = consuming.join().expect("nothing comes again");
        broker.restart();
    }
    let stored = published.stored.len();
    assert!(!consumed.settled.is_empty(), "something is acknowledged meanwhile");
    consumed = consumer(port, consumed, Some(&published.stored)).join().expect("all is there");
    println!("{stored} stored, {} acknowledged", consumed.settled.len());
    record_figure("kill9_stomp_rounds", rounds);
    record_figure("kill9_stomp_messages", u64::try_from(stored).unwrap());
}
