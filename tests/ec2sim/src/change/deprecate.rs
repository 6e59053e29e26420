//! `EnableImageDeprecation` and `DisableImageDeprecation`.

use crate::{
    change::share::settled,
    clock::{HOUR, MINUTE, Millis, instant},
    permission::Permission,
    refusal::Refusal,
    sim::{Answer, Call, Sim},
};

const YEAR: Millis = 365 * 24 * HOUR;

impl Sim {
    /// "You can't specify a date in the past. The upper limit for DeprecateAt is 10 years from now, except for public
    /// AMIs, where the upper limit is 2 years from the creation date." Seconds are rounded to the minute (EC2 API).
    pub(crate) fn enable_deprecation(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let id = call.request.required("ImageId")?;
        let text = call.request.required("DeprecateAt")?;
        let invalid = |why: &str| Refusal::value(format!("Value ({text}) for parameter DeprecateAt {why}"));
        let at = instant(text).ok_or_else(|| invalid("is invalid."))?;
        let at = (at + MINUTE / 2).div_euclid(MINUTE) * MINUTE;
        let image = self.own_image(call, id)?;
        settled(image)?;
        let is_public = image.permissions.contains(&Permission::Everybody);
        let limit = if is_public { image.created_at + 2 * YEAR } else { call.now + 10 * YEAR };
        if at < call.now {
            return Err(invalid("is in the past."));
        }
        if at > limit {
            return Err(invalid("is too far in the future."));
        }
        self.set_deprecation(call, id, Some(at))
    }

    pub(crate) fn disable_deprecation(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let id = call.request.required("ImageId")?;
        settled(self.own_image(call, id)?)?;
        self.set_deprecation(call, id, None)
    }

    fn set_deprecation(&mut self, call: &Call<'_>, id: &str, at: Option<Millis>) -> Result<Answer, Refusal> {
        call.rehearse()?;
        if let Some(image) = self.place_mut(&call.key).images.get_mut(id) {
            image.deprecated_at = at;
        }
        let mut answer = Answer::yes();
        answer.ids.push(id.to_owned());
        Ok(answer)
    }
}
