//! The remedies that are known, and how many of them may be done in a time.

use std::collections::VecDeque;

use base::Millis;
use observe::state::NodeId;

use super::action::Action;
use super::{Remedy, RemedyError, RemedyState};

/// Remedies that are remembered; what is done is as long as it is not undone. Nothing is suggested where so many are done.
const REMEMBERED: usize = 256;
/// About one thing something is done once in so many milliseconds …
const PAUSE_MS: Millis = 600_000;
/// … and in an hour the broker does so much by itself in all: what would take more is for a person.
const IN_AN_HOUR: usize = 6;
const HOUR_MS: Millis = 3_600_000;

/// Who does what nobody told it to do.
pub(super) const AUTO: &str = "auto";

/// All of them, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Book {
    all: VecDeque<Remedy>,
    last: u64,
}

/// What is wrong, and with what.
type Wrong<'a> = (&'static str, &'a NodeId);

impl Book {
    /// One that knows what was done.
    pub(super) fn with(done: impl Iterator<Item = Remedy>) -> Self {
        let mut all = Vec::from_iter(done);
        all.sort_by_key(|remedy| remedy.number);
        let last = all.last().map_or(0, |remedy| remedy.number);
        Self { all: all.into(), last }
    }

    pub(super) fn newest(&self) -> Vec<Remedy> {
        self.all.iter().rev().cloned().collect()
    }

    /// The remedy of this number, if it is in this state.
    pub(super) fn find(&self, number: u64, wanted: RemedyState) -> Result<Remedy, RemedyError> {
        let known = self.all.iter().find(|known| known.number == number);
        match known.ok_or(RemedyError::NotFound)? {
            known if known.state == wanted => Ok(known.clone()),
            known => Err(RemedyError::State(known.state)),
        }
    }

    pub(super) fn change(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut Remedy),
    ) -> Result<Remedy, RemedyError> {
        let known = self.all.iter_mut().find(|known| known.number == number);
        let known = known.ok_or(RemedyError::NotFound)?;
        change(known);
        Ok(known.clone())
    }

    /// Whether something may be suggested: not what is, not what was done just now, and for an hour not what somebody undid.
    pub(super) fn may_suggest(&self, (rule, about): Wrong<'_>, now: Millis) -> bool {
        if self.applied().count() >= REMEMBERED {
            return false;
        }
        let same = self.all.iter().filter(|known| known.rule == rule && known.about == *about);
        same.into_iter().all(|known| match known.state {
            RemedyState::Suggested => false,
            RemedyState::Applied | RemedyState::Failed => now - known.at >= PAUSE_MS,
            RemedyState::Undone => now - known.at >= HOUR_MS,
            RemedyState::Withdrawn => true,
        })
    }

    pub(super) fn suggest(
        &mut self,
        (rule, about): Wrong<'_>,
        (action, text): (Action, String),
        at: Millis,
    ) -> Remedy {
        self.last += 1;
        let (state, about) = (RemedyState::Suggested, about.clone());
        let remedy =
            Remedy { number: self.last, rule, about, text, state, at, by: None, why: None, action };
        self.all.push_back(remedy.clone());
        if self.all.len() > REMEMBERED {
            let over = self.all.iter().position(|known| known.state != RemedyState::Applied);
            self.all.remove(over.unwrap_or(0));
        }
        remedy
    }

    fn applied(&self) -> impl Iterator<Item = &Remedy> + Clone {
        self.all.iter().filter(|known| known.state == RemedyState::Applied)
    }

    /// What was suggested about what is not wrong any more is over.
    pub(super) fn withdraw(&mut self, is_wrong: impl Fn(Wrong<'_>) -> bool, now: Millis) {
        let suggested = |known: &&mut Remedy| known.state == RemedyState::Suggested;
        for known in self.all.iter_mut().filter(suggested) {
            if !is_wrong((known.rule, &known.about)) {
                (known.state, known.at) = (RemedyState::Withdrawn, now);
            }
        }
    }

    /// What is suggested and the broker may do by itself now.
    pub(super) fn next(&self, now: Millis) -> Option<u64> {
        let applied = self.applied();
        let lately = |known: &&Remedy| now - known.at < HOUR_MS;
        let own = applied.clone().filter(lately).filter(|known| known.by.as_deref() == Some(AUTO));
        if own.count() >= IN_AN_HOUR {
            return None;
        }
        let is_busy = |about: &NodeId| {
            applied.clone().any(|known| known.about == *about && now - known.at < PAUSE_MS)
        };
        let mut suggested = self.all.iter().filter(|known| known.state == RemedyState::Suggested);
        suggested.find(|known| !is_busy(&known.about)).map(|known| known.number)
    }
}
