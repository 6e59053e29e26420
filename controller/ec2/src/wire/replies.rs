//! Replies of EC2, whole and damaged: what `hostile` and the fuzz target `replies` have in common.
use std::time::{Duration, Instant};

use saved_template_core::{
    cloud::{Announced, Cloud, Images, Instances, Snapshots},
    ec2_error::{Ec2Error, ErrorClass},
};

use crate::Ec2;

const INSTANCES: &str = "<DescribeInstancesResponse><requestId>r</requestId><reservationSet><item><ownerId>123456789012</ownerId>\
<instancesSet><item><instanceId>i-0123456789abcdef0</instanceId><imageId>ami-0123456789abcdef0</imageId>\
<instanceState><code>80</code><name>stopped</name></instanceState><reason>User initiated (2026-11-24 07:46:58 GMT)</reason>\
<stateReason><code>Client.UserInitiatedShutdown</code><message>m</message></stateReason>\
<launchTime>2026-11-24T07:00:00.500Z</launchTime><architecture>x86_64</architecture><rootDeviceType>ebs</rootDeviceType>\
<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-0123456789abcdef0</volumeId>\
<status>attached</status><attachTime>2026-11-24T06:00:00.000Z</attachTime></ebs></item></blockDeviceMapping>\
<tagSet><item><key>Name</key><value>web</value></item></tagSet></item></instancesSet></item></reservationSet>\
</DescribeInstancesResponse>";

const IMAGES: &str = "<DescribeImagesResponse><imagesSet><item><imageId>ami-0123456789abcdef0</imageId>\
<imageState>available</imageState><imageOwnerId>123456789012</imageOwnerId><name>web-r1</name>\
<creationDate>2026-11-24T07:50:00.000Z</creationDate><sourceInstanceId>i-0123456789abcdef0</sourceInstanceId>\
<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-0123456789abcdef0</snapshotId></ebs></item>\
</blockDeviceMapping><tagSet><item><key>k</key><value>v</value></item></tagSet></item></imagesSet></DescribeImagesResponse>";

const SNAPSHOTS: &str = "<DescribeSnapshotsResponse><snapshotSet><item><snapshotId>snap-0123456789abcdef0</snapshotId>\
<volumeId>vol-0123456789abcdef0</volumeId><status>pending</status><startTime>2026-11-24T07:50:00.000Z</startTime>\
<progress>30%</progress><ownerId>123456789012</ownerId><volumeSize>8</volumeSize><description>d</description></item></snapshotSet>\
</DescribeSnapshotsResponse>";

const TAGGED: &str = "<DescribeTagsResponse><tagSet><item><resourceId>i-0123456789abcdef0</resourceId>\
<resourceType>instance</resourceType><key>k</key><value>v</value></item></tagSet></DescribeTagsResponse>";

const VOLUMES: &str = "<DescribeVolumesResponse><volumeSet><item><volumeId>vol-0123456789abcdef0</volumeId><size>8</size>\
<status>in-use</status><multiAttachEnabled>true</multiAttachEnabled><encrypted>true</encrypted><kmsKeyId>arn:k</kmsKeyId></item>\
</volumeSet></DescribeVolumesResponse>";

const REGIONS: &str = "<DescribeRegionsResponse><regionInfo><item><regionName>us-west-2</regionName><regionEndpoint>e</regionEndpoint>\
<optInStatus>opt-in-not-required</optInStatus></item></regionInfo></DescribeRegionsResponse>";

pub(crate) const STOPPED: &str = "<StopInstancesResponse><instancesSet><item><instanceId>i-0123456789abcdef0</instanceId>\
<currentState><code>64</code><name>stopping</name></currentState><previousState><code>16</code><name>running</name></previousState>\
</item></instancesSet></StopInstancesResponse>";

/// Each read, with the reply that it expects.
pub(crate) const READS: [(&str, &str); 6] = [
    ("instances", INSTANCES),
    ("images", IMAGES),
    ("snapshots", SNAPSHOTS),
    ("tagged", TAGGED),
    ("volumes", VOLUMES),
    ("regions", REGIONS),
];

/// What a read understood, for comparison.
pub(crate) async fn read(ec2: &Ec2, which: &str) -> Result<String, Ec2Error> {
    Ok(match which {
        "instances" => format!("{:?}", ec2.instances(Instances::TagKey("k".into())).await?),
        "images" => format!("{:?}", ec2.images(Images::Tag("k".into(), vec!["v".into()])).await?),
        "snapshots" => format!("{:?}", ec2.snapshots(Snapshots::Tag("k".into(), vec!["v".into()])).await?),
        "tagged" => format!("{:?}", ec2.tagged("k").await?),
        "volumes" => format!("{:?}", ec2.volumes(&["vol-0123456789abcdef0".parse().unwrap()]).await?),
        _ => format!("{:?}", ec2.regions().await?),
    })
}

/// What a Stop understood.
pub(crate) async fn stop(ec2: &Ec2) -> Result<String, Ec2Error> {
    let announced = Announced { at: "2026-11-24T07:46:58Z".parse().unwrap(), instant: Instant::now() };
    let stopped = ec2.stop(&"i-0123456789abcdef0".parse().unwrap(), false, announced).await;
    Ok(format!("{:?}", stopped?))
}

/// Any damaged reply is read or refused within two minutes; after one to a Stop, it may have been made.
pub(crate) async fn law(bytes: &[u8], ec2: impl Fn(u16, String) -> Ec2) {
    let [kind, status, damage @ ..] = bytes else { return };
    let status = [200, 200, 200, 400, 503][usize::from(*status) % 5];
    let read_of = READS.get(usize::from(*kind) % (READS.len() + 1));
    let body = damaged(read_of.map_or(STOPPED, |(_, whole)| whole), damage);
    let patience = Duration::from_secs(120);
    if let Some((which, _)) = read_of {
        let reading = tokio::time::timeout(patience, read(&ec2(status, body.clone()), which)).await;
        assert!(reading.is_ok(), "{which}: no end of {body}");
    } else {
        let stopping = tokio::time::timeout(patience, stop(&ec2(200, body.clone()))).await;
        if let Err(refusal) = stopping.unwrap_or_else(|_| panic!("no end of {body}")) {
            assert_eq!(refusal.class, ErrorClass::Unknown, "{refusal}: {body}");
        }
    }
}

/// Texts that an element may hold where nobody expects them.
const TEXTS: [&str; 12] = [
    "",
    " ",
    "-1",
    "99999999999999999999",
    "NaN",
    "a-state-of-tomorrow",
    "1970-01-01T00:00:00Z",
    "9999999-99-99T99:99:99Z",
    "&lt;script&gt;&#10;\u{202e}",
    "&unknown;",
    "<item/><item><item/></item>",
    "<![CDATA[x]]>",
];

/// A reply with one to four damages, chosen by bytes; bytes that ran out are zeros.
fn damaged(whole: &str, choices: &[u8]) -> String {
    let mut choices = choices.iter().copied();
    let mut roll = |below: usize| {
        let [high, low] = [choices.next().unwrap_or(0), choices.next().unwrap_or(0)];
        usize::from(u16::from_be_bytes([high, low])) % below.max(1)
    };
    let mut bytes = whole.as_bytes().to_vec();
    for _ in 0..=roll(4) {
        let at = roll(bytes.len());
        let end = (at + 1 + roll(60)).min(bytes.len());
        match roll(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            3 => bytes[at] = u8::try_from(roll(256)).unwrap(),
            // What an element holds: from one `>` to the next `<`.
            4 => {
                let from =
                    bytes[at..].iter().position(|byte| *byte == b'>').map_or(end, |more| at + more + 1);
                let to = bytes[from..].iter().position(|byte| *byte == b'<').map_or(from, |more| from + more);
                drop(bytes.splice(from..to, TEXTS[roll(TEXTS.len())].bytes()));
            }
            _ => {
                let more = "<nextToken>again</nextToken>";
                let from = bytes.iter().rposition(|byte| *byte == b'<').unwrap_or(0);
                drop(bytes.splice(from..from, more.bytes()));
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
