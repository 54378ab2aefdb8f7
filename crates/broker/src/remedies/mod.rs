//! Remedies: what the broker can do itself about some of what is wrong ([`observe::diagnosis`]). Each only changes a setting,
//! can be undone, and deletes nothing. Whether they are proposed, or done, is configured ([`RemedyMode`]); by default neither is.
//!
//! What can be done about what is on one page (`action`). Once a second, after rules have been looked at, what is wrong gets a
//! remedy if there is one (`step`).

mod action;
mod book;
mod step;
mod stored;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use base::{BrokerId, ErrorKind, Millis};
use cluster::{KeyValue, Op, Txn};
use observe::state::NodeId;
use parking_lot::Mutex;
use serde::Serialize;

use crate::Broker;
use action::Action;
use book::Book;
pub(crate) use step::step;
#[cfg(test)]
pub(crate) use stored::PREFIX;
#[cfg(feature = "fuzzing")]
pub(crate) use stored::decode as read;

/// Whether the broker does something about what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum RemedyMode {
    /// It says what is wrong.
    #[default]
    Observe,
    /// It says what it could do, too, and does it when it is told to.
    Suggest,
    /// It does it.
    Auto,
}

impl RemedyMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Observe, Self::Suggest, Self::Auto];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Suggest => "suggest",
            Self::Auto => "auto",
        }
    }
}

impl FromStr for RemedyMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        known.ok_or_else(|| "one of observe | suggest | auto".to_owned())
    }
}

/// Something that can be done about something that is wrong, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// Its number: larger than those of the remedies that were there before it.
    pub number: u64,
    /// The rule that says what is wrong.
    pub rule: &'static str,
    /// What it is wrong with.
    pub about: NodeId,
    /// What is done.
    pub text: String,
    /// What has become of it.
    pub state: RemedyState,
    /// Since when it is that, in milliseconds since 1970.
    pub at: Millis,
    /// Who did it, or undid it: a name, or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why it could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(skip)]
    action: Action,
}

/// What has become of a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RemedyState {
    /// It can be done.
    Suggested,
    /// It is done.
    Applied,
    /// It was done, and undone.
    Undone,
    /// It could not be done.
    Failed,
    /// It was not done before what was wrong was over.
    Withdrawn,
}

/// Why a remedy is neither done nor undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemedyError {
    /// There is none of this number, or not any more.
    #[error("there is no remedy of this number")]
    NotFound,
    /// Only what is suggested can be done, and only what is done undone.
    #[error("this remedy is {0}")]
    State(RemedyState),
    /// Somebody has changed since what it had changed, or it cannot be written.
    #[error("{0}")]
    Refused(String),
}

impl RemedyError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::State(_) | Self::Refused(_) => ErrorKind::Conflict,
        }
    }
}

impl Display for RemedyState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suggested => "suggested",
            Self::Applied => "applied",
            Self::Undone => "undone",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        })
    }
}

/// The remedies of a broker.
#[derive(Debug, Default)]
pub(crate) struct Remedies {
    mode: AtomicU8,
    book: Mutex<Book>,
    /// One is done, or undone, at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Remedies {
    /// With what this broker did before it was started again.
    pub(crate) fn load(kvs: &[KeyValue], own: BrokerId) -> Self {
        let all = kvs.iter().filter_map(stored::decode);
        let book = Book::with(all.filter(|(whose, _)| *whose == own).map(|(_, done)| done));
        Self { book: Mutex::new(book), ..Self::default() }
    }

    pub(crate) fn set_mode(&self, mode: RemedyMode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    fn mode(&self) -> RemedyMode {
        let mode = self.mode.load(Ordering::Relaxed);
        RemedyMode::ALL.into_iter().find(|known| *known as u8 == mode).unwrap_or_default()
    }
}

impl Broker {
    /// Whether it does something about what is wrong, and what it could do or has done; the newest first.
    pub fn remedies(&self) -> (RemedyMode, Vec<Remedy>) {
        let remedies = &self.inner.remedies;
        (remedies.mode(), remedies.book.lock().newest())
    }

    /// Does what was suggested. It may have failed when this returns: see [`Remedy::state`].
    ///
    /// # Errors
    /// [`RemedyError::NotFound`], [`RemedyError::State`].
    pub async fn apply_remedy(&self, number: u64, by: &str) -> Result<Remedy, RemedyError> {
        let remedies = &self.inner.remedies;
        let _turn = remedies.turn.lock().await;
        let remedy = remedies.book.lock().find(number, RemedyState::Suggested)?;
        let now = self.now();
        let done = Remedy { at: now, by: Some(by.to_owned()), ..remedy };
        let outcome = self.do_remedy(&done).await;
        self.remedied(number, (by, now), outcome.map(|()| RemedyState::Applied))
    }

    /// Undoes what was done.
    ///
    /// # Errors
    /// See [`RemedyError`]; it is still done then.
    pub async fn undo_remedy(&self, number: u64, by: &str) -> Result<Remedy, RemedyError> {
        let remedies = &self.inner.remedies;
        let _turn = remedies.turn.lock().await;
        let remedy = remedies.book.lock().find(number, RemedyState::Applied)?;
        remedy.action.undo(self).await.map_err(RemedyError::Refused)?;
        self.forget_remedy(number).await;
        self.remedied(number, (by, self.now()), Ok(RemedyState::Undone))
    }

    /// What is done is written down before it is: whatever ends the broker, it can be undone. What is written down and was
    /// not done is undone by doing nothing.
    async fn do_remedy(&self, remedy: &Remedy) -> Result<(), String> {
        let put = Op::put(stored::key(self.id(), remedy.number), stored::encode(remedy));
        let written = self.inner.meta.txn(Txn::new().then(put)).await;
        written.map_err(|error| error.to_string())?;
        let outcome = remedy.action.apply(self).await;
        if outcome.is_err() {
            self.forget_remedy(remedy.number).await;
        }
        outcome
    }

    async fn forget_remedy(&self, number: u64) {
        if let Err(error) = self.delete_keys(vec![stored::key(self.id(), number)]).await {
            tracing::warn!(number, %error, "a remedy that is undone will be listed as done after a restart");
        }
    }

    /// Notes what has become of one, and tells.
    fn remedied(
        &self,
        number: u64,
        (by, at): (&str, Millis),
        outcome: Result<RemedyState, String>,
    ) -> Result<Remedy, RemedyError> {
        let (state, why) = match outcome {
            Ok(state) => (state, None),
            Err(why) => (RemedyState::Failed, Some(why)),
        };
        let remedy = self.inner.remedies.book.lock().change(number, |remedy| {
            (remedy.state, remedy.at, remedy.why) = (state, at, why);
            remedy.by = Some(by.to_owned());
        })?;
        step::tell(&self.inner, &remedy);
        Ok(remedy)
    }
}
