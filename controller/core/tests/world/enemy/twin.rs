//! A namesake: another cluster with the same cluster name, and in it an object of the same namespace and name. Only the
//! uid of its kube-system namespace, the holder, is another.
use crate::lab::{Lab, Object, Process};

/// The uids of the two clusters.
pub(crate) const CLUSTER_UIDS: [&str; 2] = ["0a1b2c3d-0000", "ffffffff-0000"];

/// The cluster that is not looked at now.
#[derive(Debug)]
pub(crate) struct Realm {
    pub(crate) cluster_uid: &'static str,
    pub(crate) object: Option<Object>,
    pub(crate) processes: Vec<Process>,
}

impl Lab {
    /// A twin of this cluster comes up now, and its object with it.
    pub(crate) fn is_doubled(&mut self) {
        if self.realm.is_some() {
            return;
        }
        let Some(mut object) = self.object.clone() else { return };
        object.status = saved_template_api::SavedTemplateStatus {
            observed_generation: Some(-1),
            ..saved_template_api::SavedTemplateStatus::default()
        };
        (object.finalizer, object.deleting) = (false, false);
        let processes = vec![Process::new()];
        self.realm = Some(Box::new(Realm { cluster_uid: CLUSTER_UIDS[1], object: Some(object), processes }));
        self.mishaps.note("a namesake in another cluster");
        self.stir();
    }

    /// What the twin does in this second: the same world, seen from there.
    pub(crate) fn turn(&mut self) {
        let Some(mut realm) = self.realm.take() else { return };
        let past = std::mem::take(&mut self.past);
        self.swap(&mut realm);
        for at in 0..self.processes.len() {
            self.live(at);
        }
        self.swap(&mut realm);
        self.past = past;
        self.realm = Some(realm);
    }

    fn swap(&mut self, realm: &mut Realm) {
        std::mem::swap(&mut self.object, &mut realm.object);
        std::mem::swap(&mut self.processes, &mut realm.processes);
        std::mem::swap(&mut self.cluster_uid, &mut realm.cluster_uid);
    }
}
