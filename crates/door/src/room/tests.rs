use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::time::{advance, timeout};

use super::*;

const MIB: usize = 1 << 20;

async fn claimed(connection: &ConnectionRoom, bytes: usize) -> Claim {
    let mut claim = Claim::default();
    connection.grow(&mut claim, bytes).await;
    claim
}

fn is_pending(future: std::pin::Pin<&mut impl Future>) -> bool {
    matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

#[tokio::test]
async fn room_is_given_back_and_given_out_in_turn() {
    let room = RequestRoom::new(4 * MIB);
    let connection = room.of_connection();
    let (one, two) = (claimed(&connection, 3 * MIB).await, claimed(&connection, MIB / 2).await);
    let mut large = pin!(claimed(&connection, 2 * MIB));
    assert!(is_pending(large.as_mut()));
    // There is room for it, but somebody was first.
    let mut small = pin!(claimed(&connection, MIB / 2));
    assert!(is_pending(small.as_mut()));
    drop(one);
    let _large = large.await;
    let _small = small.await;
    drop(two);
    claimed(&connection, MIB).await;
}

#[tokio::test]
async fn a_request_claims_only_what_is_more_than_it_has() {
    let room = RequestRoom::new(MIB);
    let connection = room.of_connection();
    let mut claim = claimed(&connection, MIB / 2).await;
    connection.grow(&mut claim, MIB).await;
    connection.grow(&mut claim, 10).await;
    assert_eq!(claim.units() * UNIT_BYTES, MIB);
    let unlimited = RequestRoom::unlimited().of_connection();
    unlimited.grow(&mut claim, usize::MAX).await;
}

#[tokio::test(start_paused = true)]
async fn the_slowest_is_evicted_when_somebody_waits_and_only_then() {
    let room = RequestRoom::new(3 * MIB);
    let (stalled, moving, working) =
        (room.of_connection(), room.of_connection(), room.of_connection());
    let stalled_claim = claimed(&stalled, MIB).await;
    let _working_claim = claimed(&working, 100_000).await.at_work();
    advance(GRACE * 3).await;
    let mut moving_claim = claimed(&moving, MIB).await;
    advance(GRACE * 2).await;
    let evictions = [stalled.eviction(), moving.eviction(), working.eviction()];
    let [mut first, mut second, mut third] =
        evictions.each_ref().map(|eviction| Box::pin(eviction.happens()));
    assert!(is_pending(first.as_mut()), "nobody waits");
    let waits = room.of_connection();
    let wait = tokio::spawn(async move { claimed(&waits, 2 * MIB).await });
    first.as_mut().await;
    // One after the other.
    advance(GRACE).await;
    assert!(is_pending(second.as_mut()));
    drop(stalled_claim);
    // It is what is slowest now.
    second.as_mut().await;
    moving.grow(&mut moving_claim, MIB).await;
    drop(moving_claim);
    wait.await.unwrap();
    assert!(is_pending(third.as_mut()), "it is not the client that it waits for");
}

#[tokio::test(start_paused = true)]
async fn where_all_wait_for_room_the_largest_goes() {
    let room = RequestRoom::new(3 * MIB);
    let (large, small) = (room.of_connection(), room.of_connection());
    let mut large_claim = claimed(&large, 2 * MIB).await;
    let mut small_claim = claimed(&small, MIB).await;
    let (evicts_large, evicts_small) = (large.eviction(), small.eviction());
    let mut evicted = pin!(evicts_small.happens());
    let begun = Instant::now();
    tokio::select! {
        () = small.grow(&mut small_claim, 2 * MIB) => panic!("there is no room"),
        () = large.grow(&mut large_claim, 3 * MIB) => panic!("there is no room"),
        () = evicts_large.happens() => {}
        () = &mut evicted => panic!("it has less"),
    }
    assert!(begun.elapsed() >= GRACE);
    drop(large_claim);
    small.grow(&mut small_claim, 2 * MIB).await;
    assert!(is_pending(evicted.as_mut()));
}

#[tokio::test(start_paused = true)]
async fn who_has_just_begun_is_left_alone() {
    let room = RequestRoom::new(MIB);
    let (new, waits) = (room.of_connection(), room.of_connection());
    let claim = claimed(&new, MIB).await;
    let eviction = new.eviction();
    let mut evicted = pin!(eviction.happens());
    let mut wait = pin!(claimed(&waits, MIB));
    let either = async {
        tokio::select! {
            _ = &mut wait => panic!("there is no room"),
            () = &mut evicted => panic!("too soon"),
        }
    };
    assert!(timeout(GRACE - LOOK_PERIOD * 2, either).await.is_err());
    drop(claim);
    wait.await;
}
