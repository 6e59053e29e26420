//! What people do: to the template, to its class, to the machine.
use std::time::Duration;

use ec2sim::{ACCOUNT, Reply, Request};
use http::Method;
use saved_template_api::{SavedTemplateClass, SavedTemplateSpec};
use serde_json::{Value, json};

use crate::{
    ec2::{HOME, call},
    enemy::laws::Court,
    lab::{Lab, NAME, NAMESPACE, Object},
};

const TEMPLATES: &str = "namespaces/default/savedtemplates";
const CLASSES: &str = "savedtemplateclasses";

impl Lab {
    /// A call to the API server by somebody.
    fn asks(
        &self,
        cluster: usize,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Box<kube::Error>> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/apis/savedtemplate.dev/v1alpha1/{path}"))
            .header("content-type", "application/json");
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = request.body(body).unwrap();
        let api = &self.clusters[cluster].api;
        let answer = async { api.client(NAMESPACE).request::<Value>(request).await };
        self.runtime.block_on(answer).map_err(Box::new)
    }

    /// Changes what is stored, also where a controller writes in between. Whether it was there.
    fn puts(&self, path: &str, change: impl Fn(&mut Value)) -> bool {
        for _ in 0..10 {
            let Some(mut stored) = self.clusters[0].stored() else { return false };
            change(&mut stored);
            match self.asks(0, Method::PUT, path, &stored).map_err(|error| *error) {
                Ok(_) => return true,
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {}
                Err(error) => panic!("{path}: {error}"),
            }
        }
        panic!("{path} could not be written");
    }

    /// The class that the chart installs.
    pub(crate) fn permits(&self, cluster: usize) {
        self.permits_with(cluster, &json!({}));
    }

    /// The same with these fields too, whether or not this version knows them.
    pub(crate) fn permits_with(&self, cluster: usize, fields: &Value) {
        let mut spec =
            json!({"namespaceSelector": {}, "allowedRegions": ["*"], "instances": {"match": "Any"}});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let class = json!({
            "apiVersion": "savedtemplate.dev/v1alpha1", "kind": "SavedTemplateClass", "metadata": {"name": "default"},
            "spec": spec,
        });
        self.asks(cluster, Method::POST, CLASSES, &class).unwrap();
    }

    /// The default class.
    pub(crate) fn class(&self) -> Option<SavedTemplateClass> {
        let object = self.clusters[0].api.object(CLASSES, None, "default")?;
        Some(serde_json::from_value(object).unwrap())
    }

    pub(crate) fn deletes_the_class(&self) {
        self.asks(0, Method::DELETE, &format!("{CLASSES}/default"), &Value::Null).unwrap();
    }

    /// Somebody applies the template, with the defaults of its CRD.
    pub(crate) fn applies(&self, spec: &str) {
        self.applies_as(0, &json!({"name": NAME}), &serde_json::from_str(spec).unwrap());
    }

    /// The same with this metadata.
    pub(crate) fn applies_as(&self, cluster: usize, metadata: &Value, spec: &SavedTemplateSpec) {
        let mut metadata = metadata.clone();
        metadata["namespace"] = json!(NAMESPACE);
        let template = json!({
            "apiVersion": "savedtemplate.dev/v1alpha1", "kind": "SavedTemplate", "metadata": metadata, "spec": spec,
        });
        self.asks(cluster, Method::POST, TEMPLATES, &template).unwrap();
    }

    /// Somebody changes the template, if it is there.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Object)) {
        let Some(before) = self.object() else { return };
        let mut after = Object::clone(&before);
        change(&mut after);
        let path = format!("{TEMPLATES}/{NAME}");
        if after.spec != before.spec {
            let spec = serde_json::to_value(&after.spec).unwrap();
            self.puts(&path, |stored| stored["spec"] = spec.clone());
        }
        if before.finalizer && !after.finalizer {
            self.puts(&path, |stored| stored["metadata"]["finalizers"] = json!([]));
        }
        if after.status != before.status {
            let status = serde_json::to_value(&after.status).unwrap();
            self.puts(&format!("{path}/status"), |stored| stored["status"] = status.clone());
        }
        if after.deleting && !before.deleting {
            self.asks(0, Method::DELETE, &path, &Value::Null).unwrap();
        }
        self.chronicle().keeps(&self.clusters[0]);
    }

    pub(crate) fn delete(&self) {
        self.edit(|object| object.deleting = true);
    }

    /// Somebody deletes, and takes our finalizer off.
    pub(crate) fn force_delete(&self) {
        self.delete();
        while self.puts(&format!("{TEMPLATES}/{NAME}"), |stored| stored["metadata"]["finalizers"] = json!([]))
        {
            assert!(self.object().is_none_or(|object| object.deleting));
        }
        self.chronicle().keeps(&self.clusters[0]);
    }

    /// The status as the version before would have written it: one announcement, without a region where it is of home.
    pub(crate) fn writes_as_before(&self) {
        self.puts(&format!("{TEMPLATES}/{NAME}/status"), |object| {
            let Some(list) = object["status"]["announced"].as_array() else { return };
            let mut latest = list.iter().max_by_key(|one| one["time"].to_string()).unwrap().clone();
            if latest["region"] == HOME {
                latest.as_object_mut().unwrap().remove("region");
            }
            object["status"]["announced"] = latest;
        });
    }

    /// A call by somebody else, which EC2 takes.
    pub(crate) fn user(&self, request: &Request) {
        let reply = self.users(request);
        assert_eq!(reply.code, None, "{}", reply.body);
    }

    /// A call by somebody else.
    pub(crate) fn users(&self, request: &Request) -> Reply {
        let (now, before) = (self.now(), self.instance().state);
        let (mut chronicle, mut sim) = (self.chronicle(), self.sim());
        chronicle.judged(|chronicle| Court { sim: &sim, chronicle, cluster: 0 }.learn());
        let reply = call(&mut sim, now, HOME, request);
        if reply.code.is_none() {
            let place = sim.place(ACCOUNT, HOME).unwrap();
            chronicle.truth.owners(&request.action, before, place, &self.id, now);
        }
        reply
    }

    /// SIGTERM to the first process: whether it ends within that time.
    pub(crate) fn ends(&mut self, within: Duration) -> bool {
        let running = self.replicas.remove(0).running.unwrap();
        self.runtime.block_on(running.ends(within))
    }
}
