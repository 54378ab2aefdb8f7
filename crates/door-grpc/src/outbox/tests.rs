use std::task::Waker;

use super::*;

type Numbers = Outbox<u32, Vec<u32>>;

fn numbers() -> Arc<Numbers> {
    let observe = observe::Observe::new(Arc::new(base::ManualClock::default()));
    Outbox::new(|all| all, usize::MAX, &Arc::new(DoorFigures::new(&observe, "test")))
}

fn next(outbox: &Numbers) -> Poll<Option<Result<Vec<u32>, Status>>> {
    let cx = Context::from_waker(Waker::noop());
    outbox.poll(&cx, |count| vec![u32::MAX, u32::try_from(count).unwrap()])
}

fn some(outbox: &Numbers) -> Vec<u32> {
    match next(outbox) {
        Poll::Ready(Some(Ok(all))) => all,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_more_is_sent_than_there_is_credit_for() {
    let outbox = numbers();
    assert_eq!(outbox.push(1, 10), Put::First);
    assert_eq!((outbox.push(2, 10), outbox.push(3, 10)), (Put::Yes, Put::Yes));
    assert!(next(&outbox).is_pending());
    outbox.add_credit(2);
    assert_eq!(some(&outbox), [1, 2]);
    assert!(next(&outbox).is_pending());
    outbox.add_credit(5);
    assert_eq!(some(&outbox), [3]);
    assert_eq!(outbox.free(), 4);
}

#[test]
fn an_answer_to_what_was_said_goes_before_messages_and_needs_no_credit() {
    let outbox = numbers();
    outbox.push(1, 10);
    outbox.control(vec![7, 7]);
    assert_eq!(some(&outbox), [7, 7]);
    assert!(next(&outbox).is_pending());
}

#[test]
fn what_is_offered_is_refused_without_credit_or_room() {
    let outbox = numbers();
    assert!(!outbox.offer(|| (1, 10)));
    outbox.add_credit(3);
    assert!(outbox.offer(|| (1, PENDING_BYTES_HIGH)));
    assert!(!outbox.offer(|| (2, 10)), "a lot is pending");
    assert_eq!(some(&outbox), [1]);
    assert!(outbox.offer(|| (2, 10)) && outbox.offer(|| (3, 10)));
    assert!(!outbox.offer(|| (4, 10)), "two are out, and one was sent");
}

#[test]
fn what_finds_no_room_is_told_of_behind_what_did() {
    let outbox = numbers();
    assert_eq!(outbox.push(1, PENDING_BYTES_MAX), Put::First);
    assert_eq!(outbox.push(2, 10), Put::Full);
    outbox.miss();
    outbox.add_credit(1);
    assert_eq!(some(&outbox), [1]);
    assert_eq!(some(&outbox), [u32::MAX, 1]);
    assert!(next(&outbox).is_pending());
}

#[test]
fn one_that_is_larger_than_all_may_have_goes_through_alone() {
    let outbox = numbers();
    outbox.add_credit(9);
    assert_eq!(outbox.push(1, 2 * PENDING_BYTES_MAX), Put::First);
    assert_eq!(some(&outbox), [1]);
}

#[test]
fn the_end_comes_behind_what_can_be_sent_and_at_once_if_it_must() {
    let outbox = numbers();
    outbox.add_credit(1);
    outbox.push(1, 10);
    outbox.finish(Err(Status::not_found("it")));
    assert_eq!(outbox.push(2, 10), Put::Closed);
    assert_eq!(some(&outbox), [1]);
    let Poll::Ready(Some(Err(status))) = next(&outbox) else { panic!("no end") };
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert!(matches!(next(&outbox), Poll::Ready(None)));

    let outbox = numbers();
    outbox.add_credit(1);
    outbox.push(1, 10);
    outbox.fail(Status::aborted("now"));
    assert!(matches!(next(&outbox), Poll::Ready(Some(Err(_)))));
}

#[tokio::test]
async fn publishers_wait_until_little_is_pending() {
    let outbox = numbers();
    outbox.add_credit(9);
    outbox.push(1, PENDING_BYTES_HIGH);
    assert_eq!(outbox.push(2, 10), Put::Slow);
    let waits = std::future::poll_fn(|cx| outbox.poll_little(cx));
    let mut waits = std::pin::pin!(waits);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    assert_eq!(some(&outbox), [1]);
    assert!(waits.as_mut().poll(&mut cx).is_ready());
}
