//! The pages.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use base::Millis;
use serde_json::{Map, Value, json};

use crate::client::{Client, Handle};
use crate::limits::{CONTROL_LINE_BYTES_MAX, LOGIN_TIMEOUT, WRITE_DEADLINE};
use crate::{NATS_VERSION, Shared};

/// Clients or subscriptions on a page, if the request does not say (as nats-server).
const LIMIT: usize = 1024;

/// Clients or subscriptions on a page at most.
const LIMIT_MAX: usize = 10_000;

/// The page at a target such as `/connz?limit=5`: status and JSON.
pub(super) fn page(shared: &Shared, target: &str) -> (&'static str, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let page = match path {
        "/" => json!({ "endpoints": ["/varz", "/connz", "/subsz", "/healthz"] }),
        "/varz" => varz(shared),
        "/connz" => connz(shared, &Query(query)),
        "/subsz" | "/subscriptionsz" => subsz(shared, &Query(query)),
        "/healthz" => {
            return match shared.broker.health() {
                Ok(()) => ("200 OK", json!({ "status": "ok" }).to_string()),
                Err(error) => {
                    let told = json!({ "status": "unavailable", "error": error.to_string() });
                    ("503 Service Unavailable", told.to_string())
                }
            };
        }
        _ => return ("404 Not Found", json!({ "error": "there is no such page" }).to_string()),
    };
    ("200 OK", format!("{page:#}"))
}

/// What stands behind the question mark.
struct Query<'a>(&'a str);

impl Query<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }

    fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true" | "detail"))
    }

    /// Which part of a list is asked for: where it begins, and how much.
    fn part(&self) -> (usize, usize) {
        let limit = self.number("limit").filter(|limit| *limit > 0).unwrap_or(LIMIT);
        (self.number("offset").unwrap_or(0), limit.min(LIMIT_MAX))
    }
}

/// Figures of clients, added up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    in_messages: u64,
    in_bytes: u64,
    out_messages: u64,
    out_bytes: u64,
}

impl Totals {
    /// With those of one more.
    #[must_use]
    pub(crate) fn plus(self, client: &Client) -> Self {
        let delivered = client.outgoing.delivered();
        Self {
            in_messages: self.in_messages + client.received.messages.load(Relaxed),
            in_bytes: self.in_bytes + client.received.bytes.load(Relaxed),
            out_messages: self.out_messages + delivered.messages,
            out_bytes: self.out_bytes + delivered.bytes,
        }
    }
}

fn varz(shared: &Shared) -> Value {
    let clients = shared.clients();
    let figures = &shared.figures;
    let subscriptions: usize = clients.iter().map(|client| subscriptions(client)).sum();
    let options = &shared.options;
    let (now, start) = (shared.broker.now(), shared.broker.started_at());
    json!({
        "server_id": shared.server_id,
        "server_name": options.server_name,
        "version": NATS_VERSION,
        "proto": 1,
        "go": shared.go,
        "max_payload": options.payload_bytes_max,
        "max_pending": options.pending_bytes_max,
        "max_control_line": CONTROL_LINE_BYTES_MAX,
        "ping_interval": u64::try_from(options.ping_interval.as_nanos()).unwrap_or(u64::MAX),
        "ping_max": options.pings_out_max,
        "auth_timeout": LOGIN_TIMEOUT.as_secs(),
        "write_deadline": u64::try_from(WRITE_DEADLINE.as_nanos()).unwrap_or(u64::MAX),
        "start": time(start),
        "now": time(now),
        "uptime": duration(now - start),
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "connections": clients.len(),
        "total_connections": shared.total(),
        "routes": 0,
        "remotes": 0,
        "leafnodes": 0,
        "in_msgs": figures.received_messages.get(),
        "out_msgs": figures.delivered_messages.get(),
        "in_bytes": figures.received_bytes.get(),
        "out_bytes": figures.delivered_bytes.get(),
        "slow_consumers": figures.slow_consumers.get(),
        "stale_connections": shared.stale_connections.load(Relaxed),
        "subscriptions": subscriptions,
    })
}

fn subscriptions(client: &Client) -> usize {
    client.outgoing.with_subscriptions(|all| all.len())
}

fn connz(shared: &Shared, query: &Query<'_>) -> Value {
    let clients = shared.clients();
    let wanted = query.number("cid");
    let is_wanted = |client: &&Arc<Client>| {
        wanted.is_none_or(|cid| u64::try_from(cid).is_ok_and(|cid| client.id == cid))
    };
    let (offset, limit) = query.part();
    let now = shared.broker.now();
    let shown = clients.iter().filter(is_wanted).skip(offset).take(limit);
    let shown: Vec<_> = shown.map(|client| connection(client, now, query)).collect();
    json!({
        "server_id": shared.server_id,
        "now": time(now),
        "num_connections": shown.len(),
        "total": clients.len(),
        "offset": offset,
        "limit": limit,
        "connections": shown,
    })
}

fn connection(client: &Client, now: Millis, query: &Query<'_>) -> Value {
    let totals = Totals::default().plus(client);
    let mut shown = json!({
        "cid": client.id,
        "kind": "Client",
        "type": "nats",
        "ip": client.peer.ip().to_string(),
        "port": client.peer.port(),
        "start": time(client.since),
        "uptime": duration(now - client.since),
        "pending_bytes": client.outgoing.pending(),
        "in_msgs": totals.in_messages,
        "out_msgs": totals.out_messages,
        "in_bytes": totals.in_bytes,
        "out_bytes": totals.out_bytes,
        "subscriptions": subscriptions(client),
    });
    let Some(fields) = shown.as_object_mut() else { return shown };
    if let Some(said) = client.said() {
        for (name, value) in
            [("name", &said.name), ("lang", &said.lang), ("version", &said.version)]
        {
            if !value.is_empty() {
                fields.insert(name.to_owned(), json!(value));
            }
        }
    }
    if query.is_set("auth")
        && let Some(actor) = client.actor()
    {
        fields.insert("authorized_user".to_owned(), json!(&*actor.principal().name));
    }
    match query.get("subs") {
        Some("detail") => put_subscriptions(fields, "subscriptions_list_detail", client, detail),
        Some("1" | "true") => {
            put_subscriptions(fields, "subscriptions_list", client, |_, _, handle| {
                json!(String::from_utf8_lossy(&handle.subject))
            });
        }
        _ => {}
    }
    shown
}

fn put_subscriptions(
    fields: &mut Map<String, Value>,
    name: &str,
    client: &Client,
    show: impl Fn(&Client, &[u8], &Handle) -> Value,
) {
    let mut list = Vec::new();
    client.each_subscription(|sid, handle| {
        if list.len() < LIMIT_MAX {
            list.push(show(client, sid, handle));
        }
    });
    fields.insert(name.to_owned(), Value::Array(list));
}

fn detail(client: &Client, sid: &[u8], handle: &Handle) -> Value {
    let delivered = client.outgoing.with_subscriptions(|all| {
        all.get_mut(handle.tag).map_or(0, |subscription| subscription.delivered)
    });
    let mut shown = json!({
        "subject": String::from_utf8_lossy(&handle.subject),
        "sid": String::from_utf8_lossy(sid),
        "msgs": delivered,
        "cid": client.id,
    });
    if let (Some(fields), Some(queue)) = (shown.as_object_mut(), &handle.queue) {
        fields.insert("qgroup".to_owned(), json!(String::from_utf8_lossy(queue)));
    }
    shown
}

fn subsz(shared: &Shared, query: &Query<'_>) -> Value {
    let clients = shared.clients();
    let total: usize = clients.iter().map(|client| subscriptions(client)).sum();
    let (offset, limit) = query.part();
    let mut shown = json!({
        "server_id": shared.server_id,
        "now": time(shared.broker.now()),
        "num_subscriptions": total,
        "total": total,
        "offset": offset,
        "limit": limit,
    });
    if query.is_set("subs") {
        let mut list = Vec::new();
        let mut number = 0;
        for client in &clients {
            if list.len() >= limit {
                break;
            }
            client.each_subscription(|sid, handle| {
                if number >= offset && list.len() < limit {
                    list.push(detail(client, sid, handle));
                }
                number += 1;
            });
        }
        shown["subscriptions_list"] = Value::Array(list);
    }
    shown
}

/// RFC 3339, in UTC.
pub(super) fn time(at: Millis) -> String {
    let (days, of_day) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000));
    // From days to a date: Howard Hinnant's civil_from_days.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Such as `1d2h3m4s`, as nats-server shows it.
pub(super) fn duration(ms: Millis) -> String {
    let seconds = ms.max(0) / 1000;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, _, _) => format!("{hours}h{minutes}m{seconds}s"),
        _ => format!("{days}d{hours}h{minutes}m{seconds}s"),
    }
}
