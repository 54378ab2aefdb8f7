//! SUBSCRIBE.

use base::Filter;

use crate::connection::{Client, End};
use crate::limits::SUBSCRIPTIONS_MAX;
use crate::map;
use crate::retained::Wanted;
use crate::session::kept;
use crate::wire::reason::Reason;
use crate::wire::subscribe::{self, Options, RetainHandling, Subscribe, encode_suback};

/// Subscribes to every filter that may be read. What outlives the connection is stored before that is said.
pub(super) async fn handle(client: &mut Client, body: &[u8]) -> Result<(), End> {
    let subscribe = Subscribe::decode(client.version, body)?;
    let id = subscribe.subscription_id;
    let checked: Vec<_> = subscribe.filters().map(|wanted| check(client, wanted)).collect();
    let mut refused = None;
    if let Some(session) = &client.session.kept {
        let granted = checked.iter().flatten();
        let kept = |one: &Checked<'_>| (one.wanted.clone(), kept::interest(one.options, id));
        let outcome = session.subscribe(&client.shared.broker, granted.map(kept).collect()).await;
        refused = outcome.err().map(|error| map::session_refusal(&error));
    }
    let mut reasons = Vec::with_capacity(checked.len());
    for one in checked {
        reasons.push(match (one, refused) {
            (Err(reason), _) | (Ok(_), Some(reason)) => reason,
            (Ok(one), None) => take_up(client, one, id),
        });
    }
    let version = client.version;
    client.answer(|out| encode_suback(version, subscribe.packet_id, &reasons, out))
}

/// A subscription that may be made.
struct Checked<'a> {
    text: &'a str,
    wanted: broker::sessions::Wanted,
    options: Options,
}

fn check<'a>(
    client: &Client,
    (text, filter, options): subscribe::Wanted<'a>,
) -> Result<Checked<'a>, Reason> {
    let shared = filter.map_err(|_| Reason::TOPIC_FILTER_INVALID)?;
    let filter = map::filter(shared.filter).map_err(|_| Reason::TOPIC_FILTER_INVALID)?;
    if !client.actor.may_read(&filter) {
        return Err(Reason::NOT_AUTHORIZED);
    }
    let state = client.session.lock();
    let subscriptions = &state.subscriptions;
    if subscriptions.find(text).is_none() && subscriptions.len() >= SUBSCRIPTIONS_MAX {
        return Err(Reason::QUOTA_EXCEEDED);
    }
    // What a bridge sends does not come back to it, and keeps its retain flag.
    let options = Options {
        no_local: options.no_local || (client.is_bridge && shared.group.is_none()),
        retain_as_published: options.retain_as_published || client.is_bridge,
        ..options
    };
    Ok(Checked { text, wanted: kept::wanted(&shared, filter), options })
}

fn take_up(client: &mut Client, one: Checked<'_>, id: Option<u32>) -> Reason {
    let Checked { text, wanted, options } = one;
    let owed = wanted.group.is_none().then(|| wanted.filter.clone());
    let sessions = &client.shared.sessions;
    let Ok(is_new) = sessions.subscribe(&client.session, text, wanted, options, id) else {
        return Reason::TOPIC_FILTER_INVALID;
    };
    if let Some(filter) = owed {
        owe(client, filter, (options, id), is_new);
    }
    Reason(options.qos)
}

/// Takes note of what a subscription is to be sent at once (5.0 §3.8.3.1).
fn owe(client: &mut Client, filter: Filter, (options, id): (Options, Option<u32>), is_new: bool) {
    let wants = match options.retain_handling {
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => is_new,
        RetainHandling::DoNotSend => false,
    };
    if wants {
        let wanted = Wanted { filter, options, id, after: None, knows_sys: false };
        client.owed.get_or_insert_default().push(wanted);
    }
}
