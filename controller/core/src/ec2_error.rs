//! What an EC2 error means: for the outcome of the call, and for trying again.
mod told;

use std::fmt;

use saved_template_api::{Reason, status::CaptureReason, text::cut};

/// The kinds of refusal that a decision tells apart. Source: "Error codes for the Amazon EC2 API".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Too many requests: nothing happened, slow down.
    Throttle,
    /// 5xx, a lost or unreadable reply: a read failed, a write may have happened.
    Unknown,
    /// The resource is in a state that passes: nothing happened, try again soon.
    Wait,
    /// No capacity or a quota of the account: nothing happened, try for ever.
    Capacity,
    /// The identity may not do this.
    Denied,
    /// The thing does not exist, or is not visible yet.
    NotFound,
    /// The AMI name is taken: perhaps by our own call whose reply was lost.
    NameTaken,
    /// The client token was used with other parameters: the call was accepted earlier.
    TokenUsed,
    /// Anything else: the request cannot succeed as it is.
    Caller,
    /// Our own interceptor held the call back, since its announcement was too old: nothing was sent.
    Late,
}

/// A call that EC2 refused, or whose reply was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ec2Error {
    /// The EC2 operation, such as `StopInstances`.
    pub operation: &'static str,
    /// EC2's error code; empty where there was no reply.
    pub code: String,
    /// EC2's message, or what broke the connection.
    pub message: String,
    /// What it means.
    pub class: ErrorClass,
}

/// Our own code for a region that the account has not enabled: nothing was sent.
pub const NOT_ENABLED: &str = "RegionNotEnabled";

/// Our own codes of a machine that the restart loop leaves to its owner: EC2 was not asked.
pub const UNCLEAR_STATE: &str = "UnclearStateReason";
/// The same, for a record that cannot be honest.
pub const IMPLAUSIBLE_RECORD: &str = "ImplausibleRecord";

/// An encoded authorization failure has a kilobyte or two.
const MOST_OF_A_MESSAGE: usize = 8192;

/// What EC2 appends to a refusal of IAM, where the operation supports it: a ciphertext, another one for each call. In a
/// status it would be a change of it, and so the next reason to ask again.
const ENCODED: &str = " Encoded authorization failure message";

const THROTTLE: &[&str] = &[
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "EC2ThrottledException",
    "SnapshotCreationPerVolumeRateExceeded",
];
const UNKNOWN: &[&str] = &[
    "",
    "InternalError",
    "InternalFailure",
    "ServerInternal",
    "ServiceUnavailable",
    "Unavailable",
    "RequestTimeout",
];
const WAIT: &[&str] = &[
    "IncorrectInstanceState",
    "IncorrectState",
    "InvalidAMIID.Unavailable",
    "ConcurrentTagAccess",
    "ConcurrentSnapshotLimitExceeded",
    "PendingSnapshotLimitExceeded",
    "ConcurrentCreateImageNoRebootLimitExceeded",
    "ResourceLimitExceeded",
    "RequestExpired",
];
/// Of those, what EC2 says of a machine that is between two states.
const BETWEEN_STATES: &[&str] = &["IncorrectInstanceState", "IncorrectState", "InvalidParameterValue"];
/// What a policy refused; the rest of what is denied is about credentials or the account.
const NO_PERMISSION: &[&str] = &["UnauthorizedOperation", "AccessDenied"];
const CAPACITY: &[&str] = &[
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientCapacityOnHost",
    "InsufficientReservedInstanceCapacity",
    "InstanceLimitExceeded",
    "VcpuLimitExceeded",
    "ReservationCapacityExceeded",
];
const DENIED: &[&str] = &[
    "UnauthorizedOperation",
    "AuthFailure",
    "AccessDenied",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "Blocked",
];

/// A code without the side that it blames.
fn plain(code: &str) -> &str {
    code.strip_prefix("Client.").or_else(|| code.strip_prefix("Server.")).unwrap_or(code)
}

/// EC2's words without the ARN of a KMS key: who may read an object, its events or a log need not know it.
pub(crate) fn without_keys(message: &str) -> String {
    let hidden = |word: &str| {
        let (before, arn) = word.split_at(word.find("arn:").unwrap_or(word.len()));
        let rest = arn.trim_start_matches(|c: char| !",;)'\"]}".contains(c));
        if arn.contains(":kms:") { format!("{before}a customer key{rest}") } else { word.to_owned() }
    };
    message.split(' ').map(hidden).collect::<Vec<_>>().join(" ")
}

/// Whether EC2 speaks of a key that it could not use.
pub(crate) fn speaks_of_keys(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["kms", "encryption key", "customer master key", "customer key"].iter().any(|word| lower.contains(word))
}

impl ErrorClass {
    /// What an error code means; `message` only where EC2 overloads the code.
    pub fn of(code: &str, message: &str) -> Self {
        let code = plain(code);
        let one_of = |codes: &[&str]| codes.contains(&code);
        if one_of(THROTTLE) {
            Self::Throttle
        } else if one_of(UNKNOWN) {
            Self::Unknown
        } else if one_of(WAIT) || (code == "InvalidParameterValue" && message.contains("is not in state")) {
            Self::Wait
        } else if one_of(CAPACITY) {
            Self::Capacity
        } else if one_of(DENIED) {
            Self::Denied
        } else if code == "InvalidAMIName.Duplicate" {
            Self::NameTaken
        } else if code == "IdempotentParameterMismatch" {
            Self::TokenUsed
        } else if code.ends_with(".NotFound") {
            Self::NotFound
        } else {
            Self::Caller
        }
    }
}

impl Ec2Error {
    /// A refusal with EC2's own code and message.
    pub fn new(operation: &'static str, code: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let message = message.split(ENCODED).next().unwrap_or_default();
        // EC2 repeats what was asked for: a name or a tag must not write a line of the log.
        let (code, message) = (cut(code.into(), 128), cut(without_keys(message), MOST_OF_A_MESSAGE));
        Self { operation, class: ErrorClass::of(&code, &message), code, message }
    }

    /// The same, of a reply with this HTTP status: a server error whose code does not say that nothing was done may have
    /// come after it was.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        let says_so = matches!(self.class, ErrorClass::Throttle | ErrorClass::Wait | ErrorClass::Capacity);
        let class = if status >= 500 && !says_so { ErrorClass::Unknown } else { self.class };
        Self { class, ..self }
    }

    /// What somebody must change, as a reason of `Validated`; none where asking again may help by itself.
    pub(crate) fn reason(&self) -> Option<Reason> {
        let code = plain(&self.code);
        match self.class {
            ErrorClass::Denied => Some(Reason::AccessDenied),
            ErrorClass::NameTaken => Some(Reason::NameConflict),
            ErrorClass::Caller if code == "TagLimitExceeded" => Some(Reason::TooManyTags),
            ErrorClass::Caller if self.message.contains("disableApiStop") => Some(Reason::StopProtected),
            ErrorClass::Caller if code.starts_with("Unsupported") => Some(Reason::InstanceNotSupported),
            ErrorClass::Caller | ErrorClass::TokenUsed => Some(Reason::RequestRefused),
            ErrorClass::Throttle
            | ErrorClass::Unknown
            | ErrorClass::Wait
            | ErrorClass::Capacity
            | ErrorClass::NotFound
            | ErrorClass::Late => None,
        }
    }

    /// The word of an attempt that ended by what passes.
    pub(crate) fn passing(&self) -> CaptureReason {
        match self.class {
            ErrorClass::Throttle => CaptureReason::Throttled,
            ErrorClass::Wait if BETWEEN_STATES.contains(&plain(&self.code)) => CaptureReason::InstanceBusy,
            ErrorClass::Unknown
            | ErrorClass::Wait
            | ErrorClass::Capacity
            | ErrorClass::Denied
            | ErrorClass::NotFound
            | ErrorClass::NameTaken
            | ErrorClass::TokenUsed
            | ErrorClass::Caller
            | ErrorClass::Late => CaptureReason::NotTaken,
        }
    }

    /// Whether EC2's code or words contain a word.
    pub(crate) fn speaks_of(&self, word: &str) -> bool {
        [&self.code, &self.message].iter().any(|text| text.to_ascii_lowercase().contains(word))
    }

    /// Whether a policy lacks the action.
    pub(crate) fn lacks_permission(&self) -> bool {
        self.class == ErrorClass::Denied && NO_PERMISSION.contains(&plain(&self.code))
    }

    /// A call that our own interceptor held back.
    pub fn late(operation: &'static str) -> Self {
        let message = "held back: its announcement is older than 20 s".into();
        Self { operation, code: String::new(), message, class: ErrorClass::Late }
    }

    /// Whether the call certainly changed nothing.
    pub const fn is_definite(&self) -> bool {
        !matches!(self.class, ErrorClass::Unknown | ErrorClass::NameTaken | ErrorClass::TokenUsed)
    }

    /// Whether asking again later may help without anybody's doing.
    pub const fn passes(&self) -> bool {
        matches!(
            self.class,
            ErrorClass::Throttle
                | ErrorClass::Unknown
                | ErrorClass::Wait
                | ErrorClass::Capacity
                | ErrorClass::Late
                | ErrorClass::NotFound
        )
    }
}

impl fmt::Display for Ec2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = if self.code.is_empty() { "no answer" } else { &self.code };
        write!(f, "{}: {code}: {}", self.operation, self.message)
    }
}

impl std::error::Error for Ec2Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_the_taxonomy_has_its_class() {
        let rows = [
            ("RequestLimitExceeded", "", ErrorClass::Throttle),
            ("InternalError", "", ErrorClass::Unknown),
            ("", "connection reset", ErrorClass::Unknown),
            ("IncorrectInstanceState", "", ErrorClass::Wait),
            ("InvalidParameterValue", "Instance is not in state 'running' or 'stopped'", ErrorClass::Wait),
            ("InvalidParameterValue", "Value (x) for parameter y is invalid", ErrorClass::Caller),
            ("InsufficientInstanceCapacity", "", ErrorClass::Capacity),
            ("UnauthorizedOperation", "", ErrorClass::Denied),
            ("InvalidAMIName.Duplicate", "", ErrorClass::NameTaken),
            ("IdempotentParameterMismatch", "", ErrorClass::TokenUsed),
            ("InvalidInstanceID.NotFound", "", ErrorClass::NotFound),
            ("OperationNotPermitted", "may not be stopped", ErrorClass::Caller),
            ("SomethingNew", "", ErrorClass::Caller),
            ("Client.UnauthorizedOperation", "", ErrorClass::Denied),
            ("Server.InternalError", "", ErrorClass::Unknown),
            ("Server.InsufficientInstanceCapacity", "", ErrorClass::Capacity),
        ];
        for (code, message, class) in rows {
            assert_eq!(ErrorClass::of(code, message), class, "{code} {message}");
        }
    }

    #[test]
    fn a_server_error_says_that_nothing_was_done_only_by_a_code_that_says_so() {
        for (status, code, class) in [
            (500, "InternalServerError", ErrorClass::Unknown),
            (502, "BadGateway", ErrorClass::Unknown),
            (504, "GatewayTimeout", ErrorClass::Unknown),
            (500, "Server.InternalError", ErrorClass::Unknown),
            (503, "UnauthorizedOperation", ErrorClass::Unknown),
            (503, "RequestLimitExceeded", ErrorClass::Throttle),
            (500, "InsufficientInstanceCapacity", ErrorClass::Capacity),
            (400, "SomethingNew", ErrorClass::Caller),
            (404, "InvalidInstanceID.NotFound", ErrorClass::NotFound),
        ] {
            let refusal = Ec2Error::new("StopInstances", code, "no").with_status(status);
            assert_eq!(refusal.class, class, "{status} {code}");
        }
    }

    #[test]
    fn a_message_of_ec2_is_one_line_without_what_steers_a_terminal() {
        let message = "Value (x\r\nlevel=ERROR \u{1b}[2J) is invalid".to_owned() + &"🌋".repeat(10_000);
        let refusal = Ec2Error::new("CopyImage", "InvalidParameterValue", message);
        assert!(
            refusal
                .to_string()
                .starts_with("CopyImage: InvalidParameterValue: Value (x  level=ERROR  [2J) is invalid🌋")
        );
        assert!(refusal.message.len() <= 8192 && !refusal.message.contains(saved_template_api::text::steers));
    }

    #[test]
    fn no_message_names_the_arn_of_a_key_and_every_other_word_of_it_stays() {
        for (message, told) in [
            ("", ""),
            (
                "Given key arn:aws:kms:us-east-2:1:key/1a is not accessible",
                "Given key a customer key is not accessible",
            ),
            (
                "on resource: 'arn:aws-cn:kms:cn-north-1:1:key/x', since",
                "on resource: 'a customer key', since",
            ),
            ("(arn:aws:kms:a:1:alias/x)", "(a customer key)"),
            ("arn:aws:kms:a:1:key/x", "a customer key"),
            (
                "User: arn:aws:sts::1:assumed-role/r/s may not kms:CreateGrant",
                "User: arn:aws:sts::1:assumed-role/r/s may not kms:CreateGrant",
            ),
        ] {
            assert_eq!(Ec2Error::new("StartInstances", "x", message).message, told);
        }
    }

    #[test]
    fn a_lost_reply_is_never_taken_for_a_refusal() {
        assert!(!Ec2Error::new("CreateImage", "", "connection closed").is_definite());
        assert!(!Ec2Error::new("CreateImage", "InternalError", "").is_definite());
        assert!(!Ec2Error::new("CreateImage", "InvalidAMIName.Duplicate", "").is_definite());
        assert!(Ec2Error::new("StopInstances", "UnauthorizedOperation", "").is_definite());
        assert!(Ec2Error::late("StopInstances").is_definite());
    }

    #[test]
    fn the_ciphertext_of_a_refusal_of_iam_is_no_part_of_its_message() {
        let told = "You are not authorized to perform this operation. User: a is not authorized to perform: ec2:CreateImage";
        let texts = [
            "",
            ". Encoded authorization failure message: 4GIOHlTkIaWHQD0Q0m6XSnuUMCm",
            " Encoded authorization failure message: x",
        ];
        for text in texts {
            let refusal = Ec2Error::new("CreateImage", "UnauthorizedOperation", format!("{told}{text}"));
            assert_eq!(refusal.message.trim_end_matches('.'), told);
            assert_eq!(refusal.class, ErrorClass::Denied);
        }
    }
}
