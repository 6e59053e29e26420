//! Anything that the schema takes, that EC2 could answer, or that somebody could write on a machine: no panic, nothing
//! done twice or to what is not ours, and a status that can be written.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]
pub(crate) mod body;
pub(crate) mod dice;
pub(crate) mod laws;
pub(crate) mod objects;
pub(crate) mod schema;
pub(crate) mod worlds;

use proptest::prelude::*;
use saved_template_core::restart::Record;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_object_before_any_world_comes_to_rest_within_the_laws(bytes in bytes(1500)) {
        body::object(&bytes);
    }

    #[test]
    fn an_object_that_no_schema_has_seen_is_refused_or_comes_to_rest(bytes in bytes(1500)) {
        body::manifest(&bytes);
    }

    #[test]
    fn any_text_on_a_machine_is_a_record_that_is_judged_or_none(text in ".{0,256}", bytes in bytes(400)) {
        body::debt(&text, &bytes);
        body::debt(&body::almost(&bytes), &bytes);
    }

    #[test]
    fn a_record_of_any_times_is_read_as_it_was_written(times in any::<[i64; 4]>(), volumes in any::<usize>()) {
        let [t, s, m, d] = times;
        let text = format!("v1 i=i-0123456789abcdef0 c=0123456789abcdef o=0a1b2c3d t={t} s={s} m={m} d={d} w=image n={volumes}");
        if let Ok(record) = text.parse::<Record>() {
            prop_assert_eq!(record.to_string(), text);
        }
    }
}
