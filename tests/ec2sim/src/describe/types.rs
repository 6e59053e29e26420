//! `DescribeInstanceTypes`.

use crate::{
    refusal::Refusal,
    sim::{Answer, Call},
    xml::Xml,
};

/// Families with and without instance storage (EC2 User Guide, "Instance store volumes").
const FAMILIES: &[(&str, bool)] = &[
    ("t2", false),
    ("t3", false),
    ("t3a", false),
    ("t4g", false),
    ("m5", false),
    ("m5d", true),
    ("m6i", false),
    ("m6id", true),
    ("m7g", false),
    ("c5", false),
    ("c5d", true),
    ("c6i", false),
    ("r5", false),
    ("r5d", true),
    ("i3", true),
    ("i4i", true),
    ("g4dn", true),
    ("mac1", false),
    ("mac2", false),
];

const SIZES: &[&str] = &[
    "nano", "micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge",
    "16xlarge", "24xlarge", "metal",
];

fn has_storage(name: &str) -> Option<bool> {
    let (family, size) = name.split_once('.')?;
    let (_, has_storage) = FAMILIES.iter().find(|(known, _)| *known == family)?;
    SIZES.contains(&size).then_some(*has_storage)
}

pub(crate) fn describe(call: &Call<'_>) -> Result<Answer, Refusal> {
    let mut names = call.request.list("InstanceType");
    let missing: Vec<_> =
        names.iter().filter(|name| has_storage(name).is_none()).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(Refusal::new(
            "InvalidInstanceType",
            format!("The following supplied instance types do not exist: [{}]", missing.join(", ")),
        ));
    }
    if names.is_empty() {
        names = FAMILIES.iter().map(|(family, _)| format!("{family}.large")).collect();
    }
    call.rehearse()?;
    let is_bare = |name: &str| name.starts_with("mac") || name.split('.').nth(1) == Some("metal");
    let mut answer = Answer::default();
    answer.xml.items("instanceTypeSet", names, |xml, name| {
        xml.text("instanceType", &name);
        xml.text("currentGeneration", true);
        xml.text("bareMetal", is_bare(&name));
        xml.text("instanceStorageSupported", has_storage(&name).unwrap_or_default());
        xml.items("supportedRootDeviceTypes", ["ebs"], Xml::push);
        xml.text("hibernationSupported", !name.starts_with("mac"));
    });
    Ok(answer)
}
