//! `entrepot consume`.

pub(crate) mod fetcher;
pub(crate) mod member;
mod printer;

use std::collections::BTreeMap;
use std::io::IsTerminal;

use clap::Args;

use crate::client::{Client, EARLIEST, LATEST};
use crate::progress::Progress;
use crate::{CliError, Connect};
use fetcher::Fetcher;
use member::{Joined, Member};
use printer::Printer;

/// `entrepot consume`
///
/// Prints the values, one a line; `-o table` and `-o json` also print key, partition, offset, time
/// and headers.
#[derive(Debug, Args)]
pub struct Consume {
    #[command(flatten)]
    connect: Connect,
    /// The topic
    topic: String,
    /// Where to begin: earliest, latest, an offset, or -N for the last N of each partition; with
    /// --group only where the group has no offset yet
    #[arg(long, default_value = "latest", value_parser = Begin::parse, allow_hyphen_values = true)]
    offset: Begin,
    /// The same as --offset earliest
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Read only this partition; may be repeated
    #[arg(long, short, value_name = "N", conflicts_with = "group")]
    partition: Vec<i32>,
    /// Share the topic with the other members of this group, and commit what was printed
    #[arg(long, short)]
    group: Option<String>,
    /// End after so many messages
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// End where the topic ended when this command began
    #[arg(long, short)]
    exit_at_end: bool,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    Earliest,
    Latest,
    Offset(i64),
    Last(i64),
}

impl Begin {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "earliest" | "beginning" => Ok(Self::Earliest),
            "latest" | "end" => Ok(Self::Latest),
            _ => match text.parse() {
                Ok(offset @ 0..) => Ok(Self::Offset(offset)),
                Ok(last) => Ok(Self::Last(-last)),
                Err(_) => Err("earliest, latest, an offset, or -N".to_owned()),
            },
        }
    }
}

/// The next offset to print, by partition.
pub(crate) type Positions = BTreeMap<i32, i64>;

impl Consume {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let begin = if self.from_beginning { Begin::Earliest } else { self.offset };
        let mut client = self.connect.client()?;
        // Reading a topic that is not there yet makes it, where the broker does that: a consumer
        // may be started before its producer.
        client.topic(&self.topic, true)?;
        let wanted = !std::io::stdout().is_terminal();
        let mut work = Work {
            printer: Printer::new(&self.topic, self.connect.output, self.max),
            progress: Progress::new(self.max, wanted && self.max.is_some()),
            fetcher: Fetcher::new(&self.topic),
            ends: None,
            begin,
            options: self,
            client,
        };
        let result = match work.options.group.clone() {
            Some(group) => work.as_member(&group),
            None => work.alone(),
        };
        work.printer.flush()?;
        if work.options.max.is_some() || work.options.exit_at_end {
            eprintln!("{}", work.progress.finish());
        }
        result
    }
}

struct Work {
    options: Consume,
    client: Client,
    begin: Begin,
    fetcher: Fetcher,
    printer: Printer,
    progress: Progress,
    /// Where each partition ended when we began, with `--exit-at-end`.
    ends: Option<Positions>,
}

impl Work {
    /// Reads partitions without a group.
    fn alone(&mut self) -> Result<(), CliError> {
        let topic = self.client.topic(&self.options.topic, false)?;
        let mut chosen = self.options.partition.clone();
        let all: Vec<i32> = topic.partitions.iter().map(|p| p.partition_index).collect();
        if let Some(missing) = chosen.iter().find(|partition| !all.contains(partition)) {
            return Err(CliError::new(format!(
                "topic {} has no partition {missing}: it has {}",
                self.options.topic,
                all.len()
            )));
        }
        if chosen.is_empty() {
            chosen = all;
        }
        let mut positions = self.begin_at(&chosen)?;
        self.note_ends(&chosen)?;
        while !self.is_done(&positions) {
            self.turn(&mut positions)?;
        }
        Ok(())
    }

    /// Reads the partitions that a group gives us, until it gives us others.
    fn as_member(&mut self, group: &str) -> Result<(), CliError> {
        let mut member = Member::new(&mut self.client, group, &self.options.topic)?;
        loop {
            let joined = member.join(&mut self.client)?;
            let mut positions = self.positions_of(&joined)?;
            self.note_ends(&joined.partitions)?;
            let ended = loop {
                if self.is_done(&positions) {
                    break true;
                }
                self.turn(&mut positions)?;
                if !member.commit(&mut self.client, &positions)?
                    || !member.heartbeat(&mut self.client)?
                {
                    break false;
                }
            };
            if ended {
                member.commit(&mut self.client, &positions)?;
                return Ok(member.leave(&mut self.client)?);
            }
        }
    }

    fn positions_of(&mut self, joined: &Joined) -> Result<Positions, CliError> {
        let fresh: Vec<i32> = joined
            .partitions
            .iter()
            .copied()
            .filter(|partition| !joined.committed.contains_key(partition))
            .collect();
        let mut positions = self.begin_at(&fresh)?;
        positions.extend(joined.committed.iter().map(|(partition, offset)| (*partition, *offset)));
        Ok(positions)
    }

    /// Where reading begins in these partitions.
    fn begin_at(&mut self, partitions: &[i32]) -> Result<Positions, CliError> {
        if partitions.is_empty() {
            return Ok(Positions::new());
        }
        let topic = self.client.topic(&self.options.topic, false)?;
        let latest = self.client.offsets(&topic, LATEST)?;
        let earliest = self.client.offsets(&topic, EARLIEST)?;
        let of = |offsets: &Positions, partition: &i32| {
            offsets.get(partition).copied().unwrap_or_default()
        };
        Ok(partitions
            .iter()
            .map(|partition| {
                let (begin, end) = (of(&earliest, partition), of(&latest, partition));
                let offset = match self.begin {
                    Begin::Earliest => begin,
                    Begin::Latest => end,
                    Begin::Offset(offset) => offset.clamp(begin, end.max(begin)),
                    Begin::Last(count) => end.saturating_sub(count).max(begin),
                };
                (*partition, offset)
            })
            .collect())
    }

    fn note_ends(&mut self, partitions: &[i32]) -> Result<(), CliError> {
        if self.options.exit_at_end && self.ends.is_none() {
            let topic = self.client.topic(&self.options.topic, false)?;
            let mut ends = self.client.offsets(&topic, LATEST)?;
            ends.retain(|partition, _| partitions.contains(partition));
            self.ends = Some(ends);
        }
        Ok(())
    }

    fn is_done(&self, positions: &Positions) -> bool {
        let at_end = self.ends.as_ref().is_some_and(|ends| {
            positions.iter().all(|(partition, at)| ends.get(partition).is_none_or(|end| at >= end))
        });
        at_end || self.options.max.is_some_and(|max| self.progress.records() >= max)
    }

    /// Fetches once, prints what came, and moves the positions behind it.
    fn turn(&mut self, positions: &mut Positions) -> Result<(), CliError> {
        for fetched in self.fetcher.fetch(&mut self.client, positions)? {
            for record in fetched.records {
                if self.options.max.is_some_and(|max| self.progress.records() >= max) {
                    return Ok(self.printer.flush()?);
                }
                self.printer.print(fetched.partition, &record)?;
                let size = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
                self.progress.add(1, (size(&record.key) + size(&record.value)) as u64);
                positions.insert(fetched.partition, record.offset + 1);
            }
            positions.insert(fetched.partition, fetched.next);
        }
        Ok(self.printer.flush()?)
    }
}
