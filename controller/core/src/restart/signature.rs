//! The optional signature of a record: it proves that whoever wrote it has a key of this installation, and was writing about
//! this machine.
//!
//! Records are signed on their way to EC2 and judged on their way from it. In between they have no signature: what is not
//! authentic is no record there.
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use saved_template_api::{
    ids::Region,
    names::{self, tag::DEBT_PREFIX},
};
use sha2::Sha256;

use super::record::{Record, UNAUTHENTIC};

/// `h`: the first 128 bits of an HMAC-SHA-256, in hex.
const SIGNATURE: &str = " h=";
const DIGITS: usize = 32;
/// Half of that many bytes are random if a key is hex: as many as the signature has.
const SHORTEST: usize = 32;
/// Nothing else that is signed with the same key begins like this.
const PURPOSE: &str = "savedtemplate.dev restart record v1";

/// How the records of one installation are signed. Without keys none is, and each is believed within its bounds.
#[derive(Clone)]
pub struct Signing {
    installation: String,
    debt_key: String,
    keys: Vec<Hmac<Sha256>>,
    required: bool,
}

/// A file of keys that cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKeys {
    /// It has no line.
    None,
    /// This line, counted from 1, is so short that it could be guessed.
    Short(usize),
}

impl fmt::Display for BadKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => {
                f.write_str("no key: one is asked for in each line, for instance of `openssl rand -hex 32`")
            }
            Self::Short(line) => write!(f, "the key in line {line} has fewer than {SHORTEST} characters"),
        }
    }
}

impl std::error::Error for BadKeys {}

impl Signing {
    /// No record of the installation is signed.
    pub fn off(installation: &str) -> Self {
        let debt_key = names::debt_key(installation);
        Self { installation: installation.to_owned(), debt_key, keys: Vec::new(), required: false }
    }

    /// Keys, one in each line: the first one signs, and every one verifies. Where it is `required`, a record without a
    /// valid signature is not authentic; else only one with a wrong signature.
    pub fn with_keys(installation: &str, lines: &str, required: bool) -> Result<Self, BadKeys> {
        let mut keys = Vec::new();
        for (line, key) in (1..).zip(lines.lines().map(str::trim)).filter(|(_, key)| !key.is_empty()) {
            let long = Some(key).filter(|key| key.len() >= SHORTEST);
            keys.push(
                long.and_then(|key| Hmac::new_from_slice(key.as_bytes()).ok()).ok_or(BadKeys::Short(line))?,
            );
        }
        if keys.is_empty() {
            return Err(BadKeys::None);
        }
        Ok(Self { keys, required, ..Self::off(installation) })
    }

    /// The key of the tag that holds the records of the installation.
    pub fn debt_key(&self) -> &str {
        &self.debt_key
    }

    /// What is written to EC2 for a record. Its text names the machine.
    pub fn write(&self, region: &Region, record: &str) -> String {
        let signature = self.keys.first().and_then(|key| {
            let code = self.message(key, region, record).finalize().into_bytes();
            code.first_chunk().map(|half| u128::from_be_bytes(*half))
        });
        match signature {
            Some(signature) => format!("{record}{SIGNATURE}{signature:0DIGITS$x}"),
            None => record.to_owned(),
        }
    }

    /// What stands for the value of a tag: the record without its signature, or what is no record where it is not authentic.
    /// What is under the key of another installation cannot be verified.
    pub fn read(&self, region: &Region, key: &str, value: &str) -> String {
        let (text, signature) = match value.rsplit_once(SIGNATURE) {
            Some((text, signature)) => (text, Some(signature)),
            None => (value, None),
        };
        if !key.starts_with(DEBT_PREFIX) || text.parse::<Record>().is_err() {
            return value.to_owned();
        }
        let is_believed = match signature {
            _ if self.keys.is_empty() || key != self.debt_key => true,
            Some(signature) => self.is_valid(region, text, signature),
            None => !self.required,
        };
        if is_believed { text.to_owned() } else { format!("{UNAUTHENTIC}{value}") }
    }

    fn is_valid(&self, region: &Region, record: &str, signature: &str) -> bool {
        let is_hex = signature.len() == DIGITS && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = u128::from_str_radix(signature, 16).ok().filter(|_| is_hex).map(u128::to_be_bytes);
        let signs = |code: [u8; 16]| {
            move |key| self.message(key, region, record).verify_truncated_left(&code).is_ok()
        };
        code.is_some_and(|code| self.keys.iter().any(signs(code)))
    }

    /// What is signed: none of the parts can have a line break.
    fn message(&self, key: &Hmac<Sha256>, region: &Region, record: &str) -> Hmac<Sha256> {
        let installation = &self.installation;
        key.clone().chain_update(format!("{PURPOSE}\n{installation}\n{region}\n{record}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::record;

    const CLUSTER: &str = "lab";
    const NEW: &str = "0123456789abcdef0123456789abcdef";
    const OLD: &str = "fedcba9876543210fedcba9876543210";

    fn signing(keys: &str, required: bool) -> Signing {
        Signing::with_keys(CLUSTER, keys, required).unwrap()
    }

    fn home() -> Region {
        "us-west-2".parse().unwrap()
    }

    fn elsewhere() -> Region {
        "eu-west-1".parse().unwrap()
    }

    #[test]
    fn a_record_is_authentic_only_as_it_was_signed_and_where_and_for_whom() {
        let text = record().to_string();
        let signed = signing(NEW, false).write(&home(), &text);
        let another = Record { instance: "i-00000000000000009".parse().unwrap(), ..record() }.to_string();
        let aborted = record().aborted(record().planned).to_string();
        let code = signed.strip_prefix(&text).unwrap();
        let of_another_cluster = Signing::with_keys("other", NEW, true).unwrap().write(&home(), &text);
        let (required, optional) = (signing(NEW, true), signing(NEW, false));
        let rotated = signing(&format!("{OLD}\n\n{NEW}\n"), true);
        let without = Signing::off(CLUSTER);
        let unsigned = |value: &str| Some(value.to_owned());
        for (what, value, reads_required, reads_optional) in [
            ("signed", signed.clone(), unsigned(&text), unsigned(&text)),
            ("unsigned", text.clone(), None, unsigned(&text)),
            ("altered", format!("{aborted}{code}"), None, None),
            ("moved to another machine", format!("{another}{code}"), None, None),
            ("of another region", required.write(&elsewhere(), &text), None, None),
            ("of another installation", of_another_cluster, None, None),
            ("of another key", signing(OLD, true).write(&home(), &text), None, None),
            ("cut", signed.get(..signed.len() - 1).unwrap().to_owned(), None, None),
            ("with a digit before it", signed.replace(SIGNATURE, " h=0"), None, None),
            ("empty", format!("{text}{SIGNATURE}"), None, None),
            ("with a sign", format!("{text}{SIGNATURE}+{}", "0".repeat(31)), None, None),
            ("not hex", format!("{text}{SIGNATURE}{}", "é".repeat(16)), None, None),
        ] {
            for (signing, reads, how) in
                [(&required, reads_required, "required"), (&optional, reads_optional, "optional")]
            {
                let read = signing.read(&home(), &names::debt_key(CLUSTER), &value);
                assert_eq!(
                    read.parse::<Record>().ok().map(|record| record.to_string()),
                    reads,
                    "{what}, {how}"
                );
                let told = reads.is_some() || read == format!("{UNAUTHENTIC}{value}");
                assert!(told, "{what}, {how}: {read}");
            }
            let read = without.read(&home(), &names::debt_key(CLUSTER), &value);
            assert!(
                read.parse::<Record>().is_ok(),
                "{what}: without a key it is believed within its bounds: {read}"
            );
        }
        assert_eq!(rotated.read(&home(), &names::debt_key(CLUSTER), &signed), text, "an older key verifies");
        assert_ne!(rotated.write(&home(), &text), signed, "the first key signs");
        assert_eq!(without.write(&home(), &text), text);
    }

    #[test]
    fn what_is_no_record_of_this_installation_is_read_as_it_is() {
        let (signing, text) = (signing(NEW, true), record().to_string());
        let of_others = names::debt_key("other");
        for (what, key, value, read) in [
            ("rubbish", names::debt_key(CLUSTER), "rubbish h=00".to_owned(), "rubbish h=00".to_owned()),
            (
                "two signatures",
                names::debt_key(CLUSTER),
                format!("{text} h=0 h=1"),
                format!("{text} h=0 h=1"),
            ),
            ("another tag", "Name".to_owned(), format!("{text} h=0"), format!("{text} h=0")),
            ("another's record", of_others.clone(), text.clone(), text.clone()),
            ("another's signed record", of_others, signing.write(&home(), &text), text.clone()),
        ] {
            assert_eq!(signing.read(&home(), &key, &value), read, "{what}");
        }
        assert_eq!(signing.debt_key(), names::debt_key(CLUSTER));
    }

    #[test]
    fn the_longest_signed_record_fits_the_value_of_a_tag() {
        let far = |seconds: i64| jiff::Timestamp::from_second(99_999_999_999 + seconds).unwrap();
        let longest = Record {
            planned: far(0),
            stop_by: far(60),
            image_by: far(600),
            start_by: far(86_400),
            volumes: 128,
            ..record()
        };
        let value = signing(NEW, true).write(&home(), &longest.to_string());
        assert!(
            longest.to_string().parse::<Record>().is_ok() && value.len() <= 256,
            "{}: {value}",
            value.len()
        );
    }

    #[test]
    fn keys_that_could_be_guessed_are_refused() {
        let bad = |lines: &str| Signing::with_keys(CLUSTER, lines, false).err();
        assert_eq!(bad(&format!("{NEW}\r\n {OLD} \n")), None);
        assert_eq!(bad(" \n\n"), Some(BadKeys::None));
        assert_eq!(bad(&format!("{NEW}\n\nsecret\n")), Some(BadKeys::Short(3)));
        assert_eq!(bad(&"k".repeat(31)), Some(BadKeys::Short(1)));
        let texts = [BadKeys::None, BadKeys::Short(3)].map(|bad| bad.to_string());
        assert!(texts[0].contains("no key") && texts[1].contains("line 3"), "{texts:?}");
    }
}
