//! Who the controller is to AWS.
use std::time::Duration;

use aws_sdk_sts::{
    Client,
    config::{Builder, timeout::TimeoutConfig},
};
use saved_template_core::ec2_error::Ec2Error;

use crate::{clients::Clients, errors};

const OPERATION: &str = "GetCallerIdentity";

impl Clients {
    /// The ARN of the session that these credentials are. STS tells it whatever the permissions; nothing waits for it.
    pub fn identity(&self) -> impl Future<Output = Result<String, Ec2Error>> + Send + use<> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(3100))
            .operation_timeout(Duration::from_secs(30))
            .build();
        let client = Client::from_conf(Builder::from(self.config()).timeout_config(timeouts).build());
        async move {
            let reply = client.get_caller_identity().send().await;
            let reply = reply.map_err(|error| errors::refusal(OPERATION, &error))?;
            reply.arn().map(str::to_owned).ok_or_else(|| errors::incomplete(OPERATION, "ARN"))
        }
    }
}
