use store::ReadBatches;

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

#[test]
fn of_what_was_read_damage_ends_no_more_than_it_must() {
    let good = batch(1, &["a"]).bytes().to_vec();
    let changed = |at: usize, to: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    // Longer than all that there is; its last offset before its first; a value that its checksum does not fit.
    let (long, backwards) = (changed(8, &[0x7f]), changed(23, &(-1_i32).to_be_bytes()));
    let wrong = changed(good.len() - 2, b"?");
    for (damaged, wanted) in [
        (long, vec![true, false, true]),
        (backwards, vec![true, false, true]),
        (wrong, vec![true, false, true, true]),
    ] {
        let slices = vec![[&good[..], &damaged, &good].concat().into(), good.clone().into()];
        let read = ReadBatches { slices, ..ReadBatches::default() };
        let found: Vec<_> = read.batches().take(9).map(|batch| batch.is_ok()).collect();
        assert_eq!(found, wanted);
    }
}
