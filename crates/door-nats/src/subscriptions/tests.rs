use super::Subscriptions;

#[test]
fn a_tag_of_one_that_is_gone_does_not_find_who_came_after() {
    let mut all = Subscriptions::default();
    let first = all.insert(b"1");
    let second = all.insert(b"2");
    assert_eq!(all.len(), 2);
    all.remove(first);
    all.remove(first);
    assert!(all.get_mut(first).is_none());
    let third = all.insert(b"3");
    assert!(all.get_mut(first).is_none(), "its place is another's");
    assert_eq!(all.get_mut(third).map(|sub| &*sub.sid), Some(&b"3"[..]));
    assert_eq!(all.get_mut(second).map(|sub| &*sub.sid), Some(&b"2"[..]));
    assert_eq!(all.len(), 2);
}

#[test]
fn a_limit_counts_what_was_delivered_before_it() {
    let mut all = Subscriptions::default();
    let tag = all.insert(b"1");
    all.get_mut(tag).expect("there").delivered = 3;
    assert!(all.limit(tag, 4));
    assert!(!all.limit(tag, 3));
    assert!(!all.limit(77, 3), "there is none");
    all.expire(tag);
    assert!(all.has_expired());
    assert_eq!(all.take_expired(), [(tag, b"1"[..].into())]);
    assert!(!all.has_expired());
    all.expire(tag);
    all.remove(tag);
    assert!(all.take_expired().is_empty(), "it is gone");
}
