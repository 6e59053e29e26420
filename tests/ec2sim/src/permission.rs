//! Who else may launch an image, or make volumes of a snapshot.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    refusal::Refusal,
    request::{Params, Request, list, numbered},
    xml::Xml,
};

/// One of whom something is shared with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "id", rename_all = "camelCase")]
pub enum Permission {
    /// The group `all`.
    Everybody,
    /// An account.
    User(String),
    /// An organization, by its ARN.
    Organization(String),
    /// An organizational unit, by its ARN.
    Unit(String),
}

/// The names that a request has for whom it shares with, and that its refusals have for them.
const USERS: (&str, &str) = ("UserId", "userId");
const GROUPS: (&str, &str) = ("Group", "userGroup");
const ORGANIZATIONS: (&str, &str) = ("OrganizationArn", "OrganizationArn");
const UNITS: (&str, &str) = ("OrganizationalUnitArn", "OrganizationalUnitArn");

impl Permission {
    /// A member of a request. Only full ARNs are taken: `o-…` alone is an error (EC2 User Guide, "Share an AMI with
    /// organizations"). The sentence is field-verified for accounts and organizations
    /// (hashicorp/packer-plugin-amazon#156).
    fn read(field: (&str, &str), value: &str, code: &str) -> Result<Self, Refusal> {
        let id = value.to_owned();
        let found = match field.0 {
            "UserId" => is_account(value).then_some(Self::User(id)),
            "Group" => (value == "all").then_some(Self::Everybody),
            "OrganizationArn" => is_of(value, "organization/o-").then_some(Self::Organization(id)),
            _ => is_of(value, "ou/o-").then_some(Self::Unit(id)),
        };
        found.ok_or_else(|| {
            Refusal::new(code, format!("Invalid attribute item value \"{value}\" for {} item type.", field.1))
        })
    }

    pub(crate) fn write(&self, xml: &mut Xml) {
        match self {
            Self::Everybody => xml.text("group", "all"),
            Self::User(id) => xml.text("userId", id),
            Self::Organization(arn) => xml.text("organizationArn", arn),
            Self::Unit(arn) => xml.text("organizationalUnitArn", arn),
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `arn:aws:organizations::123456789012:organization/o-…`
fn is_of(arn: &str, kind: &str) -> bool {
    arn.strip_prefix("arn:aws:organizations::")
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(account, rest)| is_account(account) && rest.starts_with(kind))
}

/// What a request adds and takes away.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) add: Vec<Permission>,
    pub(crate) remove: Vec<Permission>,
}

impl Changes {
    /// Adding what is there and removing what is not changes nothing.
    pub(crate) fn apply(self, permissions: &mut BTreeSet<Permission>) {
        permissions.extend(self.add);
        for permission in self.remove {
            permissions.remove(&permission);
        }
    }
}

/// `<structure>.Add.1.UserId`, or the older form with `OperationType` and `UserId.1`; `None` if the request has neither.
/// `code` is what a value of the wrong form is refused with.
pub(crate) fn changes(
    request: &Request,
    structure: &str,
    has_organizations: bool,
    code: &str,
) -> Result<Option<Changes>, Refusal> {
    let fields: &[(&str, &str)] =
        if has_organizations { &[USERS, GROUPS, ORGANIZATIONS, UNITS] } else { &[USERS, GROUPS] };
    let mut changes = Changes::default();
    for (side, into) in [("Add", &mut changes.add), ("Remove", &mut changes.remove)] {
        for entry in numbered(&request.params, &format!("{structure}.{side}")).into_values() {
            for field in fields {
                if let Some(value) = entry.get(field.0) {
                    into.push(Permission::read(*field, value, code)?);
                }
            }
        }
    }
    let plain = plain(&request.params, fields, code)?;
    if !plain.is_empty() {
        match request.required("OperationType")? {
            "add" => changes.add.extend(plain),
            "remove" => changes.remove.extend(plain),
            other => {
                return Err(Refusal::value(format!(
                    "Value ({other}) for parameter operationType is invalid."
                )));
            }
        }
    }
    let is_empty = changes.add.is_empty() && changes.remove.is_empty();
    Ok((!is_empty).then_some(changes))
}

fn plain(params: &Params, fields: &[(&str, &str)], code: &str) -> Result<Vec<Permission>, Refusal> {
    let mut found = Vec::new();
    for field in fields {
        let name = if field.0 == "Group" { "UserGroup" } else { field.0 };
        for value in list(params, name) {
            found.push(Permission::read(*field, &value, code)?);
        }
    }
    Ok(found)
}
