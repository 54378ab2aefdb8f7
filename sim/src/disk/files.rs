//! What is in one file: as the operating system has it, and on stable storage.

use std::collections::BTreeSet;
use std::io;

use crate::random::Dice;

/// What the hardware writes whole or not at all.
const SECTOR: usize = 512;

/// One file's bytes.
#[derive(Debug, Default)]
pub(super) struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that were written and not synced.
    dirty: BTreeSet<usize>,
    pub(super) locked: bool,
}

/// What a sync promises: these sectors, and the length.
#[derive(Debug)]
pub(super) struct Promised {
    sectors: Vec<usize>,
    length: usize,
}

impl Content {
    pub(super) fn length(&self) -> u64 {
        self.cached.len() as u64
    }

    pub(super) fn read(&self, out: &mut [u8], position: u64) -> io::Result<()> {
        let from = usize::try_from(position).map_err(io::Error::other)?;
        let bytes = self.cached.get(from..from.saturating_add(out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8], position: u64) {
        let Ok(from) = usize::try_from(position) else { return };
        let to = from + bytes.len();
        if self.cached.len() < to {
            self.cached.resize(to, 0);
        }
        if let Some(place) = self.cached.get_mut(from..to) {
            place.copy_from_slice(bytes);
            self.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
        }
    }

    pub(super) fn set_length(&mut self, bytes: u64) {
        let Ok(length) = usize::try_from(bytes) else { return };
        // What is cut off and comes again is zero, and was not so on stable storage.
        let shorter = self.cached.len().min(length);
        self.cached.resize(length, 0);
        let end = self.durable.len().div_ceil(SECTOR);
        self.dirty.extend(shorter / SECTOR..end.max(shorter / SECTOR));
    }

    pub(super) fn dirty(&self) -> Promised {
        Promised { sectors: self.dirty.iter().copied().collect(), length: self.cached.len() }
    }

    pub(super) fn sync(&mut self) {
        let all = self.dirty();
        self.sync_some(&all);
    }

    pub(super) fn sync_some(&mut self, promised: &Promised) {
        // Not longer than it is by now.
        self.durable.resize(promised.length.min(self.cached.len()), 0);
        for sector in &promised.sectors {
            self.dirty.remove(sector);
            self.keep(*sector);
        }
    }

    /// A sync failed: some of it reached the disk, and the rest never will by itself.
    pub(super) fn lose(&mut self, promised: &Promised, dice: &Dice) {
        for sector in &promised.sectors {
            self.dirty.remove(sector);
            if dice.one_in(2) {
                self.keep(*sector);
            }
        }
    }

    /// Writes one sector to stable storage, as far as the file reaches there.
    fn keep(&mut self, sector: usize) {
        let from = sector * SECTOR;
        let to = (from + SECTOR).min(self.cached.len()).min(self.durable.len());
        if let (Some(new), Some(old)) = (self.cached.get(from..to), self.durable.get_mut(from..to))
        {
            old.copy_from_slice(new);
        }
    }

    pub(super) fn cut_power(&mut self, dice: &Dice) {
        let dirty: Vec<usize> = std::mem::take(&mut self.dirty).into_iter().collect();
        if self.durable.len() != self.cached.len() && dice.one_in(2) {
            self.durable.resize(self.cached.len(), 0);
        }
        // All of it, none of it, or any of it.
        let fate = dice.below(4);
        for sector in dirty {
            let kept = match fate {
                0 => false,
                1 => true,
                _ => dice.one_in(2),
            };
            if kept {
                self.keep(sector);
            }
        }
        self.cached.clone_from(&self.durable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_stays_and_what_was_not_is_as_it_was_or_as_it_became() {
        let (mut lost, mut kept) = (0, 0);
        for seed in 0..64 {
            let mut file = Content::default();
            file.write(&[1; 4 * SECTOR], 0);
            file.sync();
            file.write(&[2; 2 * SECTOR], SECTOR as u64);
            file.cut_power(&Dice::new(seed));
            let mut bytes = vec![0; 4 * SECTOR];
            file.read(&mut bytes, 0).unwrap();
            let sectors: Vec<u8> = bytes.chunks(SECTOR).map(|sector| sector[0]).collect();
            assert!(bytes.chunks(SECTOR).all(|sector| sector.iter().all(|b| *b == sector[0])));
            assert_eq!((sectors[0], sectors[3]), (1, 1), "seed {seed}");
            lost += sectors.iter().filter(|b| **b == 1).count() - 2;
            kept += sectors.iter().filter(|b| **b == 2).count();
        }
        assert!(lost > 20 && kept > 20, "{lost} lost, {kept} kept");
    }

    #[test]
    fn what_a_failed_sync_lost_no_later_one_brings_back() {
        let lost = (0..64).filter(|seed| {
            let mut file = Content::default();
            file.write(&[1; SECTOR], 0);
            file.sync();
            file.write(&[2; SECTOR], 0);
            let promised = file.dirty();
            file.lose(&promised, &Dice::new(*seed));
            file.sync();
            let mut now = [0];
            file.read(&mut now, 0).unwrap();
            assert_eq!(now, [2], "the system shows what it has");
            file.cut_power(&Dice::new(1));
            file.read(&mut now, 0).unwrap();
            now == [1]
        });
        assert!((10..54).contains(&lost.count()));
    }
}
