//! What keeps an image from being launched or deregistered, and a snapshot from being deleted.

use crate::{
    change::share::{settled, unavailable},
    clock::{HOUR, Millis, iso},
    image::{Image, ImageState, Lock, Protection},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
};

/// "a 24-hour cooldown period" (EC2 User Guide, "Protect an AMI from deregistration").
const COOLDOWN: Millis = 24 * HOUR;

const DAY: Millis = 24 * HOUR;

impl Sim {
    fn settled_image(&self, call: &Call<'_>) -> Result<Image, Refusal> {
        let id = call.request.required("ImageId")?;
        let image = self.own_image(call, id)?;
        settled(image)?;
        Ok(image.clone())
    }

    fn change_image(&mut self, call: &Call<'_>, id: &str, change: impl FnOnce(&mut Image)) {
        if let Some(image) = self.place_mut(&call.key).images.get_mut(id) {
            change(image);
        }
    }

    /// "Sets the AMI state to disabled and removes all launch permissions from the AMI."
    pub(crate) fn disable_image(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let image = self.settled_image(call)?;
        call.rehearse()?;
        self.change_image(call, &image.id, |image| {
            image.state = ImageState::Disabled;
            image.permissions.clear();
        });
        let mut answer = Answer::yes();
        answer.ids.push(image.id);
        Ok(answer)
    }

    /// The permissions that it lost do not come back.
    pub(crate) fn enable_image(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let image = self.settled_image(call)?;
        call.rehearse()?;
        self.change_image(call, &image.id, |image| image.state = ImageState::Available);
        let mut answer = Answer::yes();
        answer.ids.push(image.id);
        Ok(answer)
    }

    pub(crate) fn protect_image(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let image = self.settled_image(call)?;
        let protection = if call.request.flag("WithCooldown")? {
            Protection::EnabledWithCooldown
        } else {
            Protection::Enabled
        };
        self.set_protection(call, image, protection)
    }

    pub(crate) fn unprotect_image(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let image = self.settled_image(call)?;
        let protection = match image.protection {
            Protection::Disabled | Protection::Enabled => Protection::Disabled,
            Protection::EnabledWithCooldown => Protection::DisabledAfter { at: call.now + COOLDOWN },
            Protection::DisabledAfter { at } => Protection::DisabledAfter { at },
        };
        self.set_protection(call, image, protection)
    }

    /// The reply holds the new value (AWS CLI's own examples), though the API says `true`.
    fn set_protection(
        &mut self,
        call: &Call<'_>,
        image: Image,
        protection: Protection,
    ) -> Result<Answer, Refusal> {
        call.rehearse()?;
        self.change_image(call, &image.id, |image| image.protection = protection);
        let mut answer = Answer::default();
        answer.xml.text("return", protection.spoken(call.now));
        answer.ids.push(image.id);
        Ok(answer)
    }

    /// For a number of days; dates and the compliance mode's cool-off are not simulated.
    pub(crate) fn lock_snapshot(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let request = call.request;
        let id = request.required("SnapshotId")?;
        let mode = request.required("LockMode")?;
        if !["governance", "compliance"].contains(&mode) {
            return Err(Refusal::value(format!("Value ({mode}) for parameter LockMode is invalid.")));
        }
        let days = request.required("LockDuration")?;
        let days: i64 = days.parse().ok().filter(|days| (1..=36_500).contains(days)).ok_or_else(|| {
            Refusal::value(format!("Value ({days}) for parameter LockDuration is invalid."))
        })?;
        self.here(call).snapshot(id, call.now, &self.config)?;
        call.rehearse()?;
        let lock = Lock { mode: mode.to_owned(), created_at: call.now, expires_at: call.now + days * DAY };
        let mut answer = Answer::default();
        answer.xml.text("snapshotId", id);
        answer.xml.text("lockState", &lock.mode);
        answer.xml.text("lockDuration", days);
        answer.xml.text("lockCreatedOn", iso(lock.created_at));
        answer.xml.text("lockExpiresOn", iso(lock.expires_at));
        answer.xml.text("lockDurationStartTime", iso(lock.created_at));
        answer.ids.push(id.to_owned());
        if let Some(snapshot) = self.place_mut(&call.key).snapshots.get_mut(id) {
            snapshot.lock = Some(lock);
        }
        Ok(answer)
    }

    /// A lock in compliance mode cannot be lifted.
    pub(crate) fn unlock_snapshot(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let id = call.request.required("SnapshotId")?;
        let snapshot = self.here(call).snapshot(id, call.now, &self.config)?;
        if snapshot.lock_at(call.now).is_some_and(|lock| lock.mode == "compliance") {
            return Err(locked(id));
        }
        call.rehearse()?;
        if let Some(snapshot) = self.place_mut(&call.key).snapshots.get_mut(id) {
            snapshot.lock = None;
        }
        let mut answer = Answer::default();
        answer.xml.text("snapshotId", id);
        answer.ids.push(id.to_owned());
        Ok(answer)
    }
}

/// "While a snapshot is locked, it can't be deleted by any user" (EBS User Guide). No public text names the code:
/// `OperationNotPermitted` is what EC2 says of other protections.
pub(crate) fn locked(id: &str) -> Refusal {
    Refusal::new("OperationNotPermitted", format!("The snapshot '{id}' is locked and can't be deleted."))
}

/// The code is that of other protections; the sentence is not verified.
pub(crate) fn protected(image: &Image, now: Millis) -> Result<(), Refusal> {
    if image.protection.is_on(now) {
        return Err(Refusal::new(
            "OperationNotPermitted",
            format!("The AMI '{}' can't be deregistered: deregistration protection is enabled.", image.id),
        ));
    }
    Ok(())
}

/// Only an image that is available can be copied or launched.
pub(crate) fn available(image: &Image) -> Result<(), Refusal> {
    match image.state {
        ImageState::Available => Ok(()),
        ImageState::Pending | ImageState::Disabled | ImageState::Failed | ImageState::Deregistered => {
            Err(unavailable(image))
        }
    }
}
