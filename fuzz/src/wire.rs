//! An EC2 below the SDK's client that gives one answer to everything.
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_ec2::config::{
    Credentials, SharedCredentialsProvider,
    http::{HttpRequest, HttpResponse},
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::body::SdkBody;
use saved_template_core::restart::Signing;
use saved_template_ec2::{Ec2, Clients, Use};

#[derive(Debug)]
struct Answer {
    status: u16,
    body: String,
}

impl HttpConnector for Answer {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let status = self.status.try_into().unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(self.body.clone()))))
    }
}

/// An EC2 that answers so, whatever it is asked.
pub(crate) fn ec2(status: u16, body: String) -> Ec2 {
    let connector = SharedHttpConnector::new(Answer { status, body });
    let credentials = Credentials::new("123456789012", "secret", None, None, "fuzz");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    let observer = Arc::new(|_: &str, _: &str| {});
    Clients::new(config, observer, || jiff::Timestamp::UNIX_EPOCH, Signing::off("fuzz")).ec2(&"us-west-2".parse().unwrap(), Use::Reconcile)
}
