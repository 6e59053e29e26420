//! A refusal in words that help.
use saved_template_api::text::cut;

use super::{Ec2Error, ErrorClass};

impl Ec2Error {
    /// What EC2 refused, and what helps where it was not allowed.
    pub(crate) fn told(&self) -> String {
        self.told_within(usize::MAX)
    }

    /// The same, of at most so many bytes: what helps is never cut off.
    pub(crate) fn told_within(&self, most: usize) -> String {
        let help = if self.lacks_permission() && self.message.contains("explicit deny") {
            format!(
                "; a Deny or a service control policy forbids ec2:{} there (README, IAM: --regions)",
                self.operation
            )
        } else if self.lacks_permission() {
            format!("; allow ec2:{} to the controller's identity (README, IAM)", self.operation)
        } else if self.class == ErrorClass::Denied {
            "; see that the controller's credentials are valid and that the account may do this".to_owned()
        } else {
            String::new()
        };
        format!("{}{help}", cut(self.to_string(), most.saturating_sub(help.len())))
    }
}
