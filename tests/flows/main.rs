//! Flows: the real controller, a real API server, a simulated EC2. Verdicts come from EC2's own log and stores.
mod save;
