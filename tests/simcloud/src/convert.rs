//! Elements of a reply in, core's types out. What has no id, or one of another form, is left out.
use std::str::FromStr;

use jiff::{Timestamp, civil, tz::TimeZone};
use saved_template_api::ids::{AccountId, InstanceId, Region, SnapshotId};
use saved_template_core::world::{
    Attachment, Image, ImageState, Instance, InstanceState, OptIn, Reservation, Snapshot, SnapshotState,
    Tags, Volume,
};

use crate::xml::{Node, Unreadable, whole};

/// What is read of a row; none where it is left out.
type Row<T> = Result<Option<T>, Unreadable>;

/// The id in a child.
pub(crate) fn id<T: FromStr>(row: &Node, name: &str) -> Option<T> {
    row.text(name)?.parse().ok()
}

fn owned(row: &Node, name: &str) -> Option<String> {
    row.text(name).map(str::to_owned)
}

fn text(row: &Node, name: &str) -> String {
    owned(row, name).unwrap_or_default()
}

fn tags(row: &Node) -> Tags {
    let pair = |tag: &Node| Some((owned(tag, "key")?, text(tag, "value")));
    row.items("tagSet").filter_map(pair).collect()
}

/// The rows of a list that are not left out.
pub(crate) fn rows<T>(
    reply: &Node,
    list: &str,
    read: impl Fn(&Node) -> Row<T>,
) -> Result<Vec<T>, Unreadable> {
    reply.items(list).filter_map(|row| read(row).transpose()).collect()
}

/// The instances of all reservations, which alone know the owner.
pub(crate) fn instances(reply: &Node) -> Result<Vec<Instance>, Unreadable> {
    let mut instances = Vec::new();
    for reservation in reply.items("reservationSet") {
        if let Some(account) = id::<AccountId>(reservation, "ownerId") {
            instances.extend(rows(reservation, "instancesSet", |row| instance(row, &account))?);
        }
    }
    Ok(instances)
}

fn instance(row: &Node, account: &AccountId) -> Row<Instance> {
    let placement = |name| row.child("placement").and_then(|placement| owned(placement, name));
    // An instance with a volume less than it has would be believed: rather none.
    let disks = row.items("blockDeviceMapping").filter(|row| row.child("ebs").is_some());
    let attachments: Option<Vec<Attachment>> = disks.map(attachment).collect::<Result<_, _>>()?;
    let (Some(instance), Some(attachments)) = (id(row, "instanceId"), attachments) else {
        return Ok(None);
    };
    let hibernation = row.child("hibernationOptions").map(|options| options.flag("configured"));
    Ok(Some(Instance {
        id: instance,
        account: account.clone(),
        state: state(row.child("instanceState")),
        state_reason: row.child("stateReason").and_then(|reason| owned(reason, "code")),
        transition_time: row.text("reason").and_then(transition_time),
        launch_time: row.time("launchTime")?,
        attachments,
        root_device: owned(row, "rootDeviceName"),
        ebs_root: row.text("rootDeviceType") == Some("ebs"),
        lifecycle: owned(row, "instanceLifecycle"),
        managed: managed(row)?,
        outpost: row.child("outpostArn").is_some(),
        zone: placement("availabilityZone"),
        architecture: owned(row, "architecture"),
        platform: owned(row, "platformDetails"),
        instance_type: owned(row, "instanceType"),
        image: id(row, "imageId"),
        hibernation: hibernation.transpose()?.flatten() == Some(true),
        lent_address: row.items("networkInterfaceSet").any(lent_address),
        product_codes: row.items("productCodes").next().is_some(),
        dedicated_host: placement("hostId").is_some()
            || placement("hostResourceGroupArn").is_some()
            || placement("tenancy").as_deref() == Some("host"),
        reservation: reservation(row),
        placement_group: placement("groupName").filter(|name| !name.is_empty()),
        tags: tags(row),
    }))
}

fn attachment(row: &Node) -> Row<Attachment> {
    let Some(ebs) = row.child("ebs") else { return Ok(None) };
    let since = ebs.time("attachTime")?;
    Ok(id(ebs, "volumeId").map(|volume| Attachment {
        device: text(row, "deviceName"),
        volume,
        attached: ebs.text("status") == Some("attached"),
        since,
    }))
}

fn managed(row: &Node) -> Result<bool, Unreadable> {
    let managed = row.child("operator").map(|operator| operator.flag("managed"));
    Ok(managed.transpose()?.flatten() == Some(true))
}

/// EC2 calls itself the owner of an address that it lent; an Elastic IP's owner is an account.
fn lent_address(interface: &Node) -> bool {
    let secondary = interface.items("privateIpAddressesSet").filter_map(|row| row.child("association"));
    let mut associations = interface.child("association").into_iter().chain(secondary);
    associations.any(|row| row.child("publicIp").is_some() && row.text("ipOwnerId") == Some("amazon"))
}

fn reservation(row: &Node) -> Option<Reservation> {
    let specification = row.child("capacityReservationSpecification");
    let target = specification.and_then(|specification| specification.child("capacityReservationTarget"));
    let open = row.child("capacityReservationId").map(|_| Reservation::Open);
    target.map_or(open, |_| Some(Reservation::Targeted))
}

fn state(state: Option<&Node>) -> InstanceState {
    match state.and_then(|state| state.text("name")).unwrap_or_default() {
        "pending" => InstanceState::Pending,
        "running" => InstanceState::Running,
        "stopping" => InstanceState::Stopping,
        "stopped" => InstanceState::Stopped,
        "shutting-down" => InstanceState::ShuttingDown,
        "terminated" => InstanceState::Terminated,
        _ => InstanceState::Unknown,
    }
}

/// What a machine was doing before a call that changed it.
pub(crate) fn previous(reply: &Node, instance: &InstanceId) -> Option<InstanceState> {
    let mut rows = reply.items("instancesSet");
    let row = rows.find(|row| row.text("instanceId") == Some(instance.as_str()))?;
    Some(state(row.child("previousState")))
}

/// The time in `User initiated (2026-11-24 07:46:58 GMT)`.
fn transition_time(reason: &str) -> Option<Timestamp> {
    let (_, rest) = reason.rsplit_once('(')?;
    let (text, _) = rest.split_once(" GMT)")?;
    let time = civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

/// One image.
#[expect(clippy::unnecessary_wraps, reason = "as the other rows")]
pub(crate) fn image(row: &Node) -> Row<Image> {
    let snapshot = |row: &Node| id(row.child("ebs")?, "snapshotId");
    let created = row.text("creationDate").and_then(|text| text.parse::<Timestamp>().ok());
    Ok(id(row, "imageId").map(|image| Image {
        id: image,
        owner: id(row, "imageOwnerId"),
        name: text(row, "name"),
        description: text(row, "description"),
        state: match row.text("imageState").unwrap_or_default() {
            "pending" => ImageState::Pending,
            "available" => ImageState::Available,
            "failed" | "error" | "invalid" => ImageState::Failed,
            "deregistered" => ImageState::Deregistered,
            "disabled" => ImageState::Disabled,
            _ => ImageState::Unknown,
        },
        state_reason: row.child("stateReason").map(reason),
        created: created.and_then(whole),
        architecture: owned(row, "architecture"),
        source_instance: id(row, "sourceInstanceId"),
        source_image: id(row, "sourceImageId"),
        source_region: id(row, "sourceImageRegion"),
        snapshots: row.items("blockDeviceMapping").filter_map(snapshot).collect(),
        tags: tags(row),
    }))
}

/// EC2's messages mostly begin with the code.
fn reason(reason: &Node) -> String {
    let (code, message) = (text(reason, "code"), text(reason, "message"));
    if message.is_empty() {
        code
    } else if message.starts_with(&code) {
        message
    } else {
        format!("{code}: {message}")
    }
}

/// One snapshot.
pub(crate) fn snapshot(row: &Node) -> Row<Snapshot> {
    let (started, gib) = (row.time("startTime")?, row.number("volumeSize")?);
    let (Some(snapshot), Some(volume)) = (id(row, "snapshotId"), id(row, "volumeId")) else {
        return Ok(None);
    };
    Ok(Some(Snapshot {
        id: snapshot,
        volume,
        state: match row.text("status").unwrap_or_default() {
            "pending" => SnapshotState::Pending,
            "completed" => SnapshotState::Completed,
            "error" => SnapshotState::Error,
            _ => SnapshotState::Unknown,
        },
        started,
        progress: text(row, "progress").trim_end_matches('%').parse().unwrap_or_default(),
        volume_gib: gib.map_or(0, i64::from),
        description: text(row, "description"),
        tags: tags(row),
    }))
}

/// One volume.
pub(crate) fn volume(row: &Node) -> Row<Volume> {
    let (multi_attach, managed) = (row.flag("multiAttachEnabled")? == Some(true), managed(row)?);
    Ok(id(row, "volumeId").map(|volume| Volume {
        id: volume,
        multi_attach,
        kind: text(row, "volumeType"),
        key: owned(row, "kmsKeyId"),
        managed,
    }))
}

/// The code of a scheduled event that is still to come.
pub(crate) fn event(row: &Node) -> Option<String> {
    let description = text(row, "description");
    let is_over = ["[Completed]", "[Canceled]"].iter().any(|word| description.contains(word));
    (!is_over).then(|| text(row, "code"))
}

/// A snapshot that was not deleted with its image, and EC2's word for why.
pub(crate) fn kept(row: &Node) -> Option<(SnapshotId, String)> {
    let code = text(row, "returnCode");
    (code != "success").then_some((id(row, "snapshotId")?, code))
}

/// One region.
pub(crate) fn region(row: &Node) -> Option<(Region, OptIn)> {
    let status = match row.text("optInStatus") {
        Some("not-opted-in") => OptIn::NotOptedIn,
        Some(_) | None => OptIn::Enabled,
    };
    Some((id(row, "regionName")?, status))
}
