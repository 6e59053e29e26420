//! `DescribeInstanceStatus`.

use crate::{
    describe::finish,
    instance::InstanceState,
    refusal::Refusal,
    sim::{Answer, Call, Sim},
};

impl Sim {
    /// Running instances only, unless all are asked for.
    pub(crate) fn describe_instance_status(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (mut candidates, is_named) = self.candidates(call)?;
        if !call.request.flag("IncludeAllInstances")? {
            candidates.retain(|instance| instance.state == InstanceState::Running);
        }
        let page = self.list(call, 5, ("instancesSet", is_named), candidates)?;
        let mut answer = Answer::default();
        answer.xml.items("instanceStatusSet", &page.entries, |xml, instance| {
            xml.text("instanceId", &instance.id);
            xml.text("availabilityZone", &instance.zone);
            xml.element("instanceState", |xml| {
                xml.text("code", instance.state.code());
                xml.text("name", instance.state.as_str());
            });
            let is_running = instance.state == InstanceState::Running;
            for name in ["systemStatus", "instanceStatus"] {
                xml.element(name, |xml| {
                    xml.text("status", if is_running { "ok" } else { "not-applicable" });
                    if is_running {
                        xml.items("details", [()], |xml, ()| {
                            xml.text("name", "reachability");
                            xml.text("status", "passed");
                        });
                    }
                });
            }
        });
        Ok(finish(answer, page.next))
    }
}
