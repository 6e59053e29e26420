//! A policy document.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::iam::{check::Check, condition::Condition, like};

/// An IAM policy document, as JSON has it. Elements that the simulator does not know (`NotAction`, `NotResource`,
/// `Principal`, variables, further operators and keys) are errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Policy {
    document: Value,
    statements: Vec<Statement>,
}

/// What a statement that applies says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Ruling {
    Allow,
    Deny,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    ruling: Ruling,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Written {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Ruling,
    action: Value,
    resource: Value,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One value or a list of such.
fn several(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// Texts; `true` and `1` may stand without quotes.
fn texts(value: &Value) -> anyhow::Result<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => bail!("no text: {value}"),
    };
    several(value).iter().map(text).collect()
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// If it is no policy, or holds what the simulator does not know.
    pub fn parse(document: &str) -> anyhow::Result<Self> {
        Self::try_from(serde_json::from_str::<Value>(document)?)
    }

    /// What each statement that applies says.
    pub(crate) fn rule(&self, check: &Check) -> impl Iterator<Item = Ruling> {
        self.statements.iter().filter(|statement| statement.applies(check)).map(|statement| statement.ruling)
    }
}

impl TryFrom<Value> for Policy {
    type Error = anyhow::Error;

    fn try_from(document: Value) -> anyhow::Result<Self> {
        let Document { statement, .. } = serde_json::from_value(document.clone()).context("no policy")?;
        let statements =
            several(&statement).into_iter().map(Statement::read).collect::<anyhow::Result<_>>()?;
        Ok(Self { document, statements })
    }
}

impl From<Policy> for Value {
    fn from(policy: Policy) -> Self {
        policy.document
    }
}

impl Statement {
    fn read(value: Value) -> anyhow::Result<Self> {
        let written: Written = serde_json::from_value(value).context("no statement")?;
        let mut conditions = Vec::new();
        for (operator, keys) in &written.condition {
            for (key, values) in keys {
                conditions.push(Condition::parse(operator, key, texts(values)?)?);
            }
        }
        let resources = texts(&written.resource)?;
        if let Some(resource) = resources.iter().find(|resource| resource.contains("${")) {
            bail!("policy variables are not simulated: {resource}");
        }
        let actions = texts(&written.action)?.iter().map(|action| action.to_lowercase()).collect();
        Ok(Self { ruling: written.effect, actions, resources, conditions })
    }

    /// Actions have no case, resources have.
    fn applies(&self, check: &Check) -> bool {
        let action = format!("ec2:{}", check.action).to_lowercase();
        self.actions.iter().any(|pattern| like(pattern, &action))
            && self.resources.iter().any(|pattern| like(pattern, &check.resource))
            && self.conditions.iter().all(|condition| condition.holds(&check.context))
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, Ruling};
    use crate::iam::check::Check;

    fn rule(statement: &str, action: &str, resource: &str) -> Vec<Ruling> {
        let policy = Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#));
        let check = Check { action: action.to_owned(), resource: resource.to_owned(), context: [].into() };
        policy.expect("a policy").rule(&check).collect()
    }

    #[test]
    fn actions_and_resources_have_wildcards_and_actions_no_case() {
        let one = "arn:aws:ec2:us-east-1:123456789012:instance/i-1";
        let table = [
            (r#""*""#, r#""*""#, true),
            (r#""EC2:stop*""#, r#""arn:aws:ec2:*:*:instance/*""#, true),
            (
                r#"["ec2:Start?nstances","ec2:StopInstances"]"#,
                r#"["x","arn:aws:ec2:us-*:*:instance/i-1"]"#,
                true,
            ),
            (r#""ec2:Start*""#, r#""*""#, false),
            (r#""kms:*""#, r#""*""#, false),
            (r#""ec2:*""#, r#""arn:aws:ec2:*::image/*""#, false),
            (r#""ec2:*""#, r#""arn:aws:ec2:*:*:Instance/*""#, false),
        ];
        for (actions, resources, applies) in table {
            let statement = format!(r#"{{"Effect":"Deny","Action":{actions},"Resource":{resources}}}"#);
            let expected = if applies { vec![Ruling::Deny] } else { vec![] };
            assert_eq!(rule(&statement, "StopInstances", one), expected, "{actions} {resources}");
        }
    }

    #[test]
    fn an_action_without_resources_is_allowed_by_a_star_only() {
        for (resource, expected) in [("*", vec![Ruling::Allow]), ("arn:aws:ec2:*", vec![])] {
            let statement = format!(r#"[{{"Effect":"Allow","Action":"ec2:*","Resource":"{resource}"}}]"#);
            assert_eq!(rule(&statement, "DescribeImages", "*"), expected);
        }
    }

    #[test]
    fn what_is_not_simulated_is_no_policy() {
        for statement in [
            r#"{"Effect":"Allow","NotAction":"*","Resource":"*"}"#,
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}"#,
            r#"{"Effect":"Maybe","Action":"*","Resource":"*"}"#,
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"::1"}}}"#,
            r#"{"Effect":"Allow","Action":"*","Resource":"${x}"}"#,
        ] {
            assert!(Policy::parse(&format!(r#"{{"Statement":{statement}}}"#)).is_err(), "{statement}");
        }
    }

    #[test]
    fn a_policy_is_written_as_it_was_read() {
        let text = r#"{"Statement":[{"Action":"*","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}"#;
        assert_eq!(serde_json::to_string(&Policy::parse(text).unwrap()).unwrap(), text);
    }
}
