//! Every message in every version comes back as it was written.

use proptest::prelude::*;

use crate::wire::ApiKey;
use crate::wire::messages::CASES;
use crate::wire::sample::Sample;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_in_every_version(seed: u64) {
        let mut s = Sample::new(seed);
        for case in CASES {
            for version in case.min..=case.max {
                (case.round_trip)(&mut s, version).map_err(TestCaseError::fail)?;
            }
        }
    }
}

#[test]
fn the_table_of_keys_agrees_with_the_schema() {
    let requests: Vec<_> = CASES.iter().filter(|case| case.is_request).collect();
    assert_eq!(requests.len(), ApiKey::ALL.len());
    for case in requests {
        let api = case.key.and_then(ApiKey::from_number).unwrap();
        assert_eq!(format!("{}Request", api.name()), case.name);
        assert_eq!((api.min_version(), api.max_version()), (case.min, case.max), "{api:?}");
        assert_eq!(api.flexible_from(), case.flexible_from, "{api:?}");
    }
    for case in CASES.iter().filter(|case| case.key.is_some() && !case.is_request) {
        let api = case.key.and_then(ApiKey::from_number).unwrap();
        assert_eq!((api.min_version(), api.max_version()), (case.min, case.max), "{api:?}");
        assert_eq!(api.flexible_from(), case.flexible_from, "{api:?}");
    }
}
