//! SDK error in, refusal out. Branches on EC2's code alone: the SDK models none of its errors.
use std::error::Error;

use aws_sdk_ec2::{config::http::HttpResponse, error::ProvideErrorMetadata, error::SdkError};
use saved_template_core::ec2_error::{Ec2Error, ErrorClass};

/// What a failed call means, as far as the error alone can tell. Where no reply was read the call may have been
/// carried out; a [`Fence`](crate::fence::Fence) knows more about a write.
pub(crate) fn refusal<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Ec2Error
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(reply) => {
            let status = reply.raw().status().as_u16();
            match reply.err().code() {
                Some(code) => Ec2Error::new(operation, code, reply.err().message().unwrap_or_default())
                    .with_status(status),
                None => Ec2Error::new(
                    operation,
                    "",
                    format!("EC2 answered with HTTP status {status} and no error code"),
                ),
            }
        }
        SdkError::ConstructionFailure(_) => {
            unsent(operation, format!("it could not be sent: {}", cause(error)))
        }
        SdkError::TimeoutError(_) => Ec2Error::new(operation, "", "EC2 did not answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Ec2Error::new(operation, "", "EC2 did not answer in time")
        }
        SdkError::DispatchFailure(_) => {
            Ec2Error::new(operation, "", format!("the connection to EC2 failed: {}", cause(error)))
        }
        SdkError::ResponseError(reply) => {
            let status = reply.raw().status().as_u16();
            let why = cause(error);
            Ec2Error::new(
                operation,
                "",
                format!("EC2's answer (HTTP status {status}) could not be read: {why}"),
            )
        }
        _ => Ec2Error::new(operation, "", cause(error)),
    }
}

/// A call that was never sent, for a reason that may pass: no credentials, no connection.
pub(crate) fn unsent(operation: &'static str, message: String) -> Ec2Error {
    Ec2Error { operation, code: String::new(), message, class: ErrorClass::Late }
}

/// An answer that lacks what it must have: it was accepted, and nobody knows what came of it.
pub(crate) fn incomplete(operation: &'static str, what: &str) -> Ec2Error {
    Ec2Error::new(operation, "", format!("the reply has no {what}"))
}

/// The answer to a `DryRun`: EC2 says yes with an error.
pub(crate) fn permitted<T>(result: Result<T, Ec2Error>, operation: &'static str) -> Result<(), Ec2Error> {
    match result {
        Ok(_) => Err(Ec2Error::new(operation, "", "answered a dry run as if it were none")),
        Err(refusal) if refusal.code == "DryRunOperation" => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

/// How a result is counted.
pub(crate) fn outcome<T>(result: &Result<T, Ec2Error>) -> &'static str {
    let Err(refusal) = result else { return "ok" };
    if refusal.code == "DryRunOperation" {
        return "ok";
    }
    match refusal.class {
        ErrorClass::Throttle => "throttle",
        ErrorClass::Unknown => "unknown",
        ErrorClass::Wait => "wait",
        ErrorClass::Capacity => "capacity",
        ErrorClass::Denied => "denied",
        ErrorClass::NotFound => "not-found",
        ErrorClass::NameTaken => "name-taken",
        ErrorClass::TokenUsed => "token-used",
        ErrorClass::Caller => "caller",
        ErrorClass::Late => "late",
    }
}

/// What the layers of the SDK wrap: the innermost cause alone says something to whoever does not know them.
fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
