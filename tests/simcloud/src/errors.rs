//! What an answer means where it is no good one: the same text and class as the client of the product gives it.
use ec2sim::Reply;
use saved_template_core::ec2_error::{Ec2Error, ErrorClass};

use crate::xml::{Node, Unreadable};

/// Codes on which the SDK tries again, whatever the status (aws-runtime, `retries::classifiers`).
const RETRIED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
];

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// EC2 answered; with the tree of the reply, if it is one.
    Reply(Box<Reply>, Option<Node>),
    /// No answer came, for this reason.
    Lost(String),
    /// The fence held it back.
    Held,
}

impl Answer {
    /// A good reply that was cut is none.
    pub(crate) fn of(reply: Reply) -> Self {
        let tree = Node::parse(&reply.body).ok();
        if is_good(&reply) && !tree.as_ref().is_some_and(Node::is_whole) {
            let (status, why) = (reply.status, "the reply is cut or damaged");
            return Self::Lost(format!("EC2's answer (HTTP status {status}) could not be read: {why}"));
        }
        Self::Reply(Box::new(reply), tree)
    }

    /// Whether the SDK tries again after it.
    pub(crate) fn is_retried(&self) -> bool {
        match self {
            Self::Held => false,
            Self::Lost(_) => true,
            Self::Reply(reply, tree) => {
                let code = code(tree.as_ref()).map(|(code, _)| code);
                let is_named = code.is_some_and(|code| RETRIED.contains(&code.as_str()));
                !is_good(reply) && (is_named || matches!(reply.status, 500 | 502 | 503 | 504))
            }
        }
    }

    /// Whether EC2 said by a code that it did nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        let Self::Reply(reply, _) = self else { return false };
        let refuses =
            |code| Ec2Error::new("", code, "").with_status(reply.status).class != ErrorClass::Unknown;
        !is_good(reply) && reply.text("Code").is_some_and(refuses)
    }

    /// The reply as a tree, or what it means as far as it alone can tell.
    pub(crate) fn read(self, operation: &'static str) -> Result<Node, Ec2Error> {
        match self {
            Self::Held => Err(Ec2Error::new(operation, "", "held back")),
            Self::Lost(why) => Err(Ec2Error::new(operation, "", why)),
            Self::Reply(reply, tree) if is_good(&reply) => {
                tree.ok_or_else(|| nameless(operation, reply.status))
            }
            Self::Reply(reply, tree) => Err(match code(tree.as_ref()) {
                Some((code, message)) => Ec2Error::new(operation, code, message).with_status(reply.status),
                None => nameless(operation, reply.status),
            }),
        }
    }
}

fn is_good(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

fn code(document: Option<&Node>) -> Option<(String, String)> {
    let error = document?.child("Errors")?.child("Error")?;
    Some((error.text("Code")?.to_owned(), error.text("Message").unwrap_or_default().to_owned()))
}

fn nameless(operation: &'static str, status: u16) -> Ec2Error {
    Ec2Error::new(operation, "", format!("EC2 answered with HTTP status {status} and no error code"))
}

/// A good reply with an element that is not of its type.
pub(crate) fn unreadable(operation: &'static str) -> impl Fn(Unreadable) -> Ec2Error {
    move |Unreadable| nameless(operation, 200)
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
