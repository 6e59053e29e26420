//! `DescribeRegions`.

use crate::{
    config::{OptIn, RegionConfig},
    filter::Filters,
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::Tags,
};

impl Sim {
    /// Without `AllRegions`, those that are not enabled are left out.
    pub(crate) fn describe_regions(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let names = call.request.list("RegionName");
        let all = call.request.flag("AllRegions")?;
        let filters = Filters::parse(call.request, &["region-name", "opt-in-status", "endpoint"])?;
        let regions = &self.config.regions;
        if let Some(name) = names.iter().find(|name| !regions.iter().any(|region| region.name == **name)) {
            return Err(Refusal::value(format!("Invalid region name: {name}")));
        }
        call.rehearse()?;
        let endpoint = |region: &RegionConfig| format!("ec2.{}.amazonaws.com", region.name);
        let shown = regions
            .iter()
            .filter(|region| all || region.opt_in != OptIn::NotOptedIn)
            .filter(|region| names.is_empty() || names.contains(&region.name))
            .filter(|region| {
                filters.pass(&Tags::new(), |name| {
                    vec![match name {
                        "region-name" => region.name.clone(),
                        "opt-in-status" => region.opt_in.as_str().to_owned(),
                        _ => endpoint(region),
                    }]
                })
            });
        let mut answer = Answer::default();
        answer.xml.items("regionInfo", shown, |xml, region| {
            xml.text("regionName", &region.name);
            xml.text("regionEndpoint", endpoint(region));
            xml.text("optInStatus", region.opt_in.as_str());
        });
        Ok(answer)
    }
}
