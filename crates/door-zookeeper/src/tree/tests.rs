use super::*;

fn tree() -> Tree {
    let mut tree = Tree::new();
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
        ephemeral_owner: 7,
        data_length: 11,
        children: 0,
        pzxid: 9,
    };
    assert_eq!(tree.get("/a/b").unwrap().stat(), expected);
    assert_eq!(tree.get("/a").unwrap().stat().mzxid, 5, "the parent's data did not change");
}

#[test]
fn the_same_data_again_is_no_change() {
    let mut tree = tree();
    tree.take_changes();
    tree.begin(9, 2000);
    tree.set("/a/b", Some(Bytes::from_static(b"data")));
    assert_eq!(tree.take_changes(), []);
    assert_eq!(tree.get("/a/b").unwrap().stat().mzxid, 5);
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
    assert_eq!(tree.zxid(), 6);
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
