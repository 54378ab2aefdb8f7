//! What is known of a listener's open connections besides what they do: for those who look. There may be very many, so of each as
//! little as may be is kept: 64 bytes, and what was said of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::Principal;
use observe::trace::Who;
use tokio::time::Instant;

use crate::Stats;

/// Longest value, in bytes; what clients say of themselves may be longer.
const VALUE_BYTES_MAX: usize = 256;

/// What its door says of a connection. Clones are the same; of a connection that is over nothing is said.
#[derive(Debug, Clone, Default)]
pub struct About(Option<(Arc<Stats>, Place)>);

impl About {
    pub(crate) fn new(stats: &Arc<Stats>, place: Place) -> Self {
        Self(Some((Arc::clone(stats), place)))
    }

    /// Says who it is, if that is known.
    pub fn user(&self, principal: &Principal) {
        if *principal != Principal::anonymous() {
            self.say("user", &principal.name);
        }
    }

    /// Says something else; nothing, where the value is empty.
    pub fn say(&self, name: &'static str, value: &str) {
        let Some((stats, place)) = self.0.as_ref().filter(|_| !value.is_empty()) else { return };
        let value = value.get(..value.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or_default();
        if matches!(name, "client_id" | "client") {
            Who::call_current(value);
        }
        stats.connections.lock().say(*place, name, value);
    }
}

/// Where a connection stands among the open ones. Its number is no other connection's, before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    slot: usize,
    number: u64,
}

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Connections {
    begun: Instant,
    next: u64,
    slots: Vec<Slot>,
    /// Slots without a connection.
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    number: u64,
    open: Option<Open>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) peer: SocketAddr,
    /// In seconds since the listener began.
    since: u32,
    /// What was said of it.
    pub(crate) facts: Box<[(&'static str, Box<str>)]>,
}

impl Default for Connections {
    fn default() -> Self {
        Self { begun: Instant::now(), next: 0, slots: Vec::new(), free: Vec::new() }
    }
}

impl Connections {
    /// One more, from there.
    pub(crate) fn add(&mut self, peer: SocketAddr) -> Place {
        let (number, since) = (self.next, self.seconds());
        self.next += 1;
        let new = Slot { number, open: Some(Open { peer, since, facts: Box::default() }) };
        let free = self.free.pop();
        let slot = free.unwrap_or(self.slots.len());
        match self.slots.get_mut(slot) {
            Some(known) => *known = new,
            None => self.slots.push(new),
        }
        Place { slot, number }
    }

    /// It is over.
    pub(crate) fn remove(&mut self, place: Place) {
        if let Some(slot) = self.slots.get_mut(place.slot).filter(|slot| slot.is(place)) {
            slot.open = None;
            self.free.push(place.slot);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Each with its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Open)> {
        self.slots.iter().filter_map(|slot| Some((slot.number, slot.open.as_ref()?)))
    }

    /// How long it is there, to the second.
    pub(crate) fn age(&self, open: &Open) -> Duration {
        Duration::from_secs(u64::from(self.seconds().saturating_sub(open.since)))
    }

    fn seconds(&self) -> u32 {
        u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn say(&mut self, place: Place, name: &'static str, value: &str) {
        let slot = self.slots.get_mut(place.slot).filter(|slot| slot.is(place));
        let Some(open) = slot.and_then(|slot| slot.open.as_mut()) else { return };
        if let Some((_, known)) = open.facts.iter_mut().find(|(known, _)| *known == name) {
            *known = value.into();
            return;
        }
        let mut facts = std::mem::take(&mut open.facts).into_vec();
        facts.reserve_exact(1);
        facts.push((name, value.into()));
        open.facts = facts.into_boxed_slice();
    }
}

impl Slot {
    fn is(&self, place: Place) -> bool {
        self.number == place.number && self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn said(stats: &Stats) -> Vec<(u64, Vec<(&'static str, String)>)> {
        let connections = stats.connections.lock();
        let facts = |open: &Open| {
            open.facts.iter().map(|(name, value)| (*name, value.to_string())).collect()
        };
        connections.iter().map(|(number, open)| (number, facts(open))).collect()
    }

    #[test]
    fn what_is_said_last_counts_and_is_not_long() {
        let stats = Arc::<Stats>::default();
        let place = stats.connections.lock().add(peer(1));
        let about = About::new(&stats, place);
        about.say("user", "");
        about.user(&Principal::anonymous());
        assert_eq!(said(&stats), [(0, vec![])]);
        about.user(&Principal::user("a"));
        let same = [about.clone(), about];
        same[0].user(&Principal::user("b"));
        same[1].say("client_id", &"ä".repeat(1000));
        let expected = vec![("user", "b".to_owned()), ("client_id", "ä".repeat(128))];
        assert_eq!(said(&stats), [(0, expected)]);
        About::default().say("user", "nobody looks");
    }

    #[test]
    fn what_is_said_of_one_that_is_over_is_not_said_of_the_next() {
        let stats = Arc::<Stats>::default();
        let places = [1, 2].map(|port| stats.connections.lock().add(peer(port)));
        let about = About::new(&stats, places[0]);
        stats.connections.lock().remove(places[0]);
        stats.connections.lock().remove(places[0]);
        let next = stats.connections.lock().add(peer(3));
        assert_eq!((next.slot, next.number), (places[0].slot, 2), "its place is used again");
        about.say("client_id", "late");
        assert_eq!(said(&stats), [(2, vec![]), (1, vec![])]);
        assert_eq!(stats.connections.lock().count(), 2);
    }

    #[test]
    fn one_of_which_nothing_is_said_takes_64_bytes() {
        assert_eq!(size_of::<Slot>(), 64);
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_it_is_there_is_known() {
        let mut connections = Connections::default();
        tokio::time::advance(Duration::from_secs(5)).await;
        connections.add(peer(1));
        tokio::time::advance(Duration::from_secs(7)).await;
        let (_, open) = connections.iter().next().unwrap();
        assert_eq!(connections.age(open), Duration::from_secs(7));
    }
}
