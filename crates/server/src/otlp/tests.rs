use std::net::Ipv4Addr;

use base::{ManualClock, TopicId};
use broker::observe::trace::{Begin, Context, SpanRef, Step, Stored, Who};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const CONTEXT: Context = Context {
    trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
    span_id: 0x00f0_67aa_0ba9_02b7,
    flags: 1,
};

fn observe() -> Arc<Observe> {
    Observe::new(Arc::new(ManualClock::at(1_700_000_000_000)))
}

fn begin(observe: &Observe, step: Step) -> SpanRef {
    let who = Who::new("d", &"L".into(), Some((Ipv4Addr::LOCALHOST, 1234).into()));
    Arc::clone(&who).run(|| Who::call_current("me"));
    let (who, stored) = match step {
        Step::Receive => (Some(who), None),
        _ => (None, Some(Stored { topic: TopicId(1), partition: 1, offset: Some(300) })),
    };
    let destination = if step == Step::Receive { "a.b" } else { "kept" };
    let begin = Begin { context: CONTEXT, step, parent: None, who, destination, stored };
    observe.traces.begin(begin).unwrap()
}

fn sender() -> Sender {
    Sender { version: "1.2.3", instance: "7".to_owned() }
}

/// What OpenTelemetry's own classes (its Python package `opentelemetry-proto` 1.45.2) write of the same.
#[test]
fn a_request_is_as_opentelemetry_has_it() {
    let observe = observe();
    begin(&observe, Step::Receive);
    begin(&observe, Step::Deliver);
    let mut spans = observe.traces.trace(CONTEXT.trace_id);
    for (span, id) in spans.iter_mut().zip([0x0a0b, 0x0c0d]) {
        (span.span_id, span.start) = (id, 1_700_000_000_000_000_000);
        span.taken = Some(Duration::from_nanos(1500));
    }
    spans[0].error = Some("a queue is full".to_owned());
    spans[0].facts.push(("receivers", "2".to_owned()));
    spans[1].parent_id = 0x0a0b;
    let hex: String = include_str!("golden.hex").split_whitespace().collect();
    let made = sender().request(&spans).into_iter().map(|byte| format!("{byte:02x}"));
    assert_eq!(made.collect::<String>(), hex);
}

/// Takes a request; its head and its body.
async fn take(listener: &TcpListener) -> (TcpStream, String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "a whole request");
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if bytes.len() == end + 4 + length.unwrap().parse::<usize>().unwrap() {
            return (stream, head, bytes[end + 4..].to_vec());
        }
    }
}

async fn collector() -> (TcpListener, Target) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let target = Target::parse(&address, "x-key=secret").unwrap();
    (listener, target)
}

fn dropped(observe: &Observe) -> bool {
    let wanted = |family: &broker::observe::Family| family.name == "entrepot_spans_dropped_total";
    observe.registry.gather(&wanted).iter().any(|one| !one.series.is_empty())
}

#[tokio::test]
async fn what_is_over_is_sent_and_sent_again_where_that_helps() {
    let (observe, (listener, target)) = (observe(), collector().await);
    let exporter = Exporter::start_as(target, sender(), &observe);
    let span = begin(&observe, Step::Receive);
    observe.traces.end(span, |_| {});
    let (mut stream, head, first) = take(&listener).await;
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: application/x-protobuf\r\n"), "{head}");
    assert!(head.contains("\r\nx-key: secret"), "{head}");
    let later = b"HTTP/1.1 503 Later\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(later).await.unwrap();
    let (mut stream, _, again) = take(&listener).await;
    assert_eq!(again, first);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    // What waits when the broker stops is sent, too.
    let span = begin(&observe, Step::Deliver);
    observe.traces.end(span, |_| {});
    let stopping = tokio::spawn(exporter.stop());
    let (mut stream, _, last) = take(&listener).await;
    assert!(last != first && last.windows(4).any(|four| four == b"kept"));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    stopping.await.unwrap();
    assert!(!dropped(&observe));
}

#[tokio::test]
async fn what_is_refused_for_good_is_counted_and_others_have_their_turn() {
    let (observe, (listener, target)) = (observe(), collector().await);
    let exporter = Exporter::start_as(target, sender(), &observe);
    let span = begin(&observe, Step::Receive);
    observe.traces.end(span, |_| {});
    let (mut stream, _, first) = take(&listener).await;
    stream.write_all(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let span = begin(&observe, Step::Deliver);
    observe.traces.end(span, |_| {});
    let (_unanswered, _, second) = take(&listener).await;
    assert_ne!(second, first);
    assert!(dropped(&observe));
    // Nobody answers: the broker's end waits for it no longer than it must.
    timeout(Duration::from_secs(30), exporter.stop()).await.unwrap();
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_nothing_up_and_what_has_no_room_is_counted() {
    let observe = observe();
    let (listener, target) = collector().await;
    // It takes connections, and never answers.
    let exporter = Exporter::start_as(target, sender(), &observe);
    for number in 0..u128::try_from(WAITING_MAX + BATCH_MAX + 10).unwrap() {
        let context = Context { trace_id: number + 1, ..CONTEXT };
        let (step, destination) = (Step::Deliver, "a");
        let begin = Begin { context, step, parent: None, who: None, destination, stored: None };
        let span = observe.traces.begin(begin).unwrap();
        observe.traces.end(span, |_| {});
    }
    assert!(dropped(&observe), "at once");
    drop(listener);
    timeout(Duration::from_secs(30), exporter.stop()).await.unwrap();
}
