//! Kafka: a producer, and a group that reads what came through all doors.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use base::{Clock, SystemClock};
use store::batch::{Compression, NewRecord};

use super::publisher::Publisher;
use super::{AGAIN, GROUP, Stage, TOPIC};
use crate::CliError;
use crate::consume::fetcher::Fetcher;
use crate::consume::member::Member;
use crate::produce::sender;

/// What the group has read.
pub(super) const READ: &str = "read by a Kafka group";
/// A member that reads nothing looks this often whether it still is one.
const IDLE: Duration = Duration::from_millis(200);

pub(super) struct Sender {
    sender: sender::Sender,
    turn: u32,
}

impl Sender {
    pub(super) fn open(stage: &Stage) -> io::Result<Self> {
        let client = stage.connect.client().map_err(io::Error::other)?;
        let sender = sender::Sender::new(client, TOPIC, Compression::None, -1);
        Ok(Self { sender: sender.map_err(io::Error::other)?, turn: 0 })
    }
}

impl Publisher for Sender {
    fn publish(&mut self, reading: &str) -> io::Result<()> {
        let partition = self.turn % self.sender.partition_count().max(1);
        self.turn = self.turn.wrapping_add(1);
        let record = NewRecord {
            timestamp: SystemClock.now(),
            key: Some(b"kafka"),
            value: Some(reading.as_bytes()),
            headers: &[],
        };
        let added = self.sender.add(i32::try_from(partition).unwrap_or_default(), &record);
        added.map_err(io::Error::other)?;
        self.sender.flush().map_err(io::Error::other).map(drop)
    }
}

/// Starts the group's member. With `stops` it reads nothing any more once there is to be a fault, and stays a member.
pub(super) fn start(stage: &Arc<Stage>, stops: bool) -> JoinHandle<()> {
    let stage = Arc::clone(stage);
    std::thread::spawn(move || {
        while !stage.is_over() {
            if let Err(error) = read(&stage, stops) {
                eprintln!("kafka: {error}; trying again");
                std::thread::sleep(AGAIN);
            }
        }
    })
}

fn read(stage: &Stage, stops: bool) -> Result<(), CliError> {
    let mut client = stage.connect.client()?;
    let mut member = Member::new(&mut client, GROUP, TOPIC)?;
    'joined: while !stage.is_over() {
        let joined = member.join(&mut client)?;
        let mut positions = joined.committed;
        for partition in joined.partitions {
            positions.entry(partition).or_insert(0);
        }
        let mut fetcher = Fetcher::new(TOPIC);
        while !stage.is_over() {
            if stops && stage.is_faulty() {
                std::thread::sleep(IDLE);
            } else {
                for fetched in fetcher.fetch(&mut client, &mut positions)? {
                    stage.count(READ, fetched.records.len() as u64);
                    positions.insert(fetched.partition, fetched.next);
                }
                if !member.commit(&mut client, &positions)? {
                    continue 'joined;
                }
            }
            if !member.heartbeat(&mut client)? {
                continue 'joined;
            }
        }
    }
    Ok(member.leave(&mut client)?)
}
