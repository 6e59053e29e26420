//! What `core/tests/hostile` makes out of bytes, for a status that is written by hand.
#![expect(dead_code, reason = "one test poisons a status with them")]
#[path = "../../core/tests/hostile/dice.rs"]
pub(crate) mod dice;
#[path = "../../core/tests/hostile/objects.rs"]
pub(crate) mod objects;
#[path = "../../core/tests/hostile/schema.rs"]
pub(crate) mod schema;
