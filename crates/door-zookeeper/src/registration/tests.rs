//! Registration in another broker's door, over sockets. Apache's ZooKeeper is in `tests/`.

use std::net::Ipv4Addr;

use base::{SystemClock, SystemRandom};
use door::{ConnectionLimit, Listener, ListenerHandle, ListenerOptions};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::ZooKeeperDoor;
use crate::testing::{World, metadata, topic};
use crate::wire::client::Ask;
use crate::{acl, map, tree};

/// Longer than anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The longest that the door grants, so that no session ends while a busy machine does other things.
const SESSION: Duration = Duration::from_secs(40);

/// A ZooKeeper elsewhere, and the metadata of the broker that registers there, number 1.
struct Scene {
    world: World,
    listener: Option<ListenerHandle>,
    address: SocketAddr,
    metadata: watch::Sender<Arc<Metadata>>,
}

impl Scene {
    fn new(names: &[&str]) -> Self {
        let world = World::new(&[]);
        let (listener, address) = listen(&world, 0);
        let (metadata, _) = watch::channel(Arc::new(picture(1, names)));
        Self { world, listener: Some(listener), address, metadata }
    }

    fn options(&self) -> RegistrationOptions {
        RegistrationOptions {
            servers: Servers::parse(&format!("{}/a/k", self.address)).unwrap(),
            session_timeout: SESSION,
            connect_timeout: PATIENCE,
            credentials: None,
            restrict: false,
            tls: None,
        }
    }

    fn register(&self) -> Registration {
        self.register_with(self.options())
    }

    fn register_with(&self, options: RegistrationOptions) -> Registration {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        Registration::start(options, BrokerId(1), self.metadata.subscribe(), clock, random)
    }

    /// A client of its own.
    async fn client(&self) -> Link {
        let hello = Hello { session: Session::default(), zxid: 0, timeout: SESSION };
        Link::open(self.address, None, &hello).await.unwrap()
    }

    fn publish(&self, revision: u64, topics: &[Arc<broker::metadata::Topic>]) {
        self.metadata.send_replace(Arc::new(metadata(revision, topics)));
    }

    /// What the ZooKeeper has at a path below ours.
    fn body(&self, path: &str) -> Option<tree::Body> {
        self.world.catch_up();
        let state = self.world.shared.state.lock();
        state.tree.get(&format!("/a/k{path}")).map(|node| node.body.clone())
    }

    fn owner(&self, path: &str) -> i64 {
        self.body(path).map_or(0, |body| body.stat.ephemeral_owner)
    }

    /// Waits until the ZooKeeper shows what our own door would, and that alone.
    async fn shows(&self) {
        let metadata = Arc::clone(&self.metadata.borrow());
        let mut own = tree::Tree::default();
        map::apply(&mut own, None, &metadata, 1);
        own.take_changes();
        let wanted: Vec<_> = own.shown_from("/").into_iter().collect();
        let wanted = wanted.into_iter().filter(|(path, _)| !path.starts_with("/zookeeper"));
        let wanted: Vec<_> = wanted.filter(|(path, _)| &***path != "/").collect();
        until("all is shown", || {
            self.world.catch_up();
            let state = self.world.shared.state.lock();
            state.tree.count_below("/a/k") == Some(wanted.len())
                && wanted.iter().all(|(path, body)| {
                    let there = state.tree.get(&format!("/a/k{path}"));
                    there.is_some_and(|node| {
                        // Nodes that others made first are theirs, and empty rather than null.
                        node.body.data.as_deref().unwrap_or_default()
                            == body.data.as_deref().unwrap_or_default()
                            && node.body.is_ephemeral() == body.is_ephemeral()
                    })
                })
        })
        .await;
    }
}

fn picture(revision: u64, names: &[&str]) -> Metadata {
    let topics: Vec<_> = names.iter().zip(1..).map(|(name, id)| topic(name, id, 2)).collect();
    metadata(revision, &topics)
}

fn listen(world: &World, port: u16) -> (ListenerHandle, SocketAddr) {
    let door = Arc::new(ZooKeeperDoor { shared: Arc::clone(&world.shared) });
    let options = ListenerOptions::new("TEST", (Ipv4Addr::LOCALHOST, port).into());
    let listener = Listener::bind(&options).unwrap();
    let address = listener.local_address();
    (listener.run(door, ConnectionLimit::default()), address)
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(5)).await; // poll: for what another task writes, bounded by PATIENCE
    }
}

fn create(path: &str, data: &'static [u8], ephemeral: bool) -> Ask {
    static OPEN: std::sync::LazyLock<[broker::registry::Rule; 1]> =
        std::sync::LazyLock::new(|| {
            [broker::registry::Rule {
                permissions: acl::ALL,
                scheme: "world".into(),
                id: "anyone".into(),
            }]
        });
    let data = Some(data.into());
    Ask::Create { path: format!("/a{path}"), data, rules: &*OPEN, ephemeral }
}

/// Makes nodes with a client of its own, which is returned, because some may be ephemeral.
async fn made(scene: &Scene, nodes: &[(&str, &'static [u8], bool)]) -> Link {
    let mut link = scene.client().await;
    let mut asks = vec![create("", b"", false)];
    asks.extend(nodes.iter().map(|(path, data, ephemeral)| create(path, data, *ephemeral)));
    for answer in link.exchange(&asks).await.unwrap() {
        answer.unwrap();
    }
    link
}

const ID: &[u8] = br#"{"version":"1","id":"0123456789abcdefghij-_"}"#;

#[tokio::test]
async fn what_is_registered_is_what_our_own_door_shows_and_it_ends_with_us() {
    let scene = Scene::new(&["orders"]);
    let registration = scene.register();
    scene.shows().await;
    let owner = scene.owner("/brokers/ids/1");
    assert_eq!(owner, scene.owner("/controller"), "one session");
    registration.stop(PATIENCE).await;
    until("both are gone", || {
        scene.body("/brokers/ids/1").is_none() && scene.body("/controller").is_none()
    })
    .await;
    assert!(scene.body("/brokers/topics/orders").is_some(), "topics stay, as with Kafka");
}

#[tokio::test]
async fn changes_are_carried_over() {
    let scene = Scene::new(&[]);
    let _registration = scene.register();
    scene.shows().await;
    let more = topic("orders", 1, 3);
    let mut configured = topic("orders", 1, 3);
    Arc::make_mut(&mut configured).config.insert("retention.ms".into(), "5".into());
    Arc::make_mut(&mut configured).partitions[0].leader_epoch = 4;
    let another = topic("orders", 2, 1);
    let steps: [&[_]; 6] = [
        &[topic("orders", 1, 1)],
        &[more],
        &[configured, topic("b", 7, 1)],
        &[another],
        &[],
        &[topic("c", 3, 2)],
    ];
    for (revision, topics) in (2..).zip(steps) {
        scene.publish(revision, topics);
        scene.shows().await;
    }
    let mut moved = picture(20, &["c"]);
    let broker = moved.brokers.get_mut(&BrokerId(1)).unwrap();
    broker.rack = Some("here".into());
    scene.metadata.send_replace(Arc::new(moved));
    scene.shows().await;
    assert_eq!(scene.body("/brokers/ids/1").unwrap().stat.version, 1, "written, not made anew");
}

#[tokio::test]
async fn access_rules_are_carried_over_and_their_changes_told_of() {
    use broker::access::{Effect, Operation, Pattern, ResourceKind, Rule};
    let scene = Scene::new(&[]);
    let _registration = scene.register();
    scene.shows().await;
    let rule = Rule {
        kind: ResourceKind::Topic,
        pattern: Pattern::Literal("orders".into()),
        principal: base::Principal::user("alice"),
        host: None,
        operation: Operation::Read,
        effect: Effect::Allow,
    };
    let with = |revision, rules: &[Rule]| {
        let access = Arc::new(rules.iter().cloned().collect());
        scene.metadata.send_replace(Arc::new(Metadata { access, ..picture(revision, &[]) }));
    };
    let told = |number: u32| format!("/kafka-acl-changes/acl_changes_{number:010}");
    with(2, &[rule]);
    until("it is told of", || scene.body(&told(2)).is_some()).await;
    let data = scene.body("/kafka-acl/Topic/orders").unwrap().data.unwrap();
    assert!(data.ends_with(br#""permissionType":"Allow","operation":"Read","host":"*"}]}"#));
    with(3, &[]);
    until("its end is told of", || scene.body(&told(3)).is_some()).await;
    assert!(scene.body("/kafka-acl/Topic/orders").is_none());
}

#[tokio::test]
async fn what_was_missed_or_written_by_others_is_put_right() {
    let scene = Scene::new(&["orders"]);
    let client = made(
        &scene,
        &[
            ("/k", b"", false),
            ("/k/cluster", b"", false),
            ("/k/cluster/id", ID, false),
            ("/k/brokers", b"", false),
            ("/k/brokers/topics", b"", false),
            ("/k/brokers/topics/gone", b"{}", false),
            ("/k/brokers/topics/gone/partitions", b"", false),
            ("/k/brokers/topics/gone/partitions/0", b"", false),
            ("/k/brokers/topics/orders", b"stale", false),
            ("/k/brokers/topics/orders/partitions", b"", false),
            ("/k/brokers/topics/orders/partitions/7", b"", false),
            ("/k/brokers/topics/orders/partitions/7/state", b"", false),
            ("/k/config", b"", false),
            ("/k/config/topics", b"", false),
            ("/k/config/topics/gone", b"{}", false),
            ("/k/kafka-acl", b"", false),
            ("/k/kafka-acl/Topic", b"", false),
            ("/k/kafka-acl/Topic/gone", b"{}", false),
        ],
    )
    .await;
    drop(client);
    let _registration = scene.register();
    until("the stray is gone", || scene.body("/brokers/topics/gone").is_none()).await;
    until("all is put right", || {
        scene.body("/config/topics/gone").is_none()
            && scene.body("/kafka-acl/Topic/gone").is_none()
            && scene.body("/kafka-acl-extended/prefixed/User").is_some()
            && scene.body("/brokers/topics/orders/partitions/7").is_none()
            && scene.body("/brokers/topics/orders/partitions/1/state").is_some()
            && scene.body("/brokers/topics/orders").unwrap().data.unwrap().starts_with(b"{")
    })
    .await;
}

#[tokio::test]
async fn a_number_that_another_holds_is_waited_for() {
    let scene = Scene::new(&["orders"]);
    let nodes: [(&str, &[u8], bool); 5] = [
        ("/k", b"", false),
        ("/k/brokers", b"", false),
        ("/k/brokers/ids", b"", false),
        ("/k/brokers/ids/1", b"{}", true),
        ("/k/controller", b"{}", true),
    ];
    let other = made(&scene, &nodes).await;
    let theirs = Held::Theirs(other.session.id);
    let (mut link, mut mirror) = (scene.client().await, Mirror::new(BrokerId(1), "/a/k", false));
    let picture = Arc::new(picture(1, &["orders"]));
    mirror.sync(&mut link, &picture, 1, true).await.unwrap();
    assert_eq!((mirror.standing.id, mirror.standing.controller), (theirs, theirs));
    assert!(scene.body("/feature").is_some());
    assert!(scene.body("/brokers/topics/orders").is_none(), "written by the controller only");
    other.close(PATIENCE).await.unwrap();
    timeout(PATIENCE, link.rest()).await.expect("a watch fires").unwrap();
    assert!(link.take_event());
    mirror.sync(&mut link, &picture, 1, true).await.unwrap();
    assert_eq!((mirror.standing.id, mirror.standing.controller), (Held::Ours, Held::Ours));
    scene.shows().await;
}

#[tokio::test]
async fn what_an_ended_session_of_ours_still_holds_is_cleared_away() {
    let scene = Scene::new(&["orders"]);
    let mut before = scene.client().await;
    let picture = Arc::new(picture(1, &["orders"]));
    Mirror::new(BrokerId(1), "/a/k", false).sync(&mut before, &picture, 1, true).await.unwrap();
    let mut link = scene.client().await;
    let mut mirror = Mirror::new(BrokerId(1), "/a/k", false);
    mirror.past_session = before.session.id;
    mirror.sync(&mut link, &picture, 1, true).await.unwrap();
    assert_eq!((mirror.standing.id, mirror.standing.controller), (Held::Ours, Held::Ours));
    assert_eq!(scene.owner("/controller"), link.session.id);
}

#[tokio::test]
async fn the_tree_of_another_cluster_is_left_alone() {
    let scene = Scene::new(&["orders"]);
    let nodes: [(&str, &[u8], bool); 3] = [
        ("/k", b"", false),
        ("/k/cluster", b"", false),
        ("/k/cluster/id", br#"{"version":"1","id":"another"}"#, false),
    ];
    let mut client = made(&scene, &nodes).await;
    let mut link = scene.client().await;
    let mut mirror = Mirror::new(BrokerId(1), "/a/k", false);
    let picture = Arc::new(picture(1, &["orders"]));
    let refused = mirror.sync(&mut link, &picture, 1, true).await.unwrap_err();
    assert!(matches!(refused, Trouble::OtherCluster(..)), "{refused}");
    assert_eq!(scene.world.shared.state.lock().tree.count_below("/a/k"), Some(2));
    // It moves out.
    let delete = Ask::Delete { path: "/a/k/cluster/id".into() };
    client.ask(delete).await.unwrap().unwrap();
    mirror.sync(&mut link, &picture, 1, true).await.unwrap();
    scene.shows().await;
}

#[tokio::test]
async fn what_somebody_deletes_comes_back() {
    let scene = Scene::new(&[]);
    let _registration = scene.register();
    scene.shows().await;
    let mut client = scene.client().await;
    for path in ["/a/k/brokers/ids/1", "/a/k/controller"] {
        client.ask(Ask::Delete { path: path.into() }).await.unwrap().unwrap();
        scene.shows().await;
    }
}

#[tokio::test]
async fn a_session_outlives_its_connection() {
    let mut scene = Scene::new(&["orders"]);
    let _registration = scene.register();
    scene.shows().await;
    let session = scene.owner("/controller");
    let listener = scene.listener.take().unwrap();
    listener.stop(Duration::ZERO).await;
    scene.publish(2, &[topic("later", 9, 1)]);
    let (listener, _) = listen(&scene.world, scene.address.port());
    scene.listener = Some(listener);
    scene.shows().await;
    assert_eq!(scene.owner("/controller"), session, "the same session");
}

#[tokio::test]
async fn an_expired_session_is_followed_by_another() {
    let mut scene = Scene::new(&["orders"]);
    let _registration = scene.register();
    scene.shows().await;
    let session = scene.owner("/controller");
    scene.listener.take().unwrap().stop(Duration::ZERO).await;
    scene.world.later(60_000).await;
    until("it is gone", || scene.body("/controller").is_none()).await;
    let (listener, _) = listen(&scene.world, scene.address.port());
    scene.listener = Some(listener);
    scene.shows().await;
    assert_ne!(scene.owner("/controller"), session);
}

#[tokio::test]
async fn only_whoever_has_the_password_may_change_what_is_restricted() {
    let scene = Scene::new(&["orders"]);
    let credentials = Some("user:secret".to_owned());
    let options = RegistrationOptions { credentials, restrict: true, ..scene.options() };
    let _registration = scene.register_with(options);
    scene.shows().await;
    let digest = acl::Identity::digest(b"user:secret").id;
    for (path, who) in [
        ("/brokers/ids/1", vec![(31, digest.as_str()), (1, "anyone")]),
        ("/brokers/topics/orders", vec![(31, digest.as_str()), (1, "anyone")]),
        // Nobody is named where anybody may do anything.
        ("/consumers", vec![]),
    ] {
        let access = scene.body(path).unwrap().access;
        let rules: Vec<_> = access.rules.iter().map(|r| (r.permissions, r.id.as_str())).collect();
        assert_eq!(rules, who, "{path}");
    }
    let mut stranger = scene.client().await;
    let delete = Ask::Delete { path: "/a/k/brokers/topics/orders".into() };
    stranger.ask(delete).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn what_is_no_zookeeper_is_told_apart() {
    let answers: [&[u8]; 4] =
        [b"", b"HTTP/1.1 400 Bad Request\r\n", b"\xff\xff\xff\xff", b"\0\0\0\x02ab"];
    for answer in answers {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let hello = Hello { session: Session::default(), zxid: 0, timeout: PATIENCE };
        let failed = Link::open(address, None, &hello).await.unwrap_err();
        // Unread bytes of ours may make the end a reset.
        let is_fine = matches!(failed, Lost::Closed | Lost::Malformed | Lost::Io(_));
        assert!(is_fine, "{failed}");
        serve.await.unwrap();
    }
}

#[tokio::test]
async fn one_server_of_several_is_enough() {
    let scene = Scene::new(&[]);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let dead = closed.local_addr().unwrap();
    drop(closed);
    let text = format!("{dead},{},{dead}/a/k", scene.address);
    let options =
        RegistrationOptions { servers: Servers::parse(&text).unwrap(), ..scene.options() };
    let _registration = scene.register_with(options);
    scene.shows().await;
}
