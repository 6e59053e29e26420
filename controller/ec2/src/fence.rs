//! The interceptor that holds a write back when its announcement is too old: it stops the call of a process that slept
//! between the two (docs/protocol.md §3).
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Instant,
};

use aws_sdk_ec2::{
    config::{ConfigBag, Intercept, RuntimeComponents, http::HttpResponse},
    error::{BoxError, ProvideErrorMetadata, SdkError},
};
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use saved_template_core::{
    cloud::{Announced, FRESH},
    ec2_error::{Ec2Error, ErrorClass},
};

use crate::{clock::Clock, errors};

/// A write that was held back.
#[derive(Debug, thiserror::Error)]
#[error("held back: its announcement is older than {} s", FRESH.as_secs())]
struct Held;

/// The fence of one write. Checked before each attempt, so that the SDK's retries are held back too. It also knows
/// whether any attempt may have been carried out, which the last attempt's error alone does not tell.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    announced: Announced,
    clock: Arc<Clock>,
    attempts: Arc<Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    held: AtomicBool,
    under_way: AtomicBool,
    unsure: AtomicBool,
}

impl Fence {
    pub(crate) fn new(announced: Announced, clock: &Arc<Clock>) -> Self {
        Self { announced, clock: Arc::clone(clock), attempts: Arc::default() }
    }

    fn is_late(&self) -> bool {
        let old = Instant::now().saturating_duration_since(self.announced.instant) > FRESH;
        let limit = self.announced.at.checked_add(FRESH);
        old || self.clock.now().is_some_and(|now| limit.is_ok_and(|limit| now > limit))
    }

    /// What a failed write means: definite if no attempt was sent or each was refused, unknown otherwise.
    pub(crate) fn judge<E>(&self, operation: &'static str, error: &SdkError<E, HttpResponse>) -> Ec2Error
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let refusal = errors::refusal(operation, error);
        let unsure = self.attempts.unsure.load(SeqCst) || self.attempts.under_way.load(SeqCst);
        if unsure && refusal.is_definite() {
            Ec2Error { class: ErrorClass::Unknown, ..refusal }
        } else if unsure || !refusal.code.is_empty() {
            refusal
        } else if self.attempts.held.load(SeqCst) {
            Ec2Error::late(operation)
        } else {
            errors::unsent(operation, refusal.message)
        }
    }
}

impl Intercept for Fence {
    fn name(&self) -> &'static str {
        "Fence"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.is_late() {
            self.attempts.held.store(true, SeqCst);
            return Err(Held.into());
        }
        self.attempts.under_way.store(true, SeqCst);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let was_sent = self.attempts.under_way.swap(false, SeqCst);
        if was_sent && !context.response().is_some_and(is_refusal) {
            self.attempts.unsure.store(true, SeqCst);
        }
        Ok(())
    }
}

/// Whether EC2 said by a code that it did nothing.
fn is_refusal(response: &HttpResponse) -> bool {
    let body = response.body().bytes().unwrap_or_default();
    let body = String::from_utf8_lossy(body);
    let code =
        body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let status = response.status();
    let refuses =
        |code| Ec2Error::new("", code, "").with_status(status.as_u16()).class != ErrorClass::Unknown;
    !status.is_success() && code.is_some_and(refuses)
}
