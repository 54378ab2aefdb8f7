use super::*;

#[test]
fn values_have_the_wanted_size_and_differ() {
    let records = Records { size: 100, compression: "none".to_owned(), acks: "all".to_owned() };
    let values = records.values();
    assert!(values.iter().all(|value| value.len() == 100));
    assert_ne!(values[0], values[1]);
    assert_eq!(values, records.values(), "the same in every run");
}

#[test]
fn the_first_error_of_several_threads_is_reported() {
    let work = |n: u32| if n == 2 { Err(CliError::new("two")) } else { Ok(n) };
    assert_eq!(on_threads(vec![1, 3], work).expect("both work"), [1, 3]);
    assert_eq!(on_threads(vec![1, 2], work).expect_err("one does not").to_string(), "two");
}
