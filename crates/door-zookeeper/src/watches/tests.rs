use super::*;

/// Fires `change` and returns who was told what.
fn fire(watches: &mut Watches, change: &Change) -> Vec<(ClientId, EventKind, String)> {
    let mut told = Vec::new();
    watches.fire(change, |client, kind, path| told.push((client, kind, path.to_string())));
    told
}

fn created(path: &str) -> Change {
    Change::Created(path.into())
}

fn deleted(path: &str) -> Change {
    Change::Deleted(path.into())
}

fn written(path: &str) -> Change {
    Change::DataChanged(path.into())
}

#[test]
fn a_one_shot_watch_fires_once() {
    let mut watches = Watches::default();
    watches.add(1, "/a", Kinds::DATA).unwrap();
    assert_eq!(fire(&mut watches, &written("/a")), [(1, EventKind::DataChanged, "/a".into())]);
    assert_eq!(fire(&mut watches, &written("/a")), []);
    assert!(watches.is_empty());
    assert_eq!((watches.len(), watches.bytes), (0, 0));
}

#[test]
fn each_kind_hears_what_it_is_for() {
    use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};
    let cases = [
        (Kinds::DATA, created("/a"), vec![Created]),
        (Kinds::DATA, written("/a"), vec![DataChanged]),
        (Kinds::DATA, deleted("/a"), vec![Deleted]),
        (Kinds::DATA, created("/a/b"), vec![]),
        (Kinds::CHILDREN, created("/a/b"), vec![ChildrenChanged]),
        (Kinds::CHILDREN, deleted("/a/b"), vec![ChildrenChanged]),
        (Kinds::CHILDREN, written("/a/b"), vec![]),
        (Kinds::CHILDREN, written("/a"), vec![]),
        (Kinds::CHILDREN, created("/a"), vec![]),
        (Kinds::CHILDREN, deleted("/a"), vec![Deleted]),
        (Kinds::PERSISTENT, created("/a"), vec![Created]),
        (Kinds::PERSISTENT, written("/a"), vec![DataChanged]),
        (Kinds::PERSISTENT, created("/a/b"), vec![ChildrenChanged]),
        (Kinds::PERSISTENT, written("/a/b"), vec![]),
        (Kinds::RECURSIVE, created("/a"), vec![Created]),
        (Kinds::RECURSIVE, created("/a/b/c"), vec![Created]),
        (Kinds::RECURSIVE, written("/a/b"), vec![DataChanged]),
        (Kinds::RECURSIVE, deleted("/a/b"), vec![Deleted]),
        (Kinds::RECURSIVE, written("/ab"), vec![]),
    ];
    for (kinds, change, expected) in cases {
        let mut watches = Watches::default();
        watches.add(1, "/a", kinds).unwrap();
        let told: Vec<_> = fire(&mut watches, &change).into_iter().map(|told| told.1).collect();
        assert_eq!(told, expected, "{kinds:?} at {change:?}");
    }
}

#[test]
fn all_ways_to_watch_a_node_make_one_event() {
    let mut watches = Watches::default();
    for kinds in [Kinds::DATA, Kinds::CHILDREN, Kinds::PERSISTENT, Kinds::RECURSIVE] {
        watches.add(1, "/a", kinds).unwrap();
    }
    watches.add(1, "/", Kinds::RECURSIVE).unwrap();
    assert_eq!(fire(&mut watches, &deleted("/a")), [(1, EventKind::Deleted, "/a".into())]);
    assert!(!watches.contains(1, "/a", Kinds::DATA.or(Kinds::CHILDREN)), "used up");
    assert!(watches.contains(1, "/a", Kinds::PERSISTENT), "stays");
}

#[test]
fn the_nodes_event_comes_before_its_parents() {
    let mut watches = Watches::default();
    watches.add(2, "/a", Kinds::CHILDREN).unwrap();
    watches.add(1, "/a/b", Kinds::DATA).unwrap();
    let expected = [
        (1, EventKind::Created, "/a/b".to_string()),
        (2, EventKind::ChildrenChanged, "/a".to_string()),
    ];
    assert_eq!(fire(&mut watches, &created("/a/b")), expected);
}

#[test]
fn a_recursive_watch_at_the_root_sees_everything() {
    let mut watches = Watches::default();
    watches.add(1, "/", Kinds::RECURSIVE).unwrap();
    assert_eq!(fire(&mut watches, &created("/x/y/z")).len(), 1);
    assert!(watches.remove(1, "/", Kinds::ANY));
    assert_eq!(fire(&mut watches, &created("/x/y/z")), []);
    assert_eq!(watches.recursive, 0);
}

#[test]
fn only_the_kind_that_was_named_is_removed() {
    let mut watches = Watches::default();
    watches.add(1, "/a", Kinds::DATA.or(Kinds::CHILDREN)).unwrap();
    assert!(watches.remove(1, "/a", Kinds::CHILDREN));
    assert!(!watches.remove(1, "/a", Kinds::CHILDREN));
    assert!(!watches.remove(2, "/a", Kinds::DATA), "another's");
    assert!(watches.contains(1, "/a", Kinds::DATA));
}

#[test]
fn a_client_that_left_is_forgotten() {
    let mut watches = Watches::default();
    for path in ["/a", "/b"] {
        watches.add(1, path, Kinds::RECURSIVE).unwrap();
        watches.add(2, path, Kinds::DATA).unwrap();
    }
    watches.forget(1);
    assert_eq!(fire(&mut watches, &written("/a")), [(2, EventKind::DataChanged, "/a".into())]);
    watches.forget(2);
    assert!(watches.is_empty());
    assert_eq!((watches.bytes, watches.recursive), (0, 0));
}

#[test]
fn watches_are_bounded_by_what_they_cost() {
    let mut watches = Watches::default();
    let long = "/x".repeat(500_000);
    let mut added = 0;
    while watches.add(1, &format!("{long}{added}"), Kinds::DATA).is_ok() {
        added += 1;
    }
    assert_eq!(added, 4, "a megabyte each");
    assert!(watches.add(1, &format!("{long}0"), Kinds::CHILDREN).is_ok(), "the same path again");
    assert!(watches.add(2, "/a", Kinds::DATA).is_ok(), "another client has its own bound");
    for client in 3.. {
        let full = (0..4).any(|n| watches.add(client, &format!("{long}{n}"), Kinds::DATA).is_err());
        if full {
            break;
        }
    }
    assert!(watches.bytes <= WATCH_BYTES_TOTAL_MAX);
    assert!(watches.bytes > WATCH_BYTES_TOTAL_MAX - WATCH_BYTES_MAX);
}
