use crate::support::{Fixture, append, batch, log, values};

#[tokio::test]
async fn what_was_appended_is_read_before_and_after_a_restart() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let first = log(&store, 1);
    let second = log(&store, 2);
    for round in 0..10 {
        let text = format!("value {round}");
        let at = append(&store, &first, batch(round, &[&text, "x"])).await.unwrap();
        assert_eq!(at.base, round * 2);
        append(&store, &second, batch(round, &[&text])).await.unwrap();
    }
    let expected = values(&first, 0);
    assert_eq!(expected.len(), 20);
    assert_eq!(expected[2], (2, "value 1".to_owned()));
    drop((store, first, second));

    let store = fixture.open();
    assert_eq!(store.recovered().frames, 0, "a clean stop leaves nothing to replay");
    let first = log(&store, 1);
    assert_eq!(values(&first, 0), expected);
    let at = append(&store, &first, batch(99, &["after"])).await.unwrap();
    assert_eq!(at.base, 20);
    assert_eq!(values(&first, 18)[1..], [(19, "x".to_owned()), (20, "after".to_owned())]);
}
