use super::*;

fn tree() -> Tree {
    let mut tree = Tree::default();
    tree.begin(5, 1000);
    tree.create("/a", None, 0, 900);
    tree.create("/a/b", Some(Bytes::from_static(b"data")), 7, 900);
    tree.create("/a/b/c", None, 0, 900);
    tree
}

#[test]
fn a_change_leaves_its_marks_in_the_stats() {
    let mut tree = tree();
    tree.begin(9, 2000);
    tree.set("/a/b", Some(Bytes::from_static(b"longer data")));
    tree.delete("/a/b/c");
    let expected = Stat {
        czxid: 5,
        mzxid: 9,
        ctime: 900,
        mtime: 2000,
        version: 1,
        cversion: 2,
        aversion: 0,
        ephemeral_owner: 7,
        data_length: 11,
        children: 0,
        pzxid: 9,
    };
    assert_eq!(tree.get("/a/b").unwrap().body.stat(), expected);
    assert_eq!(tree.get("/a").unwrap().body.stat().mzxid, 5, "the parent's data did not change");
}

#[test]
fn the_same_data_again_is_no_change() {
    let mut tree = tree();
    tree.take_changes();
    tree.begin(9, 2000);
    tree.set("/a/b", Some(Bytes::from_static(b"data")));
    assert_eq!(tree.take_changes(), []);
    assert_eq!(tree.get("/a/b").unwrap().body.stat().mzxid, 5);
}

#[test]
fn null_and_empty_data_differ() {
    let mut tree = tree();
    tree.take_changes();
    tree.set("/a", Some(Bytes::new()));
    assert_eq!(tree.take_changes(), [Change::DataChanged("/a".into())]);
}

#[test]
fn what_is_below_goes_first() {
    let mut tree = tree();
    tree.take_changes();
    tree.delete("/a");
    let deleted = ["/a/b/c", "/a/b", "/a"].map(|path| Change::Deleted(path.into()));
    assert_eq!(tree.take_changes(), deleted);
    assert_eq!((tree.len(), tree.data_bytes(), tree.ephemerals()), (1, 0, 0));
}

#[test]
fn the_zxid_never_goes_back() {
    let mut tree = tree();
    tree.begin(3, 0);
    assert_eq!(tree.zxid(), 5);
    tree.begin(100, 0);
    assert_eq!(tree.zxid(), 100);
}

#[test]
fn nodes_below_are_counted() {
    let tree = tree();
    assert_eq!(tree.count_below("/"), Some(3));
    assert_eq!(tree.count_below("/a"), Some(2));
    assert_eq!(tree.count_below("/a/b/c"), Some(0));
    assert_eq!(tree.count_below("/b"), None);
    assert_eq!((tree.len(), tree.ephemerals()), (4, 1));
}

fn entry(data: &'static str, owner: i64, revision: u64) -> Entry {
    let data = Some(Bytes::from_static(data.as_bytes()));
    Entry { data, owner, created: revision, modified: revision, ..Entry::default() }
}

#[test]
fn entries_stand_beside_what_shows_metadata() {
    let mut tree = tree();
    let bytes = tree.data_bytes();
    for (path, owner) in [("/e", 0), ("/e/f", 7), ("/a/x", 0)] {
        tree.put_entry(&path.into(), &entry("data", owner, 20));
    }
    tree.put_children("/e", Children { created: 3, changed: 21 });
    let stat = tree.get("/e").unwrap().body.stat();
    assert_eq!((stat.cversion, stat.children, stat.pzxid), (5, 1, 21), "three came, two went");
    assert_eq!(tree.owned_by(7).map(|path| &**path).collect::<Vec<_>>(), ["/e/f"]);
    assert_eq!((tree.len(), tree.ephemerals()), (7, 2));
    tree.put_entry(&"/a".into(), &entry("", 0, 22));
    assert_eq!(tree.get("/a").unwrap().body.origin, Origin::Shown, "metadata comes first");
    tree.put_entry(&"/nowhere/f".into(), &entry("", 0, 22));
    assert!(tree.get("/nowhere/f").is_none());
    tree.drop_entry("/a");
    assert!(tree.get("/a").is_some());
    // In whatever order they come.
    for path in ["/e", "/a/x", "/e/f"] {
        tree.drop_entry(path);
    }
    assert_eq!((tree.len(), tree.ephemerals(), tree.entry_bytes()), (4, 1, 0));
    assert_eq!((tree.data_bytes(), tree.owned_by(7).count()), (bytes, 0));
}

#[test]
fn an_entry_that_took_anothers_place_has_nothing_of_it() {
    let mut tree = tree();
    let path: Arc<str> = "/e".into();
    tree.put_entry(&path, &entry("data", 7, 20));
    tree.put_children(&path, Children { created: 3, changed: 21 });
    let rule = Rule { permissions: 1, scheme: "world".into(), id: "anyone".into() };
    tree.put_access(&path, &Access { version: 4, rules: vec![rule] });
    let written = Entry { modified: 25, version: 1, ..entry("new", 7, 20) };
    tree.put_entry(&path, &written);
    let stat = tree.get(&path).unwrap().body.stat();
    assert_eq!((stat.aversion, stat.cversion, stat.pzxid), (4, 6, 21), "the same entry");
    assert_eq!(tree.owned_by(7).count(), 1);
    tree.put_entry(&path, &entry("other", 0, 26));
    let stat = tree.get(&path).unwrap().body.stat();
    assert_eq!((stat.aversion, stat.cversion, stat.pzxid, stat.ephemeral_owner), (0, 0, 26, 0));
    assert_eq!(tree.owned_by(7).count(), 0);
}

#[test]
fn nesting_is_as_deep_as_a_path_is_long() {
    let mut tree = Tree::default();
    let mut path = String::new();
    for _ in 0..5000 {
        path.push_str("/x");
        tree.put_entry(&path.as_str().into(), &entry("", 0, 2));
    }
    assert_eq!(tree.count_below("/"), Some(5000));
}
