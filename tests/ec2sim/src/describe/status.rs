//! `DescribeInstanceStatus`.

use crate::{
    clock::iso,
    describe::finish,
    instance::{InstanceState, ScheduledEvent},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    xml::Xml,
};

/// "Constraints: Maximum 100 explicitly specified instance IDs" (EC2 API, DescribeInstanceStatus).
const IDS: usize = 100;

impl Sim {
    /// Running instances only, unless all are asked for.
    pub(crate) fn describe_instance_status(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        if call.request.list("InstanceId").len() > IDS {
            return Err(Refusal::value(format!("The maximum number of instance IDs is {IDS}")));
        }
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
            if !instance.events.is_empty() {
                xml.items("eventsSet", instance.events.iter().enumerate(), |xml, (number, event)| {
                    write(xml, &instance.id, number, event);
                });
            }
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

fn write(xml: &mut Xml, instance: &str, number: usize, event: &ScheduledEvent) {
    xml.text("instanceEventId", format!("{}{number}", instance.replacen("i-", "instance-event-", 1)));
    xml.text("code", &event.code);
    xml.text("description", &event.description);
    xml.text("notBefore", iso(event.not_before));
    xml.maybe("notAfter", event.not_after.map(iso));
}
