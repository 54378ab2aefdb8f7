//! What is wrong gets its remedies.

use std::sync::Arc;

use base::Millis;
use observe::diagnosis::Incident;
use observe::{Said, kinds};

use super::action::Action;
use super::book::AUTO;
use super::{Remedy, RemedyMode, RemedyState};
use crate::Broker;
use crate::broker::Inner;

/// What is wrong for less than this, in milliseconds, may be over by itself before the broker does something.
const PATIENCE_MS: Millis = 10_000;

/// Looks at what is wrong: once a second, after rules have been.
pub(crate) async fn step(inner: &Arc<Inner>) {
    let remedies = &inner.remedies;
    let mode = remedies.mode();
    if mode == RemedyMode::Observe {
        return;
    }
    let incidents = Arc::clone(&inner.incidents.lock());
    {
        // A remedy that is being done at this moment is looked at the next time.
        let Ok(_turn) = remedies.turn.try_lock() else { return };
        suggest(inner, &incidents);
    }
    if mode != RemedyMode::Auto {
        return;
    }
    let now = inner.options.clock.now();
    let next = remedies.book.lock().next(now);
    if let Some(number) = next {
        let broker = Broker { inner: Arc::clone(inner) };
        if let Err(error) = broker.apply_remedy(number, AUTO).await {
            tracing::debug!(number, %error, "somebody else was faster");
        }
    }
}

fn suggest(inner: &Inner, incidents: &[Incident]) {
    let (now, book) = (inner.options.clock.now(), &inner.remedies.book);
    let is_wrong = |(rule, about): (&str, &_)| {
        incidents.iter().any(|known| known.rule == rule && known.about == *about)
    };
    book.lock().withdraw(is_wrong, now);
    for incident in incidents.iter().filter(|known| now - known.since >= PATIENCE_MS) {
        let wrong = (incident.rule, &incident.about);
        if !book.lock().may_suggest(wrong, now) {
            continue;
        }
        if let Some(found) = Action::of(inner, incident) {
            let remedy = book.lock().suggest(wrong, found, now);
            tell(inner, &remedy);
        }
    }
}

/// Tells what has become of one.
pub(super) fn tell(inner: &Inner, remedy: &Remedy) {
    let kind = match remedy.state {
        RemedyState::Suggested => &kinds::REMEDY_SUGGESTED,
        RemedyState::Applied => &kinds::REMEDY_APPLIED,
        RemedyState::Undone => &kinds::REMEDY_UNDONE,
        RemedyState::Failed => &kinds::REMEDY_FAILED,
        RemedyState::Withdrawn => return,
    };
    inner.observe.events.tell(kind, Some(remedy.about.clone()), || {
        let said = Said::new(format!("{}: {}", remedy.about, remedy.text));
        let said = said.with("rule", remedy.rule).with("remedy", &remedy.number);
        let said = remedy.by.iter().fold(said, |said, by| said.with("by", by));
        remedy.why.iter().fold(said, |said, why| said.with("why", why))
    });
}
