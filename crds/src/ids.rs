//! What AWS calls things: one type for each kind of id.
//!
//! [`parse`](InstanceId::parse) is the only constructor and refuses what is malformed. Reading an object from
//! Kubernetes is the exception: there the pattern in the schema is the guard, and a value that somehow passed it must
//! not stop the watch of every other object.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// A text that is not the id that it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was expected.
    pub expected: &'static str,
    /// What was there.
    pub text: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not {}", self.text, self.expected)
    }
}

impl std::error::Error for Malformed {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $pattern:literal, $max:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text if it has the right form.
            pub fn parse(text: impl Into<String>) -> Result<Self, Malformed> {
                let text = text.into();
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(&text) { Ok(Self(text)) } else { Err(Malformed { expected: $expected, text }) }
            }

            /// The id as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                Self::parse(text)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "maxLength": $max })
            }
        }
    };
}

id!(
    /// An AWS region: `us-west-2`.
    Region, "a region such as us-west-2", r"^([a-z]{2}|[a-z]{4})(-[a-z]+)+-\d$", 24, is_region
);
id!(
    /// An EC2 instance: `i-0123456789abcdef0`.
    InstanceId, "an instance id such as i-0123456789abcdef0", "^i-([0-9a-f]{8}|[0-9a-f]{17})$", 19,
    |text| is_resource(text, "i-")
);
id!(
    /// An Amazon machine image: `ami-0123456789abcdef0`.
    ImageId, "an image id such as ami-0123456789abcdef0", "^ami-([0-9a-f]{8}|[0-9a-f]{17})$", 21,
    |text| is_resource(text, "ami-")
);
id!(
    /// An EBS snapshot: `snap-0123456789abcdef0`.
    SnapshotId, "a snapshot id such as snap-0123456789abcdef0", "^snap-([0-9a-f]{8}|[0-9a-f]{17})$", 22,
    |text| is_resource(text, "snap-")
);
id!(
    /// An EBS volume: `vol-0123456789abcdef0`.
    VolumeId, "a volume id such as vol-0123456789abcdef0", "^vol-([0-9a-f]{8}|[0-9a-f]{17})$", 21,
    |text| is_resource(text, "vol-")
);
id!(
    /// An AWS account: twelve digits.
    AccountId, "an account id of twelve digits", r"^\d{12}$", 12,
    |text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
);

fn is_region(text: &str) -> bool {
    let lower = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        [first, middle @ .., last] if text.len() <= 24 && !middle.is_empty() => {
            matches!(first.len(), 2 | 4)
                && lower(first)
                && middle.iter().all(lower)
                && matches!(last.as_bytes(), [digit] if digit.is_ascii_digit())
        }
        _ => false,
    }
}

fn is_resource(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|hex| {
        matches!(hex.len(), 8 | 17) && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_both_lengths_are_taken() {
        assert_eq!(InstanceId::parse("i-01234567").unwrap().as_str(), "i-01234567");
        assert!(ImageId::parse("ami-0123456789abcdef0").is_ok());
        assert!(SnapshotId::parse("snap-0123456789abcdef0").is_ok());
        assert!(VolumeId::parse("vol-0123456789abcdef0").is_ok());
        assert!(AccountId::parse("000000000000").is_ok());
    }

    #[test]
    fn what_is_not_an_id_is_refused_with_what_was_expected() {
        for text in
            ["", "i-", "i-0123456", "i-0123456G", "i-012345678", "ami-01234567", "i-0123456789ABCDEF0"]
        {
            assert!(InstanceId::parse(text).is_err(), "{text:?}");
        }
        for text in ["", "11112222333", "1111222233334", "11112222333x", "１２３４"] {
            assert!(AccountId::parse(text).is_err(), "{text:?}");
        }
        let refusal = InstanceId::parse("my machine").unwrap_err().to_string();
        assert_eq!(refusal, "\"my machine\" is not an instance id such as i-0123456789abcdef0");
    }

    #[test]
    fn regions_of_every_partition_are_taken() {
        for text in [
            "us-west-2",
            "ap-southeast-5",
            "cn-northwest-1",
            "us-gov-east-1",
            "us-isob-east-1",
            "eusc-de-east-1",
        ] {
            assert!(Region::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "us",
            "us-west",
            "us-2",
            "us-west-2a",
            "us-west-22",
            "US-WEST-2",
            "us--2",
            "usa-west-2",
            "-west-2",
        ] {
            assert!(Region::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_is_a_plain_text_in_json() {
        let id: ImageId = "ami-01234567".parse().unwrap();
        let json = serde_json::to_value(&id).unwrap();
        assert_eq!(json, "ami-01234567");
        assert_eq!(serde_json::from_value::<ImageId>(json).unwrap(), id);
        assert_eq!(id.to_string(), id.as_ref());
    }
}
