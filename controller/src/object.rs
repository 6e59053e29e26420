//! What the shell needs of a kind to keep it: how it decides, and where the API server has it.
use std::fmt::Debug;

use kube::{
    Api, Client, Resource,
    core::{ClusterResourceScope, NamespaceResourceScope, PartialObjectMeta},
};
use saved_template_core::{key::Key, kind::Kind};
use serde::{Serialize, de::DeserializeOwned};

/// What the watch holds of an object.
pub(crate) type Metadata<K> = PartialObjectMeta<K>;

/// A kind that the API server has.
pub(crate) trait Object:
    Kind<Spec: Send + Sync, Status: Send + Sync>
    + Resource<DynamicType = (), Scope: Reach>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The object with this metadata.
    fn key(meta: &impl kube::ResourceExt) -> Key {
        Key { kind: Self::KIND, namespace: meta.namespace().unwrap_or_default(), name: meta.name_any() }
    }

    /// Its objects in a namespace, or in all.
    fn api(client: &Client, namespace: Option<&str>) -> Api<Self> {
        Self::Scope::api(client, namespace)
    }
}

impl<K> Object for K where
    K: Kind<Spec: Send + Sync, Status: Send + Sync>
        + Resource<DynamicType = (), Scope: Reach>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Where the objects of a kind are.
pub(crate) trait Reach {
    /// The objects in a namespace, or in all.
    fn api<K: Resource<DynamicType = (), Scope = Self>>(client: &Client, namespace: Option<&str>) -> Api<K>;

    /// What is watched, where these namespaces are the controller's (none: all); `None` is all.
    fn shards(namespaces: &[String]) -> Vec<Option<String>>;
}

impl Reach for NamespaceResourceScope {
    fn api<K: Resource<DynamicType = (), Scope = Self>>(client: &Client, namespace: Option<&str>) -> Api<K> {
        match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }

    fn shards(namespaces: &[String]) -> Vec<Option<String>> {
        if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() }
    }
}

impl Reach for ClusterResourceScope {
    fn api<K: Resource<DynamicType = (), Scope = Self>>(client: &Client, _namespace: Option<&str>) -> Api<K> {
        Api::all(client.clone())
    }

    fn shards(_namespaces: &[String]) -> Vec<Option<String>> {
        vec![None]
    }
}
