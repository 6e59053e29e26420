//! What a controller makes its calls to AWS with.
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use saved_template_api::ids::Region;
use saved_template_core::{ec2_error::Ec2Error, place::Place};

/// Makes the clients of a place: one for the sweeps and restarts, one for reconciles.
pub type Connect<C> = Box<dyn Fn(&Place) -> (C, C) + Send + Sync>;

/// A clock that tells the time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clients of one account, and who it says that the controller is.
pub struct Account<C> {
    /// Makes the clients of a place.
    pub connect: Connect<C>,
    /// The region that the configuration names.
    pub configured: Option<Region>,
    /// The ARN that AWS knows the controller by; nothing waits for it.
    pub identity: BoxFuture<'static, Result<String, Ec2Error>>,
    /// The node's clock, in whole seconds, where EC2 has not told its own.
    pub clock: Clock,
}
