//! `DescribeInstanceAttribute` and `ModifyInstanceAttribute`.

use crate::{
    instance::Instance,
    refusal::Refusal,
    request::boolean,
    sim::{Answer, Call, Sim},
};

impl Sim {
    fn one(&self, call: &Call<'_>) -> Result<Instance, Refusal> {
        let id = call.request.required("InstanceId")?;
        self.here(call).instance(id, call.now, &self.config).cloned()
    }

    pub(crate) fn describe_instance_attribute(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let instance = self.one(call)?;
        let attribute = call.request.required("Attribute")?;
        let value = match attribute {
            "disableApiStop" => instance.disable_api_stop.to_string(),
            "disableApiTermination" => instance.disable_api_termination.to_string(),
            "instanceInitiatedShutdownBehavior" => instance.shutdown_behavior,
            "instanceType" => instance.instance_type,
            "rootDeviceName" => instance.root_device_name,
            _ => {
                return Err(Refusal::value(format!(
                    "Value ({attribute}) for parameter attribute is invalid. Unknown attribute."
                )));
            }
        };
        call.rehearse()?;
        let mut answer = Answer::default();
        answer.xml.text("instanceId", &instance.id);
        answer.xml.element(attribute, |xml| xml.text("value", value));
        Ok(answer)
    }

    pub(crate) fn modify_instance_attribute(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let instance = self.one(call)?;
        let request = call.request;
        let by_name = |attribute: &str| {
            let is_named = request.get("Attribute") == Some(attribute);
            request.get("Value").filter(|_| is_named)
        };
        let stop = request.get("DisableApiStop.Value").or_else(|| by_name("disableApiStop"));
        let termination =
            request.get("DisableApiTermination.Value").or_else(|| by_name("disableApiTermination"));
        let behavior = request
            .get("InstanceInitiatedShutdownBehavior.Value")
            .or_else(|| by_name("instanceInitiatedShutdownBehavior"));
        let stop = stop.map(|value| boolean("DisableApiStop", value)).transpose()?;
        let termination = termination.map(|value| boolean("DisableApiTermination", value)).transpose()?;
        match (stop, termination, behavior) {
            (None, None, None) => {
                return Err(Refusal::new("InvalidParameterCombination", "No attributes specified."));
            }
            (_, _, Some(behavior)) if !["stop", "terminate"].contains(&behavior) => {
                return Err(Refusal::value(format!(
                    "Value ({behavior}) for parameter value is invalid. Unknown instance initiated shutdown behavior."
                )));
            }
            _ => {}
        }
        call.rehearse()?;
        if let Some(instance) = self.place_mut(&call.key).instances.get_mut(&instance.id) {
            instance.disable_api_stop = stop.unwrap_or(instance.disable_api_stop);
            instance.disable_api_termination = termination.unwrap_or(instance.disable_api_termination);
            if let Some(behavior) = behavior {
                behavior.clone_into(&mut instance.shutdown_behavior);
            }
        }
        let mut answer = Answer::yes();
        answer.ids.push(instance.id);
        Ok(answer)
    }
}
