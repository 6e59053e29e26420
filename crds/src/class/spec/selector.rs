//! A label selector, and its schema with limits that Kubernetes' own does not have.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::unknown::Unknown;

/// Namespaces, by their labels.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct NamespaceSelector {
    /// What is asked of the labels.
    #[serde(flatten)]
    pub labels: LabelSelector,

    /// Fields of a newer version.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A `LabelSelector` of at most 16 labels and 16 expressions, each of the form that Kubernetes takes.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    let value = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "Labels that a namespace must have, each of them.",
                "type": "object",
                "maxProperties": 16,
                "additionalProperties": {"type": "string", "maxLength": 63, "pattern": value}
            },
            "matchExpressions": {
                "description": "Expressions on labels that must hold, each of them.",
                "type": "array",
                "maxItems": 16,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {
                            "description": "Key of the label.",
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 317,
                            "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
                        },
                        "operator": {
                            "description": "What is asked of the label.\n\
                                `In`: it has one of the values.\n\
                                `NotIn`: it has none of the values, or is absent.\n\
                                `Exists`: it is there.\n\
                                `DoesNotExist`: it is absent.",
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"]
                        },
                        "values": {
                            "description": "Values for `In` and `NotIn`.",
                            "type": "array",
                            "maxItems": 32,
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string", "maxLength": 63, "pattern": value}
                        }
                    },
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "message": "spec.namespaceSelector: In and NotIn need values, Exists and DoesNotExist have none"
                    }]
                }
            }
        }
    })
}
