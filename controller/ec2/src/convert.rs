//! SDK type in, core type out. What has no id, or one of another form, is left out with a warning.
use std::{fmt::Display, str::FromStr};

use aws_sdk_ec2::{primitives::DateTime, types};
use jiff::{Timestamp, civil, tz::TimeZone};
use saved_template_api::ids::{AccountId, Region, SnapshotId};
use saved_template_core::world::{
    Attachment, Image, ImageState, Instance, InstanceState, OptIn, Reservation, Snapshot, SnapshotState,
    Tags, Volume,
};

/// An id that EC2 answered.
pub(crate) fn id<T: FromStr<Err: Display>>(text: Option<&str>) -> Option<T> {
    match text.unwrap_or_default().parse() {
        Ok(id) => Some(id),
        Err(error) => {
            tracing::warn!(%error, "EC2 answered an id that is none");
            None
        }
    }
}

/// An id that need not be there.
fn optional<T: FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

fn time(time: Option<&DateTime>) -> Option<Timestamp> {
    Timestamp::from_second(time?.secs()).ok()
}

fn tags(tags: &[types::Tag]) -> Tags {
    let pair = |tag: &types::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(ToOwned::to_owned)
}

/// The instances of a reservation, which alone knows the owner.
pub(crate) fn instances(reservation: &types::Reservation) -> Vec<Instance> {
    let Some(account) = id::<AccountId>(reservation.owner_id()) else {
        return Vec::new();
    };
    reservation.instances().iter().filter_map(|row| instance(row, &account)).collect()
}

fn instance(row: &types::Instance, account: &AccountId) -> Option<Instance> {
    // An instance with a volume less than it has would be believed: rather none.
    let attachments: Option<Vec<Attachment>> =
        row.block_device_mappings().iter().filter(|row| row.ebs().is_some()).map(attachment).collect();
    Some(Instance {
        id: id(row.instance_id())?,
        account: account.clone(),
        state: instance_state(row.state()),
        state_reason: owned(row.state_reason().and_then(types::StateReason::code)),
        transition_time: row.state_transition_reason().and_then(transition_time),
        launch_time: time(row.launch_time()),
        attachments: attachments?,
        root_device: owned(row.root_device_name()),
        ebs_root: row.root_device_type() == Some(&types::DeviceType::Ebs),
        lifecycle: row.instance_lifecycle().map(ToString::to_string),
        managed: managed(row.operator()),
        outpost: row.outpost_arn().is_some(),
        zone: owned(row.placement().and_then(types::Placement::availability_zone)),
        architecture: row.architecture().map(ToString::to_string),
        platform: owned(row.platform_details()),
        instance_type: row.instance_type().map(ToString::to_string),
        image: optional(row.image_id()),
        hibernation: row.hibernation_options().and_then(types::HibernationOptions::configured) == Some(true),
        lent_address: row.network_interfaces().iter().any(lent_address),
        product_codes: !row.product_codes().is_empty(),
        dedicated_host: row.placement().is_some_and(dedicated_host),
        reservation: reservation(row),
        placement_group: owned(row.placement().and_then(types::Placement::group_name))
            .filter(|name| !name.is_empty()),
        tags: tags(row.tags()),
    })
}

fn attachment(row: &types::InstanceBlockDeviceMapping) -> Option<Attachment> {
    let ebs = row.ebs()?;
    Some(Attachment {
        device: row.device_name().unwrap_or_default().to_owned(),
        volume: id(ebs.volume_id())?,
        attached: ebs.status() == Some(&types::AttachmentStatus::Attached),
        since: time(ebs.attach_time()),
    })
}

fn managed(operator: Option<&types::OperatorResponse>) -> bool {
    operator.and_then(types::OperatorResponse::managed) == Some(true)
}

/// EC2 calls itself the owner of an address that it lent; an Elastic IP's owner is an account.
fn lent_address(interface: &types::InstanceNetworkInterface) -> bool {
    let secondary =
        interface.private_ip_addresses().iter().filter_map(types::InstancePrivateIpAddress::association);
    let mut associations = interface.association().into_iter().chain(secondary);
    associations.any(|row| row.public_ip().is_some() && row.ip_owner_id() == Some("amazon"))
}

fn reservation(row: &types::Instance) -> Option<Reservation> {
    let target = row
        .capacity_reservation_specification()
        .and_then(types::CapacityReservationSpecificationResponse::capacity_reservation_target);
    let open = row.capacity_reservation_id().map(|_| Reservation::Open);
    target.map_or(open, |_| Some(Reservation::Targeted))
}

fn dedicated_host(placement: &types::Placement) -> bool {
    placement.host_id().is_some()
        || placement.host_resource_group_arn().is_some()
        || placement.tenancy() == Some(&types::Tenancy::Host)
}

/// By name; the code has bits that EC2 keeps for itself.
pub(crate) fn instance_state(state: Option<&types::InstanceState>) -> InstanceState {
    match state.and_then(types::InstanceState::name).map_or("", types::InstanceStateName::as_str) {
        "pending" => InstanceState::Pending,
        "running" => InstanceState::Running,
        "stopping" => InstanceState::Stopping,
        "stopped" => InstanceState::Stopped,
        "shutting-down" => InstanceState::ShuttingDown,
        "terminated" => InstanceState::Terminated,
        _ => InstanceState::Unknown,
    }
}

/// The time in `User initiated (2026-11-24 07:46:58 GMT)`.
fn transition_time(reason: &str) -> Option<Timestamp> {
    let (_, rest) = reason.rsplit_once('(')?;
    let (text, _) = rest.split_once(" GMT)")?;
    let time = civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

/// One image.
pub(crate) fn image(row: &types::Image) -> Option<Image> {
    let snapshot = |row: &types::BlockDeviceMapping| optional(row.ebs()?.snapshot_id());
    Some(Image {
        id: id(row.image_id())?,
        owner: optional(row.owner_id()),
        name: row.name().unwrap_or_default().to_owned(),
        description: row.description().unwrap_or_default().to_owned(),
        state: image_state(row.state().map_or("", types::ImageState::as_str)),
        state_reason: row.state_reason().map(reason),
        created: row.creation_date().and_then(whole_seconds),
        architecture: row.architecture().map(ToString::to_string),
        source_instance: optional(row.source_instance_id()),
        source_image: optional(row.source_image_id()),
        source_region: optional(row.source_image_region()),
        snapshots: row.block_device_mappings().iter().filter_map(snapshot).collect(),
        tags: tags(row.tags()),
    })
}

fn whole_seconds(text: &str) -> Option<Timestamp> {
    Timestamp::from_second(text.parse::<Timestamp>().ok()?.as_second()).ok()
}

fn image_state(state: &str) -> ImageState {
    match state {
        "pending" => ImageState::Pending,
        "available" => ImageState::Available,
        "failed" | "error" | "invalid" => ImageState::Failed,
        "deregistered" => ImageState::Deregistered,
        "disabled" => ImageState::Disabled,
        _ => ImageState::Unknown,
    }
}

/// EC2's messages mostly begin with the code.
fn reason(reason: &types::StateReason) -> String {
    let (code, message) = (reason.code().unwrap_or_default(), reason.message().unwrap_or_default());
    if message.is_empty() {
        code.to_owned()
    } else if message.starts_with(code) {
        message.to_owned()
    } else {
        format!("{code}: {message}")
    }
}

/// One snapshot.
pub(crate) fn snapshot(row: &types::Snapshot) -> Option<Snapshot> {
    Some(Snapshot {
        id: id(row.snapshot_id())?,
        volume: id(row.volume_id())?,
        state: snapshot_state(row.state().map_or("", types::SnapshotState::as_str)),
        started: time(row.start_time()),
        progress: row.progress().and_then(|text| text.trim_end_matches('%').parse().ok()).unwrap_or_default(),
        volume_gib: row.volume_size().map_or(0, i64::from),
        description: row.description().unwrap_or_default().to_owned(),
        tags: tags(row.tags()),
    })
}

fn snapshot_state(state: &str) -> SnapshotState {
    match state {
        "pending" => SnapshotState::Pending,
        "completed" => SnapshotState::Completed,
        "error" => SnapshotState::Error,
        _ => SnapshotState::Unknown,
    }
}

/// One volume.
pub(crate) fn volume(row: &types::Volume) -> Option<Volume> {
    Some(Volume {
        id: id(row.volume_id())?,
        multi_attach: row.multi_attach_enabled() == Some(true),
        kind: row.volume_type().map(ToString::to_string).unwrap_or_default(),
        key: owned(row.kms_key_id()),
        managed: managed(row.operator()),
    })
}

/// The code of a scheduled event that is still to come; EC2 shows one that is over for a week, and says so in its
/// description.
pub(crate) fn event(row: &types::InstanceStatusEvent) -> Option<String> {
    let description = row.description().unwrap_or_default();
    let is_over = ["[Completed]", "[Canceled]"].iter().any(|word| description.contains(word));
    (!is_over).then(|| row.code().map(ToString::to_string).unwrap_or_default())
}

/// A snapshot that was not deleted with its image, and EC2's word for why.
pub(crate) fn kept(row: &types::DeleteSnapshotReturnCode) -> Option<(SnapshotId, String)> {
    let code = row.return_code().map_or("", types::SnapshotReturnCodes::as_str);
    (code != "success").then_some((id(row.snapshot_id())?, code.to_owned()))
}

/// One region: `opted-in`, `opt-in-not-required` or `not-opted-in`.
pub(crate) fn region(row: &types::Region) -> Option<(Region, OptIn)> {
    let status = match row.opt_in_status() {
        Some("not-opted-in") => OptIn::NotOptedIn,
        Some(_) | None => OptIn::Enabled,
    };
    Some((id(row.region_name())?, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_stop_is_read_where_ec2_gives_one() {
        let time = |text| transition_time(text).map(|time| time.to_string());
        assert_eq!(time("User initiated (2026-11-24 07:46:58 GMT)").unwrap(), "2026-11-24T07:46:58Z");
        assert_eq!(time("Service initiated (2026-02-03 04:05:06 GMT)").unwrap(), "2026-02-03T04:05:06Z");
        for without in ["", "User initiated", "Server.InternalError", "User initiated (yesterday GMT)"] {
            assert_eq!(time(without), None, "{without}");
        }
    }

    #[test]
    fn a_state_that_is_new_to_us_is_unknown() {
        let state = |name| types::InstanceState::builder().name(types::InstanceStateName::from(name)).build();
        assert_eq!(instance_state(Some(&state("stopped"))), InstanceState::Stopped);
        assert_eq!(instance_state(Some(&state("dreaming"))), InstanceState::Unknown);
        assert_eq!(instance_state(None), InstanceState::Unknown);
        assert_eq!(image_state("transient"), ImageState::Unknown);
        assert_eq!(image_state("error"), ImageState::Failed);
        assert_eq!(snapshot_state("recovering"), SnapshotState::Unknown);
    }

    #[test]
    fn a_malformed_id_leaves_out_its_element_only() {
        let row = |id: &str| types::Instance::builder().instance_id(id).build();
        let reservation = types::Reservation::builder()
            .owner_id("123456789012")
            .instances(row("i-0123456789abcdef0"))
            .instances(row("what"))
            .build();
        assert_eq!(instances(&reservation).len(), 1);
    }

    #[test]
    fn an_instance_is_left_out_rather_than_shown_with_a_volume_less() {
        let ebs = types::EbsInstanceBlockDevice::builder().volume_id("what").build();
        let disk = types::InstanceBlockDeviceMapping::builder().device_name("/dev/xvda").ebs(ebs).build();
        let row =
            types::Instance::builder().instance_id("i-0123456789abcdef0").block_device_mappings(disk).build();
        assert_eq!(instance(&row, &"123456789012".parse().unwrap()), None);
    }
}
