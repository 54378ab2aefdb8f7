use std::time::Duration;

use queue::dispatch::{Candidate, Policy};

use super::*;
use crate::registry::{Change, Children, Entry, EventKind, Step, Tag};
use crate::tests::Fixture;

fn new(service: &str, id: &str) -> NewInstance {
    let (service, id) = (service.to_owned(), id.to_owned());
    NewInstance { service, id, address: "h".to_owned(), port: 1, ..NewInstance::default() }
}

const LEASE: Option<Duration> = Some(Duration::from_secs(10));

async fn ids(discovery: &Arc<Discovery>, service: &str) -> Vec<String> {
    let all = discovery.instances(service).await.unwrap();
    all.iter().map(|one| one.id.to_string()).collect()
}

#[tokio::test]
async fn an_instance_is_there_as_long_as_its_lease_is_renewed() {
    let fixture = Fixture::start().await;
    let discovery = fixture.broker.discovery();
    let (_, lease) = discovery.register(new("web", "a"), (LEASE, None)).await.unwrap();
    let lease = lease.unwrap();
    discovery.register(new("web", "b"), (LEASE, Some(lease))).await.unwrap();
    let (made_up, _) = discovery.register(new("web", ""), (None, None)).await.unwrap();
    let mut all = vec!["a".to_owned(), "b".to_owned(), made_up.clone()];
    all.sort();
    assert_eq!(ids(discovery, "web").await, all);
    let until = || discovery.state.lock().directory.leases[&lease.number].until;
    let before = until();
    assert_eq!(discovery.renew(lease, Reported::default()).await, Ok(LEASE.unwrap()));
    assert!(until() >= before);
    let mut changes = discovery.watch().await.unwrap();
    changes.mark_unchanged();
    end(discovery, lease);
    changes.changed().await.unwrap();
    assert_eq!(ids(discovery, "web").await, [&made_up[..]], "static ones stay");
    let gone = discovery.renew(lease, Reported::default()).await;
    assert_eq!(gone, Err(DiscoveryError::NoLease));
    discovery.deregister(("web", &made_up), None).await.unwrap();
    assert!(discovery.services().await.unwrap().is_empty());
    let gone = discovery.deregister(("web", "a"), None).await;
    assert_eq!(gone, Err(DiscoveryError::NotFound));
}

/// The time of a lease is over.
fn end(discovery: &Discovery, lease: LeaseKey) {
    let mut state = discovery.state.lock();
    let lease = state.directory.leases.get_mut(&lease.number).unwrap();
    lease.until = tokio::time::Instant::now();
    drop(state);
    discovery.leases.notify_one();
}

#[tokio::test]
async fn leases_from_before_a_restart_go_on_and_end() {
    let fixture = Fixture::start().await;
    let discovery = fixture.broker.discovery();
    let lease = discovery.register(new("web", "a"), (LEASE, None)).await.unwrap().1.unwrap();
    discovery.register(new("web", "static"), (None, None)).await.unwrap();
    let fixture = fixture.restart().await;
    let discovery = fixture.broker.discovery();
    assert_eq!(ids(discovery, "web").await, ["a", "static"]);
    assert!(discovery.renew(lease, Reported::default()).await.is_ok());
    let mut changes = discovery.watch().await.unwrap();
    changes.mark_unchanged();
    end(discovery, lease);
    changes.changed().await.unwrap();
    assert_eq!(ids(discovery, "web").await, ["static"]);
}

#[tokio::test]
async fn an_id_is_its_owner_s() {
    let fixture = Fixture::start().await;
    let discovery = fixture.broker.discovery();
    let (_, lease) = discovery.register(new("web", "a"), (LEASE, None)).await.unwrap();
    let taken = discovery.register(new("web", "a"), (LEASE, None)).await;
    assert_eq!(taken, Err(DiscoveryError::Exists));
    let taken = discovery.deregister(("web", "a"), None).await;
    assert_eq!(taken, Err(DiscoveryError::Exists));
    let other = LeaseKey { secret: [0; 16], ..lease.unwrap() };
    let wrong = discovery.register(new("web", "a"), (LEASE, Some(other))).await;
    assert_eq!(wrong, Err(DiscoveryError::NoLease));
    let again = NewInstance { port: 2, ..new("web", "a") };
    discovery.register(again, (LEASE, lease)).await.unwrap();
    assert_eq!(discovery.instances("web").await.unwrap()[0].port, 2);
    discovery.deregister(("web", "a"), lease).await.unwrap();
    assert_eq!(ids(discovery, "web").await, [""; 0]);
}

#[tokio::test]
async fn what_others_write_into_the_tree_is_found_and_written_around() {
    let fixture = Fixture::start().await;
    let (discovery, registry) = (fixture.broker.discovery(), fixture.broker.registry());
    discovery.register(new("web", "a"), (LEASE, None)).await.unwrap();
    let (picture, _) = registry.open().await.unwrap();
    let head = picture.step.map(|step| step.tag);
    let path: Arc<str> = "/services/web/10.0.0.1:80".into();
    let tag = Tag { writer: 1, counter: 1 };
    let step = Step { tag, events: vec![(EventKind::Created, Arc::clone(&path))] };
    let entry = Entry { owner: 0x4000_0000_0000_0001, ..Entry::default() };
    let children = Some(Children { created: 2, changed: 0 });
    let changes = [
        Change::Entry(Arc::clone(&path), Some(entry)),
        Change::Children("/services/web".into(), children),
    ];
    let write = Registry::prepare(head, &step, &changes).unwrap();
    registry.commit(vec![write]).await.pop().unwrap().unwrap();
    // It is decided anew, on what is there now.
    discovery.register(new("web", "b"), (LEASE, None)).await.unwrap();
    assert_eq!(ids(discovery, "web").await, ["10.0.0.1:80", "a", "b"]);
    let (picture, _) = registry.open().await.unwrap();
    let of = |wanted: &str| {
        let found = picture.changes.iter().find_map(|change| match change {
            Change::Children(path, children) if &**path == wanted => *children,
            _ => None,
        });
        found.map(|children| children.created)
    };
    assert_eq!((of("/"), of("/services"), of("/services/web")), (Some(1), Some(1), Some(3)));
}

#[tokio::test]
async fn the_least_loaded_is_chosen_as_reported_and_as_observed() {
    let fixture = Fixture::start().await;
    let discovery = fixture.broker.discovery();
    let mut leases = Vec::new();
    for id in ["a", "b"] {
        leases.push(discovery.register(new("web", id), (LEASE, None)).await.unwrap().1.unwrap());
    }
    let choose = async |policy, reports| {
        let chosen = discovery.choose("web", policy, (reports, &[])).await.unwrap();
        (chosen.instance.id.to_string(), chosen.ticket)
    };
    // In turn.
    let (first, second) =
        (choose(Policy::RoundRobin, false).await.0, choose(Policy::RoundRobin, false).await.0);
    assert_ne!(first, second);
    // Observed: who has something is not asked as long as another has nothing.
    let (busy, ticket) = choose(Policy::LeastInFlight, true).await;
    for _ in 0..5 {
        assert_ne!(choose(Policy::LeastInFlight, false).await.0, busy);
    }
    assert!(discovery.report(ticket.unwrap(), Some(Duration::from_millis(5))));
    assert!(!discovery.report(ticket.unwrap(), None), "once");
    // Reported.
    let much = Reported { in_flight: Some(100), response_us: None };
    discovery.renew(leases[0], much).await.unwrap();
    for _ in 0..5 {
        assert_eq!(choose(Policy::LeastInFlight, false).await.0, "b");
    }
    // Those that were tried in vain are left out, as long as there are others.
    let but = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let chosen = discovery.choose("web", Policy::Random, (false, &but(&["a"]))).await.unwrap();
    assert_eq!(&*chosen.instance.id, "b");
    let any = discovery.choose("web", Policy::Random, (false, &but(&["a", "b"]))).await;
    assert!(any.is_ok());
    let none = discovery.choose("none", Policy::Random, (false, &[])).await;
    assert!(matches!(none, Err(DiscoveryError::NotFound)));
    let state = discovery.state.lock();
    assert_eq!(state.known.len(), 2);
    assert!(state.known.values().all(|known| known_in_flight(known) == 0));
}

fn known_in_flight(known: &Known) -> u32 {
    known.load().in_flight()
}
