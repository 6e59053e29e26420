//! What a test may rely on: a real API server that comes up, goes down when asked, and leaves nothing.
#![expect(unused_crate_dependencies, reason = "the dependencies are the library's")]

mod control;
mod holder;
mod leash;
