//! What one account sees of another's.

use std::collections::BTreeSet;

use crate::{
    image::{Image, ImageState, Snapshot},
    permission::Permission,
    place::{Key, Place},
    refusal::Refusal,
    sim::{Call, Sim},
};

impl Sim {
    /// Whether something is shared with an account by name, or by its organization or unit.
    pub(crate) fn names(&self, permissions: &BTreeSet<Permission>, account: &str) -> bool {
        permissions.iter().any(|permission| match permission {
            Permission::Everybody => false,
            Permission::User(id) => id == account,
            Permission::Organization(arn) | Permission::Unit(arn) => {
                self.config.members.iter().any(|(member, of)| member == account && of == arn)
            }
        })
    }

    fn reaches(&self, permissions: &BTreeSet<Permission>, account: &str) -> bool {
        permissions.contains(&Permission::Everybody) || self.names(permissions, account)
    }

    fn others(&self, key: &Key) -> impl Iterator<Item = &Place> {
        let is_other = |other: &Key| other.region == key.region && other.account != key.account;
        self.places.iter().filter(move |(other, _)| is_other(other)).map(|(_, place)| place)
    }

    /// The images of others in a region that an account may launch.
    pub(crate) fn shared_images(&self, key: &Key) -> impl Iterator<Item = &Image> {
        self.others(key).flat_map(|place| place.images.values()).filter(|image| {
            image.state == ImageState::Available && self.reaches(&image.permissions, &key.account)
        })
    }

    /// The snapshots of others in a region that an account may make volumes of.
    pub(crate) fn shared_snapshots(&self, key: &Key) -> impl Iterator<Item = &Snapshot> {
        self.others(key)
            .flat_map(|place| place.snapshots.values())
            .filter(|snapshot| self.reaches(&snapshot.permissions, &key.account))
    }

    /// An image that its owner asks for; another's is not to be changed (cloudcaptainsh/cloudcaptain#66,
    /// cloudquery/cloudquery#9406).
    pub(crate) fn own_image(&self, call: &Call<'_>, id: &str) -> Result<&Image, Refusal> {
        self.here(call).usable_image(id, call.now, &self.config).map_err(|refusal| {
            if self.shared_images(&call.key).any(|image| image.id == id) {
                Refusal::new("AuthFailure", format!("Not authorized for image:{id}"))
            } else {
                refusal
            }
        })
    }
}
