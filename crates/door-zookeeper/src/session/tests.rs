//! Requests and what comes back for them, without a socket.

use std::time::Duration;

use super::*;
use crate::testing::{
    CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED, HELLO, Record, World, ask, event, received,
    record, send, topic,
};

#[tokio::test]
async fn an_event_comes_before_the_reply_that_shows_the_change() {
    let world = World::new(&[]);
    let member = world.client().await;
    let (zxid, error, _) =
        ask(&member, op::GET_CHILDREN, record().text("/brokers/topics").flag(true)).await;
    assert_eq!((zxid, error), (world.zxid(), 0));
    let zxid = world.publish(&[topic("orders", 1, 1)]).await;
    send(&member, 2, op::EXISTS, record().text("/brokers/topics/orders").flag(false)).await;
    let seen = received(&member).await;
    assert_eq!(event(&seen[0]), (CHILDREN_CHANGED, "/brokers/topics".into()));
    assert_eq!((seen[1].0, seen[1].1, seen[1].2), (2, zxid, 0), "the reply, with the new zxid");
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn an_exists_watch_waits_for_a_node_to_come() {
    let world = World::new(&[]);
    let member = world.client().await;
    let path = "/brokers/topics/orders";
    assert_eq!(ask(&member, op::EXISTS, record().text(path).flag(true)).await.1, -101);
    assert_eq!(ask(&member, op::GET_DATA, record().text("/nope").flag(true)).await.1, -101);
    world.publish(&[topic("orders", 1, 1), topic("other", 2, 1)]).await;
    world.catch_up();
    let seen = received(&member).await;
    assert_eq!(seen.iter().map(event).collect::<Vec<_>>(), [(CREATED, path.into())]);
    world.publish(&[]).await;
    world.catch_up();
    assert_eq!(received(&member).await, [], "a watch is for one event");
}

#[tokio::test]
async fn a_client_that_reconnects_hears_at_once_of_what_it_missed() {
    let world = World::new(&[topic("gone", 1, 1), topic("same", 2, 1)]);
    let member = world.client().await;
    let seen = world.zxid();
    let zxid = world.publish(&[topic("new", 3, 1), topic("same", 2, 1)]).await;
    let watches = record()
        .long(seen)
        .texts(&["/brokers/topics/gone", "/brokers/topics/same"])
        .texts(&["/brokers/topics/new", "/brokers/topics/later"])
        .texts(&["/brokers/topics", "/brokers"]);
    assert_eq!(send(&member, -8, op::SET_WATCHES, watches).await, Flow::Continue);
    let seen = received(&member).await;
    let (reply, events) = seen.split_last().unwrap();
    let expected = [
        (DELETED, "/brokers/topics/gone".to_string()),
        (CREATED, "/brokers/topics/new".to_string()),
        (CHILDREN_CHANGED, "/brokers/topics".to_string()),
    ];
    // Topics are another value with the same content here, so "same" did not change.
    assert_eq!(events.iter().map(event).collect::<Vec<_>>(), expected);
    assert_eq!((reply.0, reply.1, reply.2), (-8, zxid, 0));
    world.publish(&[topic("new", 3, 1), topic("later", 4, 1)]).await;
    world.catch_up();
    let seen = received(&member).await;
    let expected = [
        (CREATED, "/brokers/topics/later".to_string()),
        (DELETED, "/brokers/topics/same".to_string()),
    ];
    assert_eq!(seen.iter().map(event).collect::<Vec<_>>(), expected, "the others wait");
}

#[tokio::test]
async fn a_recursive_watch_stays() {
    let world = World::new(&[]);
    let member = world.client().await;
    let watch = record().text("/brokers/topics").int(1);
    assert_eq!(ask(&member, op::ADD_WATCH, watch).await, (world.zxid(), 0, vec![0; 4]));
    for epoch in [11, 12] {
        let mut orders = topic("orders", 1, 1);
        Arc::make_mut(&mut orders).partitions[0].leader_epoch = epoch;
        world.publish(&[orders]).await;
        world.catch_up();
    }
    let seen: Vec<_> = received(&member).await.iter().map(event).collect();
    assert_eq!(seen.len(), 5, "four nodes created, one written: {seen:?}");
    let state = "/brokers/topics/orders/partitions/0/state".to_string();
    assert_eq!(seen[4], (DATA_CHANGED, state));
    let watch = || record().text("/brokers/topics").int(3);
    assert_eq!(ask(&member, op::CHECK_WATCHES, watch()).await.1, 0);
    assert_eq!(ask(&member, op::REMOVE_WATCHES, watch()).await.1, 0);
    assert_eq!(ask(&member, op::REMOVE_WATCHES, watch()).await.1, -121);
}

#[tokio::test]
async fn what_shows_metadata_cannot_be_written() {
    let world = World::new(&[topic("orders", 1, 1)]);
    let member = world.client().await;
    let create = |path: &str, flags| {
        record().text(path).text("").int(1).int(31).text("world").text("anyone").int(flags)
    };
    let open = |path: &str| record().text(path).int(1).int(31).text("world").text("anyone").int(-1);
    let cases = [
        (op::CREATE, create("/brokers/ids/5", 1), -102),
        (op::CREATE2, create("/brokers", 0), -110),
        (op::CREATE2, create("/brokers/ids/1", 1), -110),
        (op::CREATE, create("/brokers/topics/", 2), -102),
        (op::CREATE, create("/brokers/x/y", 0), -101),
        (op::CREATE, create("/admin/reassign_partitions", 0), -102),
        (op::CREATE, create("/consumers/group", 0), 0),
        (op::CREATE, record().text("/brokers/x").text("").int(0).int(0), -114),
        (op::DELETE, record().text("/brokers").int(-1), -102),
        (op::DELETE, record().text("/consumers").int(-1), -102),
        (op::DELETE, record().text("/brokers/topics/orders").int(-1), -102),
        (op::DELETE, record().text("/brokers/topics/x").int(-1), -101),
        (op::DELETE, record().text("/").int(-1), -8),
        (op::SET_DATA, record().text("/controller").text("").int(-1), -102),
        (op::SET_DATA, record().text("/").text("").int(-1), -102),
        (op::SET_ACL, record().text("/brokers").int(0).int(-1), -114),
        (op::SET_ACL, open("/brokers"), -102),
        (op::SET_ACL, open("/consumers"), -102),
        (op::CHECK, record().text("/brokers").int(3), -103),
        (op::CHECK, record().text("/brokers").int(0), 0),
        (op::RECONFIG, record(), -123),
        (op::GET_DATA, record().int(-1).flag(false), -5),
        (op::GET_DATA, record().int(50), -5),
        (op::CREATE, record().int(50), -5),
        (op::MULTI, record().int(7).flag(false).int(-1), -5),
    ];
    for (number, (op, body, expected)) in cases.into_iter().enumerate() {
        assert_eq!(ask(&member, op, body).await.1, expected, "case {number}, op {op}");
    }
}

#[tokio::test]
async fn the_controllers_name_is_kept_for_it() {
    let world = World::new(&[]);
    let member = world.client().await;
    world.shared.state.lock().tree.delete("/controller");
    let create = record().text("/controller").text("").int(1).int(31).text("world").text("anyone");
    assert_eq!(ask(&member, op::CREATE, create.int(1)).await.1, -102);
}

#[tokio::test]
async fn many_reads_at_once_have_an_end() {
    let world = World::new(&[topic("orders", 1, 10_000)]);
    let member = world.client().await;
    let read = |record: Record, path| record.int(4).flag(false).int(-1).text(path).flag(false);
    let few = read(read(record(), "/cluster/id"), "/nope").int(-1).flag(true).int(-1);
    let (_, error, results) = ask(&member, op::MULTI_READ, few).await;
    assert_eq!((error, &results[..4]), (0, &4_i32.to_be_bytes()[..]));
    // Each is 120 KiB: a small request for a gigabyte.
    let many = (0..10_000).fold(record(), |record, _| read(record, "/brokers/topics/orders"));
    let frame = [&[0, 0, 0, 1, 0, 0, 0, 22], many.0.as_slice()].concat();
    let refused = request(&member, &frame).await;
    assert!(matches!(refused, Err(CloseReason::Limit(_))), "{refused:?}");
}

#[tokio::test]
async fn credentials_are_taken_and_shown() {
    let world = World::new(&[]);
    let member = world.client().await;
    let digest = record().int(0).text("digest").text("ann:secret");
    assert_eq!(ask(&member, op::AUTH, digest).await, (0, 0, vec![]));
    let (_, _, identities) = ask(&member, op::WHO_AM_I, record()).await;
    let expected = record().int(2).text("ip").text("127.0.0.1").text("digest").text("ann");
    assert_eq!(identities, expected.0.as_slice());
    let unknown = record().int(0).text("bogus").text("");
    assert_eq!(send(&member, -4, op::AUTH, unknown).await, Flow::Close);
    assert_eq!(received(&member).await, [(-4, 0, -115, vec![])]);
    let member = world.client().await;
    assert_eq!(send(&member, 1, op::SASL, record().text("token")).await, Flow::Close);
}

#[tokio::test]
async fn an_unknown_operation_ends_the_connection() {
    let world = World::new(&[]);
    let member = world.client().await;
    assert_eq!(send(&member, 3, 77, record()).await, Flow::Close);
    assert_eq!(received(&member).await, [(3, -1, -6, vec![])]);
    assert!(matches!(request(&member, b"short").await, Err(CloseReason::Protocol(_))));
}

#[tokio::test]
async fn a_session_is_taken_up_again_with_its_password_only() {
    let world = World::new(&[]);
    let (first, second) = (world.join(), world.join());
    let session = connect(&first, &HELLO).await.unwrap();
    let wrong = ConnectRequest { session: session.session, password: &[1; 16], ..HELLO };
    assert_eq!(connect(&second, &wrong).await.unwrap(), ConnectResponse::EXPIRED);
    let unknown = ConnectRequest { session: 5, password: &session.password, ..HELLO };
    assert_eq!(connect(&second, &unknown).await.unwrap(), ConnectResponse::EXPIRED);
    assert_eq!(send(&first, -2, op::PING, record()).await, Flow::Continue, "still the first one's");
    let right = ConnectRequest {
        session: session.session,
        password: &session.password,
        timeout: 1,
        ..HELLO
    };
    let moved = connect(&second, &right).await.unwrap();
    assert_eq!(moved, ConnectResponse { timeout: 4000, ..session });
    assert_eq!(first.outgoing.until_cut().await, Cut::Moved);
    assert_eq!(send(&first, -2, op::PING, record()).await, Flow::Close);
    drop(first);
    assert_eq!(send(&second, 9, op::PING, record()).await, Flow::Continue);
    let zxid = world.zxid();
    assert_eq!(received(&second).await, [(-2, zxid, 0, vec![])], "a ping's xid is always -2");
    assert_eq!(send(&second, 10, op::CLOSE_SESSION, record()).await, Flow::Close);
    assert_eq!(received(&second).await, [(10, zxid + 1, 0, vec![])]);
    assert_eq!(world.shared.state.lock().sessions(), 0);
}

#[tokio::test]
async fn a_client_from_the_future_is_turned_away() {
    let world = World::new(&[]);
    let _opened = world.client().await;
    let hello = ConnectRequest { last_zxid_seen: world.zxid() + 1, ..HELLO };
    let refused = connect(&world.join(), &hello).await;
    assert!(matches!(refused, Err(CloseReason::Protocol(_))), "{refused:?}");
}

#[tokio::test]
async fn silent_sessions_expire_and_lively_ones_do_not() {
    let world = World::new(&[]);
    let (silent, lively, gone) = (world.client().await, world.client().await, world.client().await);
    drop(gone);
    world.later(9_000).await;
    assert_eq!(world.shared.state.lock().sessions(), 3);
    {
        let later = world.shared.now();
        let later = crate::state::Now { steady: later.steady + 9_000, ..later };
        world.shared.state.lock().touch(lively.id, later);
    }
    world.later(10_500).await;
    assert_eq!(silent.outgoing.until_cut().await, Cut::Expired);
    assert_eq!(world.shared.state.lock().sessions(), 1);
    assert_eq!(send(&lively, -2, op::PING, record()).await, Flow::Continue);
    assert_eq!(send(&silent, -2, op::PING, record()).await, Flow::Close);
    drop(lively);
    drop(silent);
    world.later(30_000).await;
    assert_eq!(world.shared.state.lock().sessions(), 0);
    let now = world.shared.now();
    assert!(!world.shared.look_after(now, false).await, "there is nobody left");
}

#[tokio::test]
async fn those_who_watch_are_told_without_asking() {
    let world = World::new(&[]);
    let member = world.client().await;
    ask(&member, op::GET_CHILDREN, record().text("/brokers/topics").flag(true)).await;
    world.publish(&[topic("orders", 1, 1)]).await;
    let frames = timeout(Duration::from_secs(30), member.outgoing.take()).await.unwrap().unwrap();
    let event = [&[0, 0, 0, 15][..], b"/brokers/topics"].concat();
    assert!(frames.ends_with(&event), "{frames:?}");
    let children = [&3_i32.to_be_bytes()[..], &event].concat();
    assert_eq!(CHILDREN_CHANGED, 4);
    assert!(frames.ends_with(&children));
}

#[tokio::test]
async fn nothing_is_built_until_a_client_needs_it() {
    let world = World::new(&[topic("orders", 1, 100)]);
    let member = world.join();
    assert_eq!(world.shared.state.lock().tree.len(), 1, "the root");
    connect(&member, &HELLO).await.unwrap();
    assert!(world.shared.state.lock().tree.len() > 200);
}
