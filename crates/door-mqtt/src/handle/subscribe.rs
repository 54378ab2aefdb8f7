//! SUBSCRIBE.

use std::sync::Arc;

use base::Filter;
use broker::access::Operation;
use broker::live::{Group, SubscribeOptions, Subscriber};
use bytes::Bytes;

use crate::connection::{Client, End};
use crate::limits::SUBSCRIPTIONS_MAX;
use crate::map;
use crate::retained::Wanted;
use crate::session::Granted;
use crate::wire::reason::Reason;
use crate::wire::subscribe::{self, Options, RetainHandling, Subscribe, encode_suback};

/// Subscribes to every filter that may be read.
pub(super) fn handle(client: &mut Client, body: &[u8]) -> Result<(), End> {
    let subscribe = Subscribe::decode(client.version, body)?;
    let id = subscribe.subscription_id;
    let reasons: Vec<_> = subscribe.filters().map(|wanted| one(client, id, wanted)).collect();
    let version = client.version;
    client.answer(|out| encode_suback(version, subscribe.packet_id, &reasons, out))
}

/// Takes note of what a subscription is to be sent at once (5.0 §3.8.3.1).
fn owe(client: &mut Client, filter: &Filter, (options, id): (Options, Option<u32>), is_new: bool) {
    let wants = match options.retain_handling {
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => is_new,
        RetainHandling::DoNotSend => false,
    };
    if wants {
        let wanted = Wanted { filter: filter.clone(), options, id, after: None };
        client.owed.get_or_insert_default().push(wanted);
    }
}

fn one(
    client: &mut Client,
    id: Option<u32>,
    (text, filter, options): subscribe::Wanted<'_>,
) -> Reason {
    let Ok(wanted) = filter else { return Reason::TOPIC_FILTER_INVALID };
    let Ok(filter) = map::filter(wanted.filter) else { return Reason::TOPIC_FILTER_INVALID };
    let name = base::subject::TEXT.filter_name(&filter);
    if !client.actor.may_topic(Operation::Read, &String::from_utf8_lossy(&name)) {
        return Reason::NOT_AUTHORIZED;
    }
    // What a bridge sends does not come back to it, and keeps its retain flag.
    let options = Options {
        no_local: options.no_local || (client.is_bridge && wanted.group.is_none()),
        retain_as_published: options.retain_as_published || client.is_bridge,
        ..options
    };
    let mut state = client.session.lock();
    let before = state.subscriptions.find(text).map(|granted| granted.options);
    if before.is_none() && state.subscriptions.len() >= SUBSCRIPTIONS_MAX {
        return Reason::QUOTA_EXCEEDED;
    }
    let granted = Granted { options, id, routed: None };
    let (tag, is_new) = state.subscriptions.put(text, granted);
    drop(state);
    if wanted.group.is_none() {
        owe(client, &filter, (options, id), is_new);
    }
    if is_new || before.is_some_and(|before| before.no_local != options.no_local) {
        let group = wanted.group.map(|name| Group {
            name: Bytes::copy_from_slice(name.as_bytes()),
            merges: false,
            member: Bytes::copy_from_slice(client.session.client_id.as_bytes()),
            weight: 1,
        });
        let publisher = client.session.id;
        let how = SubscribeOptions { publisher, no_echo: options.no_local, group };
        let subscriber = Arc::clone(&client.session) as Arc<dyn Subscriber>;
        match client.shared.broker.subscribe(filter, subscriber, tag.into(), how) {
            Ok(routed) => {
                let replaced = client.session.lock().subscriptions.routed(tag, routed);
                drop(replaced);
            }
            Err(_) => {
                let removed = client.session.lock().subscriptions.remove(text);
                drop(removed);
                return Reason::TOPIC_FILTER_INVALID;
            }
        }
    }
    Reason(options.qos)
}
