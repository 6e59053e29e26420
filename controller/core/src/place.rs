//! Where something of AWS is: an account and a region.
use std::fmt;

use saved_template_api::ids::{AccountId, Region};

/// A region of an account. Clients, loops, views and what objects want read are each of one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The account; none: that of the controller's own identity, the only one of this version.
    account: Option<AccountId>,
    /// The region.
    pub region: Region,
}

impl Place {
    /// A region of the account of the controller's own identity.
    pub const fn own(region: Region) -> Self {
        Self { account: None, region }
    }

    /// Another region of the same account.
    #[must_use]
    pub fn beside(&self, region: &Region) -> Self {
        Self { account: self.account.clone(), region: region.clone() }
    }

    /// The account; none: that of the controller's own identity.
    pub const fn account(&self) -> Option<&AccountId> {
        self.account.as_ref()
    }
}

/// The region; of another account, `account/region`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(account) => write!(f, "{account}/{}", self.region),
            None => write!(f, "{}", self.region),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_of_another_account_is_another_place() {
        let [here, there] = ["us-west-2", "us-east-2"].map(|name| Place::own(name.parse().unwrap()));
        let other = Place { account: Some("111122223333".parse().unwrap()), ..here.clone() };
        assert_ne!(here, other);
        assert_eq!(here.beside(&there.region), there);
        assert_ne!(other.beside(&there.region), there);
        assert_eq!([here.to_string(), other.to_string()], ["us-west-2", "111122223333/us-west-2"]);
    }
}
