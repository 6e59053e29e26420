//! Conditions of a statement (IAM User Guide, "IAM JSON policy elements: Condition operators", "Multivalued context
//! keys").

use std::collections::BTreeMap;

use anyhow::bail;

use crate::iam::like;

/// What is known of a request and a resource, by condition key in lower case: their names have no case.
pub(crate) type Context = BTreeMap<String, Vec<String>>;

const KEYS: &[&str] = &[
    "aws:resourcetag/",
    "ec2:resourcetag/",
    "aws:requesttag/",
    "aws:tagkeys",
    "aws:requestedregion",
    "aws:principalarn",
    "ec2:attribute",
    "ec2:createaction",
    "ec2:region",
    "ec2:owner",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    One,
    All,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    NotEquals,
    EqualsIgnoreCase,
    ArnLike,
    ArnNotLike,
    Like,
    NotLike,
    Bool,
    Null,
}

impl Operator {
    fn is_negative(self) -> bool {
        match self {
            Self::NotEquals | Self::NotLike | Self::ArnNotLike => true,
            Self::Equals | Self::EqualsIgnoreCase | Self::ArnLike | Self::Like | Self::Bool | Self::Null => {
                false
            }
        }
    }

    fn compares(self, wanted: &str, found: &str) -> bool {
        match self {
            Self::Equals | Self::NotEquals => wanted == found,
            Self::Like | Self::NotLike => like(wanted, found),
            Self::ArnLike | Self::ArnNotLike => arn_like(wanted, found),
            Self::EqualsIgnoreCase | Self::Bool | Self::Null => wanted.eq_ignore_ascii_case(found),
        }
    }
}

/// "Each of the six colon-delimited components of the ARN is checked separately."
fn arn_like(wanted: &str, found: &str) -> bool {
    let parts = |arn: &str| arn.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
    let (wanted, found) = (parts(wanted), parts(found));
    wanted.len() == found.len() && wanted.iter().zip(&found).all(|(wanted, found)| like(wanted, found))
}

/// One operator, one key and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    set: Set,
    operator: Operator,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

impl Condition {
    /// What the simulator does not know is an error, lest a policy be tested that means something else.
    pub(crate) fn parse(operator: &str, key: &str, values: Vec<String>) -> anyhow::Result<Self> {
        let (set, rest) = match operator.split_once(':') {
            Some(("ForAllValues", rest)) => (Set::All, rest),
            Some(("ForAnyValue", rest)) => (Set::Any, rest),
            Some((other, _)) => bail!("no set operator: {other}"),
            None => (Set::One, operator),
        };
        let (name, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |name| (name, true));
        let operator = match name {
            "StringEquals" => Operator::Equals,
            "StringNotEquals" => Operator::NotEquals,
            "StringEqualsIgnoreCase" => Operator::EqualsIgnoreCase,
            "ArnLike" | "ArnEquals" => Operator::ArnLike,
            "ArnNotLike" | "ArnNotEquals" => Operator::ArnNotLike,
            "StringLike" => Operator::Like,
            "StringNotLike" => Operator::NotLike,
            "Bool" => Operator::Bool,
            "Null" if !if_exists && set == Set::One => Operator::Null,
            _ => bail!("the condition operator {operator} is not simulated"),
        };
        let key = key.to_lowercase();
        let is_known = |known: &&str| {
            if known.ends_with('/') {
                key.len() > known.len() && key.starts_with(*known)
            } else {
                key == **known
            }
        };
        if !KEYS.iter().any(is_known) {
            bail!("the condition key {key} is not simulated");
        }
        if values.iter().any(|value| value.contains("${")) {
            bail!("policy variables are not simulated: {values:?}");
        }
        Ok(Self { set, operator, if_exists, key, values })
    }

    pub(crate) fn holds(&self, context: &Context) -> bool {
        let found = context.get(&self.key).filter(|found| !found.is_empty());
        if self.operator == Operator::Null {
            return self.values.iter().any(|value| value.eq_ignore_ascii_case("true") == found.is_none());
        }
        let is_negative = self.operator.is_negative();
        let Some(found) = found else {
            return match self.set {
                Set::All => true,
                Set::Any => self.if_exists,
                Set::One => self.if_exists || is_negative,
            };
        };
        let fits = |found: &String| {
            self.values.iter().any(|wanted| self.operator.compares(wanted, found)) != is_negative
        };
        match self.set {
            Set::All => found.iter().all(fits),
            Set::Any | Set::One => found.iter().any(fits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Context};

    const TAG: &str = "aws:ResourceTag/team";
    const KEYS: &str = "aws:TagKeys";

    fn context(values: &[&str]) -> Context {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let tag = values.first().cloned().into_iter().collect();
        [("aws:resourcetag/team".to_owned(), tag), ("aws:tagkeys".to_owned(), values)].into()
    }

    fn holds(operator: &str, key: &str, wanted: &[&str], found: &[&str]) -> bool {
        let wanted = wanted.iter().map(ToString::to_string).collect();
        Condition::parse(operator, key, wanted).expect("a condition").holds(&context(found))
    }

    /// Operator, key, the policy's values; what a request has that passes, and what one has that does not.
    type Row<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

    #[test]
    fn each_operator_lets_one_request_pass_and_refuses_another() {
        let table: &[Row<'_>] = &[
            ("StringEquals", TAG, &["a", "b"], &["b"], &["A"]),
            ("StringEquals", TAG, &["a"], &["a"], &[]),
            ("StringEquals", TAG, &["a*"], &["a*"], &["ab"]),
            ("StringNotEquals", TAG, &["a", "b"], &["c"], &["a"]),
            ("StringNotEquals", TAG, &["a"], &[], &["a"]),
            ("StringLike", TAG, &["a*", "?"], &["ab"], &["bc"]),
            ("StringLike", TAG, &["*"], &["x"], &[]),
            ("StringLike", TAG, &[r"a\*"], &[r"a\b"], &["a*"]),
            ("StringNotLike", TAG, &["a*"], &["b"], &["ab"]),
            ("StringNotLike", TAG, &["a*"], &[], &["ab"]),
            ("StringEqualsIgnoreCase", TAG, &["aB", "c"], &["Ab"], &["abc"]),
            ("StringEqualsIgnoreCase", TAG, &["a*"], &["A*"], &["ab"]),
            (
                "ArnLike",
                TAG,
                &["arn:*:iam::1:role/a*"],
                &["arn:aws:iam::1:role/ab:c"],
                &["arn:aws:iam:x:1:role/ab"],
            ),
            ("ArnLike", TAG, &["arn:*"], &["arn:*"], &["arn:aws:iam::1:role/ab"]),
            (
                "ArnNotLike",
                TAG,
                &["arn:aws:iam::1:role/a*"],
                &["arn:aws:iam::2:role/a"],
                &["arn:aws:iam::1:role/a"],
            ),
            ("ArnNotLike", TAG, &["a:b:c:d:e:f", "arn:aws:iam::1:role/a"], &[], &["arn:aws:iam::1:role/a"]),
            ("ForAnyValue:StringEqualsIgnoreCase", KEYS, &["a"], &["b", "A"], &["b"]),
            ("StringEqualsIfExists", TAG, &["a"], &[], &["b"]),
            ("Bool", TAG, &["true"], &["True"], &["false"]),
            ("Bool", TAG, &["false"], &["false"], &[]),
            ("Null", KEYS, &["false"], &["a"], &[]),
            ("Null", KEYS, &["true"], &[], &["a"]),
            ("ForAllValues:StringEquals", KEYS, &["a", "b"], &["a"], &["a", "c"]),
            ("ForAllValues:StringEquals", KEYS, &["a", "b"], &["a", "b"], &["A"]),
            ("ForAllValues:StringLike", KEYS, &["x/*", "b"], &["x/1", "b"], &["x/1", "y"]),
            ("ForAllValues:StringNotEquals", KEYS, &["a"], &["b", "c"], &["a", "b"]),
            ("ForAnyValue:StringEquals", KEYS, &["a", "b"], &["a", "c"], &["c"]),
            ("ForAnyValue:StringEquals", KEYS, &["a"], &["a"], &[]),
            ("ForAnyValue:StringLike", KEYS, &["x/*"], &["y", "x/1"], &["y"]),
            ("ForAnyValue:StringNotEquals", KEYS, &["a"], &["a", "b"], &["a"]),
        ];
        for (operator, key, wanted, passes, fails) in table {
            assert!(holds(operator, key, wanted, passes), "{operator} {wanted:?} {passes:?}");
            assert!(!holds(operator, key, wanted, fails), "{operator} {wanted:?} {fails:?}");
        }
    }

    /// "The ForAllValues set operator also returns true if there are no context keys in the request": hence the policy's
    /// `Null` beside it.
    #[test]
    fn for_all_values_is_true_of_no_values_at_all() {
        assert!(holds("ForAllValues:StringEquals", KEYS, &["a"], &[]));
        assert!(holds("ForAllValues:StringLike", KEYS, &["x/*"], &[]));
        assert!(!holds("Null", KEYS, &["false"], &[]));
    }

    #[test]
    fn names_of_keys_have_no_case() {
        assert!(holds("StringEquals", "AWS:resourcetag/TEAM", &["a"], &["a"]));
    }

    #[test]
    fn what_is_not_simulated_is_no_condition() {
        for (operator, key, value) in [
            ("DateLessThan", TAG, "a"),
            ("NullIfExists", TAG, "true"),
            ("ForSomeValues:StringLike", KEYS, "a"),
            ("StringEquals", "aws:SourceIp", "a"),
            ("StringEquals", "aws:ResourceTag/", "a"),
            ("StringEquals", TAG, "${aws:username}"),
        ] {
            assert!(
                Condition::parse(operator, key, vec![value.to_owned()]).is_err(),
                "{operator} {key} {value}"
            );
        }
    }
}
