//! Which of several consumers gets the next message.
//!
//! A [`Policy`] picks among candidates by what each one's [`Load`] says: how much it is to take compared with
//! others, what it has in flight, and how long it took lately. Everything is atomic, so that many publishers can pick at
//! once; a race makes a pick a little less fair, never wrong.

use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// How to pick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// In turn; who weighs more comes more often, evenly spread.
    #[default]
    RoundRobin,
    /// By chance, in proportion to the weights.
    Random,
    /// Who has the fewest messages in flight, compared with its weight.
    LeastInFlight,
    /// Who would be done first: by the moving average of the time that it took to acknowledge or answer, for what it has
    /// in flight and one more, compared with its weight.
    ShortestResponse,
}

/// A text that names no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not one of {names}", names = Policy::NAMES.join(", "))]
pub struct NotAPolicy(String);

impl Policy {
    /// Their names.
    pub const NAMES: [&'static str; 4] =
        ["round-robin", "random", "least-in-flight", "shortest-response"];

    const ALL: [Self; 4] =
        [Self::RoundRobin, Self::Random, Self::LeastInFlight, Self::ShortestResponse];

    /// Its name.
    pub fn name(self) -> &'static str {
        let named = Self::ALL.into_iter().zip(Self::NAMES);
        named.into_iter().find(|(policy, _)| *policy == self).map_or("", |(_, name)| name)
    }

    /// Whether it goes by what is in flight, which then has to be counted.
    pub fn counts(self) -> bool {
        matches!(self, Self::LeastInFlight | Self::ShortestResponse)
    }
}

impl FromStr for Policy {
    type Err = NotAPolicy;

    fn from_str(text: &str) -> Result<Self, NotAPolicy> {
        let mut named = Self::ALL.into_iter().zip(Self::NAMES);
        let found = named.find(|(_, name)| *name == text).map(|(policy, _)| policy);
        found.ok_or_else(|| NotAPolicy(text.to_owned()))
    }
}

/// What is known of one consumer.
#[derive(Debug)]
pub struct Load {
    weight: AtomicU32,
    /// What it is owed of the turns that there were.
    credit: AtomicI64,
    in_flight: AtomicU32,
    /// Moving average of the time that it takes, in microseconds; 0: not known yet.
    response: AtomicU64,
}

/// How much a new time counts in the average: one part of so many.
const SMOOTHING: u64 = 8;

impl Load {
    /// Of a new consumer. A weight of 0 counts as 1.
    pub fn new(weight: u32) -> Self {
        Self {
            weight: AtomicU32::new(weight.max(1)),
            credit: AtomicI64::new(0),
            in_flight: AtomicU32::new(0),
            response: AtomicU64::new(0),
        }
    }

    /// How much it takes, compared with others.
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Changes how much it takes. 0 counts as 1.
    pub fn set_weight(&self, weight: u32) {
        self.weight.store(weight.max(1), Ordering::Relaxed);
    }

    /// Messages that it got and is not done with.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long it takes, on average, in microseconds, if that is known.
    pub fn response_us(&self) -> Option<u64> {
        Some(self.response.load(Ordering::Relaxed)).filter(|response| *response > 0)
    }

    /// It got a message.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// It is done with one, after `took` microseconds; `None`: it never will be, or it is not known.
    pub fn end(&self, took_us: Option<u64>) {
        let fewer = |in_flight: u32| Some(in_flight.saturating_sub(1));
        let _ = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        let Some(took) = took_us.map(|took| took.max(1)) else { return };
        let average = |old: u64| match old {
            0 => Some(took),
            old => Some((old - old / SMOOTHING + took / SMOOTHING).max(1)),
        };
        let _ = self.response.fetch_update(Ordering::Relaxed, Ordering::Relaxed, average);
    }
}

/// Somebody who can be picked.
pub trait Candidate {
    /// What is known of it.
    fn load(&self) -> &Load;

    /// What waits for it besides what is counted as in flight.
    fn waiting(&self) -> u32 {
        0
    }
}

impl<C: Candidate + ?Sized> Candidate for std::sync::Arc<C> {
    fn load(&self) -> &Load {
        C::load(self)
    }

    fn waiting(&self) -> u32 {
        C::waiting(self)
    }
}

/// Who is next where candidates are equal.
#[derive(Debug, Default)]
pub struct Turn(AtomicUsize);

/// One pick of so many goes by turns where times decide, so that who was slow is heard of again.
const EXPLORES: usize = 32;

impl Turn {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// How many turns there were.
    pub fn place(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Undoes turns in which nobody got anything: else they, too, would decide who is next.
    pub fn back_to(&self, place: usize) {
        self.0.store(place, Ordering::Relaxed);
    }
}

impl Policy {
    /// The place of the one that gets the next message; 0 if there is none. `random` is a number by chance.
    pub fn pick<C: Candidate>(self, among: &[C], turn: &Turn, random: u64) -> usize {
        let turn = turn.next();
        match self {
            _ if among.len() < 2 => 0,
            Self::RoundRobin => in_turn(among, turn),
            Self::Random => by_chance(among, random),
            Self::LeastInFlight => least(among, turn, |_| 1),
            Self::ShortestResponse if turn.is_multiple_of(EXPLORES) => {
                (turn / EXPLORES) % among.len()
            }
            Self::ShortestResponse => {
                let known = among.iter().filter_map(|one| one.load().response_us());
                // Nobody is better for never having been tried.
                let best = known.min().unwrap_or(1);
                least(among, turn, |load| load.response_us().unwrap_or(best))
            }
        }
    }
}

fn are_equal<C: Candidate>(among: &[C]) -> bool {
    let mut weights = among.iter().map(|one| one.load().weight());
    let first = weights.next();
    weights.all(|weight| Some(weight) == first)
}

/// With weights, each is given its weight in credit every time; who has most is picked, and pays for all.
fn in_turn<C: Candidate>(among: &[C], turn: usize) -> usize {
    if are_equal(among) {
        return turn % among.len();
    }
    let (mut total, mut best) = (0, (0, i64::MIN));
    for (place, one) in among.iter().enumerate() {
        let weight = i64::from(one.load().weight());
        let credit = one.load().credit.fetch_add(weight, Ordering::Relaxed) + weight;
        total += weight;
        if credit > best.1 {
            best = (place, credit);
        }
    }
    if let Some(picked) = among.get(best.0) {
        picked.load().credit.fetch_sub(total, Ordering::Relaxed);
    }
    best.0
}

fn by_chance<C: Candidate>(among: &[C], random: u64) -> usize {
    let total: u64 = among.iter().map(|one| u64::from(one.load().weight())).sum();
    let mut left = random % total.max(1);
    for (place, one) in among.iter().enumerate() {
        let weight = u64::from(one.load().weight());
        if left < weight {
            return place;
        }
        left -= weight;
    }
    0
}

/// The one with the least to do, of several the one that comes first from `turn` on.
fn least<C: Candidate>(among: &[C], turn: usize, each: impl Fn(&Load) -> u64) -> usize {
    let cost = |place: usize| {
        let Some(one) = among.get(place) else { return (u128::MAX, 1) };
        let load = one.load();
        let messages = u64::from(load.in_flight()) + u64::from(one.waiting()) + 1;
        (u128::from(messages) * u128::from(each(load)), u128::from(load.weight()))
    };
    let places = (0..among.len()).map(|step| (turn + step) % among.len());
    // Compared as fractions: cost by weight.
    let less = |a: &(u128, u128), b: &(u128, u128)| (a.0 * b.1).cmp(&(b.0 * a.1));
    places.min_by(|a, b| less(&cost(*a), &cost(*b))).unwrap_or(0)
}

#[cfg(test)]
mod tests;
