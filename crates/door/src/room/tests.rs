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
async fn where_all_wait_for_room_the_oldest_goes() {
    let room = RequestRoom::new(3 * MIB);
    let (old, new) = (room.of_connection(), room.of_connection());
    let mut old_claim = claimed(&old, MIB).await;
    advance(GRACE * 2).await;
    let mut new_claim = claimed(&new, 2 * MIB).await;
    let (evicts_old, evicts_new) = (old.eviction(), new.eviction());
    let mut evicted = pin!(evicts_new.happens());
    tokio::select! {
        () = old.grow(&mut old_claim, 2 * MIB) => panic!("there is no room"),
        () = new.grow(&mut new_claim, 3 * MIB) => panic!("there is no room"),
        () = evicts_old.happens() => {}
        () = &mut evicted => panic!("it came later"),
    }
    drop(old_claim);
    new.grow(&mut new_claim, 3 * MIB).await;
    assert!(is_pending(evicted.as_mut()));
}

/// A hundred that hold and want what there is, and began at one moment: whoever comes after them
/// has its turn soon, and is none of those who go.
#[tokio::test(start_paused = true)]
async fn a_crowd_that_stands_still_goes_soon_and_newcomers_stay() {
    const PART: usize = MIB / 2;
    let room = RequestRoom::new(100 * PART);
    let crowd = Vec::from_iter((0..100).map(|_| room.of_connection()));
    let mut claims = Vec::new();
    for connection in &crowd {
        claims.push(claimed(connection, PART).await);
    }
    let begun = Instant::now();
    for (connection, mut claim) in crowd.into_iter().zip(claims) {
        tokio::spawn(async move {
            let eviction = connection.eviction();
            tokio::select! {
                () = eviction.happens() => {}
                // It never ends, even with more room.
                () = async {
                    connection.grow(&mut claim, 2 * PART).await;
                    std::future::pending::<()>().await;
                } => {}
            }
        });
    }
    let newcomer = room.of_connection();
    let eviction = newcomer.eviction();
    tokio::select! {
        () = eviction.happens() => panic!("the others came before"),
        _ = async {
            // As its bytes come in, each time behind all who wait.
            let mut claim = claimed(&newcomer, PART / 2).await;
            newcomer.grow(&mut claim, PART + MIB / 16).await;
            newcomer.grow(&mut claim, MIB).await;
        } => {}
    }
    let took = begun.elapsed();
    assert!(took < GRACE + LOOK_PERIOD * 5, "{took:?}");
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
