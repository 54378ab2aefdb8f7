use std::sync::Arc;
use std::time::Duration;

use base::{ManualClock, TopicId};
use tokio::sync::mpsc;

use super::*;
use crate::Observe;
use crate::registry::{Registry, Value};

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const GOOD: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn traces() -> Arc<Traces> {
    Arc::new(Traces::new(Arc::new(ManualClock::at(1_700_000_000_000))))
}

fn context(span_id: u64) -> Context {
    Context { trace_id: TRACE, span_id, flags: 1 }
}

fn step(context: Context, step: Step, stored: Option<Stored>) -> Begin<'static> {
    Begin { context, step, parent: None, who: None, destination: "a", stored }
}

fn place(offset: Option<i64>) -> Option<Stored> {
    Some(Stored { topic: TopicId(7), partition: 1, offset })
}

/// What is counted as dropped.
fn dropped(traces: &Arc<Traces>, reason: &str) -> u64 {
    let registry = Registry::default();
    registry.ask(traces);
    let gathered = registry.gather(&|family| family.name == "entrepot_spans_dropped_total");
    let series = gathered.iter().flat_map(|one| &one.series);
    let of = series.filter(|(labels, _)| &*labels[0] == reason).map(|(_, value)| value.clone());
    of.fold(0, |sum, value| if let Value::Counter(count) = value { sum + count } else { sum })
}

#[test]
fn what_a_message_says_is_read_as_the_specification_has_it() {
    let read = Context::parse(GOOD).unwrap();
    assert_eq!(read, Context { trace_id: TRACE, span_id: 0x00f0_67aa_0ba9_02b7, flags: 1 });
    let later = b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
    assert_eq!(Context::parse(later), Some(read));
    for bad in [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47+6-00f067aa0ba902b7-01",
    ] {
        assert_eq!(Context::parse(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn only_what_is_marked_is_followed() {
    let unmarked = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02";
    let of = |name: &'static [u8], value| Context::sampled([(name, value)].into_iter());
    assert_eq!(of(b"TraceParent", Some(GOOD)).map(|found| found.trace_id), Some(TRACE));
    assert_eq!(of(b"traceparent", Some(unmarked)), None);
    assert_eq!(of(b"traceparent", None), None);
    assert_eq!(of(b"tracestate.", Some(GOOD)), None);
}

#[test]
fn a_step_is_part_of_what_brought_its_message_there() {
    let traces = traces();
    let other = traces.begin(step(context(2), Step::Receive, None)).unwrap();
    let received = traces.begin(step(context(1), Step::Receive, None)).unwrap();
    let stored = traces.begin(step(context(1), Step::Store, place(None))).unwrap();
    // Before it is known where it is: consumers may be as fast.
    let early = traces.begin(step(context(1), Step::Deliver, place(Some(5)))).unwrap();
    traces.end(stored, |span| span.stored = place(Some(5)));
    let late = traces.begin(step(context(1), Step::Deliver, place(Some(5)))).unwrap();
    let elsewhere = traces.begin(step(context(1), Step::Deliver, place(Some(6)))).unwrap();
    let live = traces.begin(step(context(1), Step::Deliver, None)).unwrap();
    let unknown = traces.begin(step(context(9), Step::Deliver, None)).unwrap();
    let spans = traces.trace(TRACE);
    let parent = |of: SpanRef| spans.iter().find(|s| s.span_id == of.span_id).unwrap().parent_id;
    assert_eq!((parent(other), parent(received), parent(stored)), (2, 1, received.span_id));
    assert_eq!((parent(early), parent(late)), (stored.span_id, stored.span_id));
    assert_eq!((parent(elsewhere), parent(live)), (received.span_id, received.span_id));
    assert_eq!(parent(unknown), 9, "what is not known any more: what the message says");
    let there = traces.stored_in(TopicId(7), 1, 0..6);
    assert_eq!(there, [(5, context(1), stored)]);
    assert!(traces.is_any_placed());
    assert!(traces.stored_in(TopicId(7), 1, 0..5).is_empty());
    assert!(traces.stored_in(TopicId(7), 0, 0..6).is_empty());
}

#[test]
fn the_oldest_go_and_take_all_with_them_that_is_known_of_them() {
    let traces = traces();
    for number in 0..SPANS_MAX as u64 + 3 {
        let context = Context { trace_id: TRACE + u128::from(number), span_id: 1, flags: 1 };
        let stored = place(i64::try_from(number).ok());
        let span = traces.begin(step(context, Step::Store, stored)).unwrap();
        traces.end(span, |_| {});
    }
    assert!(traces.trace(TRACE + 2).is_empty());
    assert_eq!(traces.trace(TRACE + 3).len(), 1);
    assert_eq!(traces.stored_in(TopicId(7), 1, 0..10).first().unwrap().0, 3);
    assert_eq!(dropped(&traces, "oldest"), 3);
    assert_eq!(traces.changed(0, usize::MAX, |_| true).spans.len(), SPANS_MAX);
}

#[test]
fn there_are_never_too_many_of_one_trace_or_in_one_second() {
    let clock = ManualClock::at(0);
    let traces = Arc::new(Traces::new(Arc::new(clock.clone())));
    let begun = (0..600).filter_map(|_| traces.begin(step(context(1), Step::Deliver, None)));
    assert_eq!(begun.count(), 512);
    assert_eq!(dropped(&traces, "trace"), 88);
    let receive = |number: u64| {
        let context = Context { trace_id: u128::from(number) + 1, span_id: 1, flags: 1 };
        traces.begin(step(context, Step::Receive, None)).is_some()
    };
    assert_eq!((0..1200).filter(|number| receive(*number)).count(), 1000);
    assert_eq!(dropped(&traces, "pace"), 200);
    clock.advance(1000);
    assert!(receive(5000));
}

#[tokio::test(start_paused = true)]
async fn how_long_it_took_is_known_and_a_clock_that_was_set_is_believed() {
    let clock = ManualClock::at(1_000_000);
    let traces = Arc::new(Traces::new(Arc::new(clock.clone())));
    let span = traces.begin(step(context(1), Step::Receive, None)).unwrap();
    tokio::time::advance(Duration::from_micros(1500)).await;
    clock.advance(1);
    traces.end(span, |span| span.facts.push(("receivers", "2".to_owned())));
    let second = traces.begin(step(context(1), Step::Deliver, None)).unwrap();
    clock.advance(60_000);
    let third = traces.begin(step(context(1), Step::Deliver, None)).unwrap();
    let spans = traces.trace(TRACE);
    let nanos = |millis: u64| millis * 1_000_000;
    assert_eq!(
        (spans[0].start, spans[0].taken),
        (nanos(1_000_000), Some(Duration::from_micros(1500)))
    );
    assert_eq!((spans[1].span_id, spans[1].start), (second.span_id, nanos(1_000_000) + 1_500_000));
    assert_eq!((spans[2].span_id, spans[2].start), (third.span_id, nanos(1_060_001)));
    assert_eq!(spans[1].taken, None);
}

#[test]
fn readers_read_on_by_what_changed_and_what_is_over_is_sent_on_while_there_is_room() {
    let traces = traces();
    let (to, mut sent) = mpsc::channel(1);
    traces.export_to(to);
    let first = traces.begin(step(context(1), Step::Receive, None)).unwrap();
    let second = traces.begin(step(context(1), Step::Deliver, None)).unwrap();
    let page = traces.changed(0, 10, |_| true);
    assert_eq!((page.spans.len(), page.last), (2, 2));
    traces.end(first, |_| {});
    let page = traces.changed(2, 10, |_| true);
    let ids: Vec<_> = page.spans.iter().map(|span| span.span_id).collect();
    assert_eq!((ids, page.last), (vec![first.span_id], 3));
    assert_eq!(*traces.watch().borrow(), 3);
    traces.end(second, |_| {});
    assert_eq!(sent.try_recv().unwrap().span_id, first.span_id);
    assert!(sent.try_recv().is_err());
    assert_eq!(dropped(&traces, "export"), 1);
}

#[test]
fn they_are_counted() {
    let observe = Observe::new(Arc::new(ManualClock::at(0)));
    observe.traces.begin(step(context(1), Step::Receive, None)).unwrap();
    let gathered = observe.registry.gather(&|family| family.name == "entrepot_spans_total");
    let values: Vec<_> = gathered.iter().flat_map(|one| one.series.values()).collect();
    assert_eq!(values, [&Value::Counter(1)]);
}

#[tokio::test]
async fn a_task_knows_whose_it_is_and_those_that_it_begins_too() {
    assert!(Who::current().is_none());
    let who = Who::new("d", &"L".into(), None);
    let task = async {
        Who::call_current("me");
        let spawned = tokio::spawn(carried(async { Who::current().map(|who| who.door) }));
        (spawned.await.unwrap(), Who::current().unwrap().name().map(ToOwned::to_owned))
    };
    assert_eq!(Arc::clone(&who).scope(task).await, (Some("d"), Some("me".to_owned())));
    let work = || (Who::nobody(|| Who::current().is_none()), Who::current().is_some());
    assert_eq!(who.run(work), (true, true));
    assert!(Who::current().is_none());
}
