//! What a test may rely on: a real API server that comes up, goes down when asked, and leaves nothing.

mod chart;
mod control;
mod holder;
mod leash;
