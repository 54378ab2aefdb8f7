use base::SystemRandom;

use super::*;
use crate::wire::fetch::{FetchPartition, FetchTopic};

fn session(partitions: i32) -> Session {
    named("t", partitions)
}

fn named(name: &str, partitions: i32) -> Session {
    let partition = |index| FetchPartition { index, ..FetchPartition::default() };
    let partitions = (0..partitions).map(partition).collect();
    let topic = FetchTopic { name: name.into(), partitions, ..FetchTopic::default() };
    Session::new(false, &[topic])
}

fn cache(slots: usize) -> Arc<FetchSessions> {
    Arc::new(FetchSessions::new(slots, Arc::new(SystemRandom)))
}

/// What is wrong with taking this session, if anything is; it is put back.
fn taking(cache: &Arc<FetchSessions>, id: i32, epoch: i32, now: Millis) -> Option<ErrorCode> {
    match cache.take(id, epoch, false, now) {
        Ok(taken) => (taken.put_back() != id).then_some(ErrorCode::UnknownServerError),
        Err(code) => Some(code),
    }
}

const GONE: Option<ErrorCode> = Some(ErrorCode::FetchSessionIdNotFound);
const LATER: Millis = EVICTABLE_AFTER + 1;

#[test]
fn requests_of_a_session_are_numbered() {
    let cache = cache(9);
    let id = cache.open(session(1), 0);
    assert!(id > 0);
    for epoch in 1..4 {
        let wrong = Some(ErrorCode::InvalidFetchSessionEpoch);
        assert_eq!(taking(&cache, id, epoch + 1, 0), wrong, "one was lost");
        assert_eq!(taking(&cache, id, epoch, 0), None);
        assert_eq!(taking(&cache, id, epoch, 0), wrong, "again");
    }
    assert_eq!(taking(&cache, id ^ 1, 1, 0), GONE);
    cache.close(id);
    assert_eq!(taking(&cache, id, 4, 0), GONE);
    assert_eq!(next(i32::MAX), 1);
}

#[test]
fn one_that_names_topics_does_not_turn_to_ids() {
    let cache = cache(9);
    let id = cache.open(session(1), 0);
    let refused = cache.take(id, 1, true, 0).map(|_| ());
    assert_eq!(refused, Err(ErrorCode::FetchSessionTopicIdError));
    assert_eq!(taking(&cache, id, 1, 0), None, "and stays as it was");
}

#[test]
fn a_request_that_overtakes_another_is_refused_and_one_given_up_ends_the_session() {
    let cache = cache(9);
    let id = cache.open(session(1), 0);
    let first = cache.take(id, 1, false, 0).map_err(|code| panic!("{code:?}"));
    let second = taking(&cache, id, 2, 0);
    assert_eq!(second, Some(ErrorCode::InvalidFetchSessionEpoch));
    drop(first);
    assert_eq!(taking(&cache, id, 2, 0), GONE);
    assert_eq!(cache.cache.lock().partitions, 0);
}

#[test]
fn a_full_cache_opens_no_session_while_all_are_young() {
    let cache = cache(2);
    let (a, b) = (cache.open(session(1), 0), cache.open(session(1), 0));
    assert_eq!(cache.open(session(100), EVICTABLE_AFTER), NONE);
    assert_eq!((taking(&cache, a, 1, 0), taking(&cache, b, 1, 0)), (None, None));
    assert_eq!(cache.open(session(0), 0), NONE, "nothing to keep");
    assert_eq!(FetchSessions::new(0, Arc::new(SystemRandom)).open(session(1), 0), NONE);
}

#[test]
fn the_one_that_was_not_used_for_longest_makes_room_for_any() {
    let cache = cache(2);
    let (a, b) = (cache.open(session(9), 0), cache.open(session(9), 0));
    assert_eq!(taking(&cache, a, 1, LATER), None);
    let c = cache.open(session(1), LATER);
    assert_ne!(c, NONE);
    assert_eq!(taking(&cache, b, 1, LATER), GONE);
    assert_eq!(taking(&cache, a, 2, LATER), None);
}

#[test]
fn an_old_one_in_use_makes_room_for_a_larger_one_only() {
    let cache = cache(2);
    let (a, b) = (cache.open(session(3), 0), cache.open(session(2), 0));
    assert_eq!((taking(&cache, a, 1, LATER), taking(&cache, b, 1, LATER)), (None, None));
    assert_eq!(cache.open(session(2), LATER), NONE, "not for one of the same size");
    assert_ne!(cache.open(session(3), LATER), NONE);
    assert_eq!((taking(&cache, a, 2, LATER), taking(&cache, b, 2, LATER)), (None, GONE));
}

#[test]
fn partitions_of_all_sessions_are_counted_and_bounded() {
    let cache = cache(9);
    let third = i32::try_from(PARTITIONS_MAX / 3).unwrap();
    let ids: Vec<_> = (0..3).map(|_| cache.open(session(third), 0)).collect();
    assert!(ids.iter().all(|id| *id != NONE));
    assert_eq!(cache.open(session(third), 0), NONE);
    // One that grows beyond the bound is given up once its request is answered.
    let mut taken = cache.take(ids[0], 1, false, 0).map_err(|code| format!("{code:?}")).unwrap();
    let partition = |index| FetchPartition { index, ..FetchPartition::default() };
    let partitions = (0..9).map(partition).collect();
    let more = FetchTopic { name: "u".into(), partitions, ..FetchTopic::default() };
    taken.session().unwrap().put(&[more]);
    taken.put_back();
    assert_eq!(taking(&cache, ids[0], 2, 0), GONE);
    assert_eq!(cache.cache.lock().partitions, 2 * PARTITIONS_MAX.div_euclid(3));
    // What nobody came back for goes when room is needed.
    let (long, many) = (FORGOTTEN_AFTER + 1, third * 2);
    assert_eq!(cache.open(session(many), FORGOTTEN_AFTER), NONE);
    assert_ne!(cache.open(session(many), long), NONE);
}
