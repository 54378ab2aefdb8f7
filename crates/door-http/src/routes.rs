//! Every route on one page: the OpenAPI document is made of it, and requests find their handlers by it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use door::http::{Method, Query, Request};

use crate::ask::Ask;
use crate::handle::{
    diagnosis, events, groups, health, history, messages, metrics, queues, remedies, socket, state,
    subjects, topics, traces,
};
use crate::problem::Problem;
use crate::{Outcome, console, openapi};

type Handling<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One thing that can be asked.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// With names in braces for what is not fixed.
    pub(crate) path: &'static str,
    /// The handler's name: what generated clients call it.
    pub(crate) operation: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) login: Login,
    pub(crate) query: &'static [Param],
    /// The name of what must come with it.
    pub(crate) body: Option<&'static str>,
    pub(crate) answer: Told,
    /// It may wait for what is not there yet.
    pub(crate) waits: bool,
    pub(crate) handle: for<'a> fn(&'a Ask) -> Handling<'a>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Who is asked who they are, where the listener asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// Nobody.
    Never,
    /// Everybody, unless the configuration says that this is for everybody.
    UnlessOpen,
    /// Everybody.
    Always,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing.
    Nothing,
    /// A file of the console.
    File,
    /// Metrics.
    Metrics,
    /// An archive.
    Archive,
    /// JSON; the name of its schema.
    Json(&'static str),
    /// JSON; or as it comes, where that is asked for.
    JsonOrEvents(&'static str),
    /// Another protocol from here on.
    Socket,
}

/// A value in the query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) kind: ParamKind,
    pub(crate) help: &'static str,
}

/// What it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParamKind {
    Text,
    /// Text that must be there.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, with commas.
    Words(&'static [&'static str]),
    Flag,
    /// A whole number from … to ….
    Number(i64, i64),
}

const fn text(name: &'static str, help: &'static str) -> Param {
    Param { name, kind: ParamKind::Text, help }
}

const fn must(name: &'static str, help: &'static str) -> Param {
    Param { name, kind: ParamKind::Name, help }
}

const fn word(name: &'static str, words: &'static [&'static str], help: &'static str) -> Param {
    Param { name, kind: ParamKind::Word(words), help }
}

const fn words(name: &'static str, words: &'static [&'static str], help: &'static str) -> Param {
    Param { name, kind: ParamKind::Words(words), help }
}

const fn flag(name: &'static str, help: &'static str) -> Param {
    Param { name, kind: ParamKind::Flag, help }
}

const fn number(name: &'static str, from: i64, to: i64, help: &'static str) -> Param {
    Param { name, kind: ParamKind::Number(from, to), help }
}

const TEXT: Param = text(
    "text",
    "What the name, or a text that is said of it, contains, in large or small letters.",
);
const SORT: Param =
    text("sort", "The fact that they are in the order of, such as bytes; none: names.");
const ORDER: Param = word("order", &["asc", "desc"], "Which way.");
const FROM: Param =
    word("from", &["earliest", "latest"], "Without an offset and a time: where to begin.");
const OFFSET: Param = number("offset", 0, 1_000_000_000, "How many come before.");
const LIMIT: Param = number("limit", 1, 100_000, "At most so many; 1000, if it does not say.");
const NAME: Param = text("name", "What the name contains.");
const SPACE: Param = text("space", "The namespace of the queue; none: the default one.");
const FROM_FIRST: i64 = i64::MAX;
/// What there is, see [`broker::observe::state::NodeKind`].
const KINDS: &[&str] = &[
    "broker",
    "listener",
    "connection",
    "topic",
    "partition",
    "group",
    "member",
    "session",
    "subscription",
    "queue",
    "exchange",
    "store",
    "setting",
];

macro_rules! routes {
    ($($method:ident $path:literal $module:ident :: $handler:ident $login:ident $answer:expr,
        $summary:literal, [$($param:expr),*] $(, body $body:literal)? $(, waits $waits:literal)?;)*) => {
        /// All of them.
        pub(crate) static ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            operation: concat!(stringify!($module), "_", stringify!($handler)),
            summary: $summary,
            login: Login::$login,
            query: &[$($param),*],
            body: routes!(@body $($body)?),
            answer: $answer,
            waits: routes!(@waits $($waits)?),
            handle: |ask| Box::pin($module::$handler(ask)),
        },)*];
    };
    (@body) => { None };
    (@body $body:literal) => { Some($body) };
    (@waits) => { false };
    (@waits $waits:literal) => { $waits };
}

routes! {
    GET "/" console::page Never Told::File, "The console: a page for people.", [];
    GET "/console/{file}" console::file Never Told::File, "A file of the console.", [];
    GET "/livez" health::live Never Told::Json("Health"),
        "Whether the process answers at all. Restart it if not.", [];
    GET "/readyz" health::ready Never Told::Json("Health"),
        "Whether messages can be stored. Send no clients here if not (503).", [];
    GET "/health" health::health Never Told::Json("Health"),
        "The same as /readyz, under the name that most programs look for.", [];
    GET "/metrics" metrics::all UnlessOpen Told::Metrics,
        "Metrics for Prometheus, without those of single topics, groups and queues. OpenMetrics, where it is asked for.", [];
    GET "/metrics/detailed" metrics::detailed Always Told::Metrics,
        "The same, with those of single topics, groups and queues.",
        [text("family", "Only families whose names begin so; several, with commas."),
            text("topic", "Only series of this topic, where they are of one."),
            text("group", "Only series of this group, where they are of one.")];
    GET "/openapi.json" openapi::show Never Told::Json("Any"), "This document.", [];

    GET "/api/v1/state" state::show Always Told::Json("State"),
        "What there is and how it hangs together: listeners, topics, groups, queues and so on.",
        [words("kinds", KINDS, "Kinds of things, with commas; none: all but connections, partitions, members, exchanges and settings."),
            NAME, TEXT, SORT, ORDER, OFFSET, LIMIT];
    GET "/api/v1/history" history::show Always Told::Json("History"),
        "What a metric was in each second of the last hour.",
        [must("family", "The metric's name."),
            word("part", &["count", "sum", "median", "p99", "max"], "Of a histogram; count, if it does not say."),
            text("labels", "Values of labels, in their order, with commas; none: all series."),
            number("seconds", 1, 3600, "So many of the last seconds; 300, if it does not say."),
            number("step", 1, 3600, "One point in so many seconds.")];
    GET "/api/v1/events" events::show Always Told::JsonOrEvents("Events"),
        "What happened; as it happens, where text/event-stream is asked for.",
        [number("from", 0, FROM_FIRST, "The number of the first; 0: the newest that there are."), LIMIT],
        waits true;
    GET "/api/v1/traces" traces::list Always Told::Json("Spans"),
        "What happened to messages that are followed because their trace is sampled: the newest steps that are new or changed.",
        [number("after", 0, FROM_FIRST, "Only what changed after this number, which the answer before said."),
            text("destination", "Only of this topic, subject, exchange or queue."), LIMIT,
            number("wait_ms", 0, 60_000, "Where there is none, it is waited so long.")],
        waits true;
    GET "/api/v1/traces/{trace}" traces::get Always Told::Json("Trace"),
        "The path of the messages of one trace, hop by hop, in the order in which it happened.", [];
    GET "/api/v1/diagnosis" diagnosis::show Always Told::Json("Diagnosis"),
        "What is wrong now: each with its cause, its evidence and what to do.", [];
    GET "/api/v1/diagnosis/bundle" diagnosis::bundle Always Told::Archive,
        "All that the broker knows of itself, to be diagnosed elsewhere (entrepot doctor --from): state, metrics with an hour of history, events, configuration without secrets.", [];
    GET "/api/v1/remedies" remedies::list Always Told::Json("Remedies"),
        "What the broker can do about what is wrong, or has done; the newest first.", [];
    POST "/api/v1/remedies/{remedy}/apply" remedies::apply Always Told::Json("Remedy"),
        "Does what is suggested. It may have failed: see its state.", [], body "Nothing";
    POST "/api/v1/remedies/{remedy}/undo" remedies::undo Always Told::Json("Remedy"),
        "Undoes what was done.", [], body "Nothing";

    GET "/api/v1/topics" topics::list Always Told::Json("State"), "Topics.",
        [NAME, TEXT, SORT, ORDER, OFFSET, LIMIT];
    POST "/api/v1/topics" topics::create Always Told::Json("Topic"), "Makes a topic.", [],
        body "NewTopic";
    GET "/api/v1/topics/{topic}" topics::get Always Told::Json("Topic"),
        "A topic, with its partitions and configuration.", [];
    PATCH "/api/v1/topics/{topic}" topics::alter Always Told::Json("Topic"),
        "Changes a topic's configuration, or adds partitions.", [], body "TopicChange";
    DELETE "/api/v1/topics/{topic}" topics::delete Always Told::Nothing,
        "Deletes a topic and its messages.", [];
    GET "/api/v1/topics/{topic}/messages" messages::read Always Told::JsonOrEvents("Messages"),
        "Messages of a partition; of all partitions as they come, where text/event-stream is asked for.",
        [number("partition", 0, 2_147_483_647, "Which partition; 0, if it does not say."),
            number("offset", 0, i64::MAX, "The first offset."),
            number("time", 0, i64::MAX, "Without an offset: the first message of this time or later, in milliseconds since 1970."),
            FROM,
            number("limit", 1, 10_000, "At most so many messages; 100, if it does not say."),
            text("key", "Only messages with this key. So many are looked at, and the answer says where to go on."),
            text("contains", "Only messages whose payload contains this. Likewise."),
            number("wait_ms", 0, 60_000, "Where there is none, it is waited so long."),
            number("rate", 1, 10_000, "Of what comes as it comes, at most so many a second; 100, if it does not say. Others are left out, and their number is told.")],
        waits true;
    GET "/api/v1/topics/{topic}/groups" topics::groups Always Told::Json("GroupsOfTopic"),
        "The consumer groups of a topic, with their lag in each partition.", [];
    POST "/api/v1/topics/{topic}/messages" messages::publish Always Told::Json("Published"),
        "Publishes messages to a topic, in order; stored when it is answered.", [],
        body "NewMessages";

    GET "/api/v1/topics/{topic}/socket" socket::open Always Told::Socket,
        "WebSocket: the client sends what it would send to publish, and is answered; with follow, it is sent what comes.",
        [flag("follow", "Send what comes."),
            number("partition", 0, 2_147_483_647, "Only of this partition."),
            number("offset", 0, i64::MAX, "The first offset."),
            number("time", 0, i64::MAX, "Without an offset: the first message of this time or later."),
            FROM,
            number("rate", 1, 10_000, "At most so many messages a second; 100, if it does not say.")],
        waits true;

    POST "/api/v1/subjects/{subject}/messages" subjects::publish Always Told::Json("Routed"),
        "Publishes messages to a subject, such as sensors.a.temp: to whoever listens at any door, and to topics that keep it. Each by itself.",
        [], body "NewMessages";

    GET "/api/v1/groups" groups::list Always Told::Json("State"),
        "Consumer groups, with their lag.", [NAME, TEXT, SORT, ORDER, OFFSET, LIMIT];
    GET "/api/v1/groups/{group}" groups::get Always Told::Json("Group"),
        "A group, with its members, and its lag in each partition.", [];
    DELETE "/api/v1/groups/{group}" groups::delete Always Told::Nothing,
        "Deletes a group without members, with its offsets.", [];
    PUT "/api/v1/groups/{group}/offsets" groups::reset Always Told::Json("Offsets"),
        "Moves the offsets of a group without members.",
        [flag("dry_run", "Only says where they would be.")], body "NewOffsets";

    GET "/api/v1/queues" queues::list Always Told::Json("State"), "Queues.",
        [NAME, TEXT, SORT, ORDER, OFFSET, LIMIT];
    DELETE "/api/v1/queues/{queue}/messages" queues::purge Always Told::Json("Purged"),
        "Deletes the messages of a queue that wait.", [SPACE];
}

impl Route {
    /// Whether what is in the query is as it must be; what no handler knows is passed over.
    pub(crate) fn check(&self, query: &Query) -> Result<(), Problem> {
        self.query.iter().try_for_each(|param| param.check(query.get(param.name)))
    }
}

impl Param {
    fn check(&self, value: Option<&str>) -> Result<(), Problem> {
        let name = self.name;
        let Some(value) = value else {
            let is_missing = self.kind == ParamKind::Name;
            return if is_missing {
                Err(Problem::invalid(format!("{name} is missing")))
            } else {
                Ok(())
            };
        };
        let (is_right, wanted) = match self.kind {
            ParamKind::Text => return Ok(()),
            ParamKind::Name => (!value.is_empty(), "a name".to_owned()),
            ParamKind::Flag => (["true", "false"].contains(&value), "true or false".to_owned()),
            ParamKind::Word(words) => {
                (words.contains(&value), format!("one of {}", words.join(", ")))
            }
            ParamKind::Words(words) => (
                value.is_empty() || value.split(',').all(|word| words.contains(&word)),
                format!("a list, with commas, of some of {}", words.join(", ")),
            ),
            ParamKind::Number(from, to) => (
                value.parse().is_ok_and(|number: i64| (from..=to).contains(&number)),
                format!("a whole number from {from} to {to}"),
            ),
        };
        is_right.then_some(()).ok_or_else(|| Problem::invalid(format!("{name} must be {wanted}")))
    }
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Found {
    /// The route's place among all.
    pub(crate) number: usize,
    pub(crate) route: &'static Route,
    /// What stands in the path where the route has names.
    pub(crate) parts: BTreeMap<&'static str, String>,
}

/// Finds what a request asks for. What asks for the head is the same as what asks for all.
pub(crate) fn find(request: &Request) -> Result<Found, Problem> {
    let method = match &request.method {
        &Method::HEAD => "GET",
        method => method.as_str(),
    };
    let mut allowed = Vec::new();
    for (number, route) in ROUTES.iter().enumerate() {
        let Some(parts) = matches(route.path, request)? else { continue };
        if route.method == method {
            return Ok(Found { number, route, parts });
        }
        allowed.push(route.method);
        if route.method == "GET" {
            allowed.push("HEAD");
        }
    }
    match allowed.is_empty() {
        true => Err(Problem::not_found("there is nothing at this path; see /openapi.json")),
        false => Err(Problem::method(allowed.join(", "))),
    }
}

/// The parts of the path under their names, if it is that path.
fn matches(
    path: &'static str,
    request: &Request,
) -> Result<Option<BTreeMap<&'static str, String>>, Problem> {
    let wanted = path.split('/').filter(|part| !part.is_empty());
    if wanted.clone().count() != request.path.len() {
        return Ok(None);
    }
    let mut parts = BTreeMap::new();
    for (wanted, part) in wanted.zip(&request.path) {
        match name(wanted) {
            Some(name) => {
                let text = String::from_utf8(part.to_vec());
                let wrong = |_| Problem::invalid(format!("{name} in the path must be UTF-8"));
                parts.insert(name, text.map_err(wrong)?);
            }
            None if part == wanted.as_bytes() => {}
            None => return Ok(None),
        }
    }
    Ok(Some(parts))
}

/// The name that a part of a path has, if it is not fixed.
pub(crate) fn name(part: &'static str) -> Option<&'static str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use broker::observe::state::NodeKind;
    use bytes::Bytes;
    use door::http::{HeaderMap, Query};

    use super::*;

    fn request(method: Method, path: &[&'static str]) -> Request {
        Request {
            method,
            path: path.iter().map(|part| Bytes::from_static(part.as_bytes())).collect(),
            query: Query::default(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn requests_find_their_routes_whatever_names_contain() {
        let found = find(&request(Method::HEAD, &["api", "v1", "topics", "a/b"])).unwrap();
        assert_eq!((found.route.operation, &*found.parts["topic"]), ("topics_get", "a/b"));
        let found = find(&request(Method::POST, &["api", "v1", "topics", "a", "messages"]));
        assert_eq!(found.unwrap().route.operation, "messages_publish");
        for (method, path, status) in [
            (Method::GET, &["nothing"][..], 404),
            (Method::POST, &[], 405),
            (Method::POST, &["metrics"], 405),
            (Method::OPTIONS, &["api", "v1", "topics"], 405),
        ] {
            let problem = find(&request(method, path)).unwrap_err();
            assert_eq!(problem.into_answer().status.as_u16(), status, "{path:?}");
        }
    }

    #[test]
    fn all_kinds_of_things_can_be_asked_for() {
        assert_eq!(KINDS, NodeKind::ALL.map(NodeKind::word));
    }

    #[test]
    fn what_is_in_the_query_is_looked_at_before_a_handler_is() {
        let route = |operation| ROUTES.iter().find(|route| route.operation == operation).unwrap();
        let (history, read) = (route("history_show"), route("messages_read"));
        for (route, query, is_right) in [
            (history, "", false),
            (history, "family=", false),
            (history, "family=a&part=mean", false),
            (history, "family=a&part=p99&labels=&other=x", true),
            (read, "rate=null", false),
            (read, "rate=0", false),
            (read, "offset=", false),
            (read, "rate=1&offset=0&from=latest", true),
            (route("state_show"), "kinds=", true),
            (route("state_show"), "kinds=topic,queue", true),
            (route("state_show"), "kinds=topic,", false),
            (read, "offset=9223372036854775808", false),
            (route("groups_reset"), "dry_run=1", false),
        ] {
            assert_eq!(route.check(&Query::parse(query)).is_ok(), is_right, "{route:?} {query}");
        }
    }

    #[test]
    fn no_two_routes_are_the_same_and_what_changes_something_asks_who_it_is() {
        let (mut seen, mut operations) = (BTreeSet::new(), BTreeSet::new());
        for route in ROUTES {
            assert!(seen.insert((route.method, route.path)), "{route:?}");
            assert!(operations.insert(route.operation), "{route:?}");
            assert!(route.method == "GET" || route.login == Login::Always, "{route:?}");
            assert!(route.path.starts_with("/api/v1/") || route.method == "GET", "{route:?}");
        }
    }
}
