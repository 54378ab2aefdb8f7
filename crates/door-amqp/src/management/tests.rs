use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::ManualClock;
use broker::exchanges::{ExchangeFlow, SpaceFlow};
use broker::live::Batch;
use broker::{BrokerOptions, Message};
use bytes::Bytes;
use door::http::{Query, Reply};
use serde_json::{Value as Json, json};

use super::body::Body;
use super::rates::{Rates, Watched};
use super::refusal::Refusal;
use super::stats::Figures;
use super::{json, page, text};
use crate::wire::table::{ArrayBuf, TableBuf, Value};

fn body(json: &Json) -> Body {
    Body::parse(json.to_string().as_bytes(), 100).unwrap()
}

#[test]
fn a_table_is_shown_as_json_and_read_back_as_far_as_that_knows_types() {
    let mut array = ArrayBuf::default();
    array.push(Value::I8(-1));
    array.push(Value::Void);
    let inner = TableBuf::default().with(b"a", Value::F64(1.5));
    let table = TableBuf::default()
        .with(b"bool", Value::Bool(true))
        .with(b"decimal", Value::Decimal { scale: 2, digits: 1234 })
        .with(b"list", Value::Array(array.array()))
        .with(b"nan", Value::F64(f64::NAN))
        .with(b"text", Value::String(b"t\xff"))
        .with(b"time", Value::Timestamp(7))
        .with(b"within", Value::Table(inner.table()));
    let shown = json::of_table(table.table());
    let wanted = json!({
        "bool": true, "decimal": 12.34, "list": [-1, null], "nan": null, "text": "t\u{fffd}",
        "time": 7, "within": { "a": 1.5 },
    });
    assert_eq!(shown, wanted);
    let back = json::to_table(wanted.as_object().unwrap()).unwrap();
    assert_eq!(json::of_table(back.table()), wanted);
    assert_eq!(back.table().get(b"time"), Some(Value::I64(7)));
}

#[test]
fn json_that_is_no_table_is_refused() {
    let long = json!({ "a".repeat(256): 1 });
    assert!(json::to_table(long.as_object().unwrap()).is_err());
    let deep = (0..40).fold(json!(1), |within, _| json!({ "a": within }));
    assert!(json::to_table(deep.as_object().unwrap()).is_err());
    let flat = (0..20).fold(json!(1), |within, _| json!({ "a": within }));
    assert!(json::to_table(flat.as_object().unwrap()).is_ok());
}

#[test]
fn numbers_and_truth_may_be_written_as_texts() {
    let body = body(&json!({
        "yes": true, "also": "true", "no": "false", "count": "5", "number": 6, "wrong": "maybe", "null": null,
        "empty": [], "tags": "a, b,",
    }));
    let flag = |name| body.flag(name).map_err(|refusal| refusal.reason);
    assert_eq!(
        (flag("yes"), flag("also"), flag("no"), flag("none")),
        (Ok(true), Ok(true), Ok(false), Ok(false))
    );
    assert_eq!(flag("wrong").unwrap_err(), "wrong is to be true or false, not a text");
    assert_eq!(flag("null"), Ok(false));
    assert_eq!(body.number("count").unwrap(), Some(5));
    assert_eq!(body.number("number").unwrap(), Some(6));
    assert!(body.number("wrong").is_err() && body.number("yes").is_err());
    assert!(body.table("empty").unwrap().table().is_empty() && body.table("yes").is_err());
    assert_eq!(body.tags().unwrap(), ["a", "b"]);
    assert_eq!(body.needed("none").unwrap_err().reason, "key_missing: none");
    assert!(
        Body::parse(b" \n", 1).is_ok()
            && Body::parse(b"[]", 9).is_err()
            && Body::parse(b"{", 9).is_err()
    );
}

/// The whole text of an answer, and of how many pieces it is.
async fn whole(reply: Reply) -> (String, usize) {
    match reply {
        Reply::Whole(answer) => (text(&answer.body), 1),
        Reply::Stream(answer, mut more) => {
            let (mut whole, mut count) = (answer.body.to_vec(), 1);
            while let Some(piece) = more.recv().await {
                whole.extend_from_slice(&piece);
                count += 1;
            }
            (text(&whole), count)
        }
        Reply::Upgrade(..) => panic!("it is a list"),
    }
}

async fn reply(query: &str) -> Result<Json, Refusal> {
    let items = vec![("b", 1), ("a", 3), ("c", 2), ("ab", 0)];
    let show = |(name, size): &(&str, i32)| json!({ "name": name, "of": { "size": size, "x": 0 } });
    let name = |(name, _): &(&str, i32)| (*name).to_owned();
    let answer = page::reply(&Query::parse(query), items, name, show).await?;
    Ok(serde_json::from_str(&whole(answer).await.0).unwrap())
}

fn names(json: &Json) -> Vec<&str> {
    json.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_sorted_by_any_column() {
    assert_eq!(names(&reply("").await.unwrap()), ["b", "a", "c", "ab"]);
    assert_eq!(names(&reply("sort=name").await.unwrap()), ["a", "ab", "b", "c"]);
    assert_eq!(
        names(&reply("sort=of.size&sort_reverse=true").await.unwrap()),
        ["a", "c", "b", "ab"]
    );
    assert_eq!(
        names(&reply("sort=none").await.unwrap()),
        ["b", "a", "c", "ab"],
        "the order is kept"
    );
}

#[tokio::test]
async fn a_list_is_cut_into_pages() {
    let page = reply("page=2&page_size=3").await.unwrap();
    assert_eq!(names(&page["items"]), ["ab"]);
    let figures =
        ["total_count", "item_count", "filtered_count", "page", "page_size", "page_count"];
    assert_eq!(figures.map(|name| page[name].as_u64().unwrap()), [4, 1, 4, 2, 3, 2]);
    let filtered = reply("page=1&name=A&page_size=1&sort=name").await.unwrap();
    assert_eq!(names(&filtered["items"]), ["a"]);
    assert_eq!((&filtered["filtered_count"], &filtered["page_count"]), (&json!(2), &json!(2)));
    let by_pattern = reply("page=1&name=%5Eab%3F%24&use_regex=true").await.unwrap();
    assert_eq!(names(&by_pattern["items"]), ["a", "ab"]);
    for bad in
        ["page=0", "page=x", "page=1&page_size=501", "page=1&name=(&use_regex=true", "page=9"]
    {
        assert!(reply(bad).await.is_err(), "{bad}");
    }
    assert!(reply("page=18446744073709551615&page_size=500").await.is_err());
}

#[tokio::test]
async fn a_list_is_cut_to_columns() {
    let cut = reply("columns=of.size&page=1&page_size=1").await.unwrap();
    assert_eq!(cut["items"], json!([{ "of": { "size": 1 } }]));
    assert_eq!(reply("columns=name").await.unwrap()[0], json!({ "name": "b" }));
}

#[tokio::test]
async fn a_long_list_is_made_as_it_is_taken() {
    const COUNT: usize = 100_000;
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let show = move |number: &usize| {
        counted.fetch_add(1, Ordering::Relaxed);
        json!({ "number": number, "text": "x".repeat(100) })
    };
    let columns = Query::parse("columns=number,text");
    let backwards = Query::parse("sort=number&sort_reverse=true&page=1&page_size=2");
    let list = || page::reply(&columns, (0..COUNT).collect(), usize::to_string, show.clone());
    let Ok(Reply::Stream(first, mut more)) = list().await else { panic!("it is long") };
    assert!(first.body.len() < 70_000);
    // Whoever makes it has made all that there is room for, and waits.
    while more.len() < door::http::PIECES_MAX {
        tokio::task::yield_now().await; // poll: until it is full, which takes a turn for each piece
    }
    tokio::task::yield_now().await;
    assert!(made.load(Ordering::Relaxed) < COUNT / 5, "{made:?}");
    assert!(more.recv().await.is_some());
    drop(more);
    let (text, pieces) = whole(list().await.unwrap()).await;
    let all: Vec<Json> = serde_json::from_str(&text).unwrap();
    assert!(pieces > 100 && all.iter().enumerate().all(|(at, one)| one["number"] == at));
    assert_eq!(all.len(), COUNT);
    let last = page::reply(
        &backwards,
        (0..COUNT).collect(),
        usize::to_string,
        |number: &usize| json!({ "number": number }),
    );
    let last: Json = serde_json::from_str(&whole(last.await.unwrap()).await.0).unwrap();
    assert_eq!(
        (&last["items"], &last["total_count"]),
        (&json!([{ "number": COUNT - 1 }, { "number": COUNT - 2 }]), &json!(COUNT))
    );
}

#[test]
fn a_refusal_says_what_and_why() {
    let answer = Refusal::bad("because").into_answer();
    assert_eq!(text(&answer.body), r#"{"error":"bad_request","reason":"because"}"#);
    assert_eq!(answer.status.as_u16(), 400);
    let answer = Refusal::not_allowed("look").into_answer();
    assert!(answer.headers.contains_key("www-authenticate"));
}

#[test]
fn values_are_counted_before_any_is_made() {
    let text = br#"{"a":"[,{\",","b":[1,{}]}"#;
    assert!(Body::parse(text, 6).is_ok(), "what stands in texts is no value");
    assert!(Body::parse(text, 5).is_err());
    assert!(Body::parse(br#"{"a\\":[1,2,3]}"#, 4).is_err(), "an escaped backslash escapes nothing");
}

#[test]
fn rates_are_of_what_changed_between_two_samples() {
    let figures = |came, ready| {
        let flow =
            SpaceFlow { ready, exchanges: ExchangeFlow { came, went: 0 }, ..Default::default() };
        Figures::of_space(&flow, &[])
    };
    let (now, past) = (figures(30, 2), figures(10, 7));
    let rates = now.per_second(&past, 5000);
    assert_eq!((rates[0], rates[14], rates[15]), (4.0, -1.0, -1.0));
    assert_eq!(now.per_second(&past, 0), [0.0; 17], "a clock that stands");
}

#[tokio::test]
async fn samples_are_taken_of_what_somebody_looks_at_and_until_nobody_does() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(1000);
    let change = |options: &mut BrokerOptions| options.clock = Arc::new(clock.clone());
    let (broker, _store) = broker::testing::start(dir.path(), change).await;
    let rates = Rates::new(broker.clone(), Arc::default());
    assert!(!rates.sample(), "nobody asks, and nobody looks");
    let space = Bytes::from_static(b"v");
    let (watched, none) = (Watched::Unnamed(space.clone()), Figures::default());
    assert_eq!(rates.of(&watched, &none), Some([0.0; 17]), "nothing is known yet");
    let mut routes = broker.new_exchange_routes(space);
    let route = routes.find(&broker, b"", b"k", &[], Default::default).unwrap();
    for _ in 0..10 {
        let mut batch = Batch::default();
        broker.route_to_queues(&route, &Message::default(), &mut batch).unwrap();
    }
    clock.advance(5000);
    assert!(rates.sample());
    assert_eq!(rates.of(&watched, &none).map(|rates| rates[1]), Some(2.0), "ten in five seconds");
    clock.advance(30_000);
    assert!(rates.sample());
    assert_eq!(rates.of(&watched, &none).map(|rates| rates[1]), Some(0.0));
    clock.advance(60_000);
    assert!(!rates.sample(), "nobody has asked for a minute");
    assert_eq!(rates.watched(), 0);
    broker.stop().await;
}
