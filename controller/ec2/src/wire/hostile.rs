//! Replies that broke on their way, or that nobody foresaw.
use saved_template_core::{
    cloud::{Cloud, Images, Instances, Snapshots},
    refusal::{Class, Refusal},
};

use super::*;

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

const STOPPED: &str = "<StopInstancesResponse><instancesSet><item><instanceId>i-0123456789abcdef0</instanceId>\
<currentState><code>64</code><name>stopping</name></currentState><previousState><code>16</code><name>running</name></previousState>\
</item></instancesSet></StopInstancesResponse>";

const REFUSED: &str = "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>gone</Message></Error></Errors>\
<RequestID>r</RequestID></Response>";

/// Each read, by the reply that it expects; what it understood, for comparison.
const READS: [(&str, &str); 6] = [
    ("instances", INSTANCES),
    ("images", IMAGES),
    ("snapshots", SNAPSHOTS),
    ("tagged", TAGGED),
    ("volumes", VOLUMES),
    ("regions", REGIONS),
];

async fn read(which: &str, status: u16, body: &str) -> Result<String, Refusal> {
    let wire = Wire::always(Answer::Reply(status, body.to_owned()));
    let ec2 = wire.ec2();
    Ok(match which {
        "instances" => format!("{:?}", ec2.instances(Instances::TagKey("k".into())).await?),
        "images" => format!("{:?}", ec2.images(Images::Tag("k".into(), vec!["v".into()])).await?),
        "snapshots" => format!("{:?}", ec2.snapshots(Snapshots::Tag("k".into(), vec!["v".into()])).await?),
        "tagged" => format!("{:?}", ec2.tagged("k").await?),
        "volumes" => format!("{:?}", ec2.volumes(&["vol-0123456789abcdef0".parse().unwrap()]).await?),
        _ => format!("{:?}", ec2.regions().await?),
    })
}

async fn stop(status: u16, body: &str) -> Result<String, Refusal> {
    let wire = Wire::always(Answer::Reply(status, body.to_owned()));
    let stopped = wire.ec2().stop(&instance(), false, announced(0)).await;
    assert_eq!(wire.sent().len(), 1, "a Stop is never sent again by itself");
    Ok(format!("{:?}", stopped?))
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_cut_anywhere_is_refused_and_never_a_shorter_one() {
    for (which, whole) in READS {
        let full = read(which, 200, whole).await.unwrap();
        assert!(full.len() > 20, "{which} understood nothing: {full}");
        for end in 0..whole.len() {
            if let Ok(found) = read(which, 200, &whole[..end]).await {
                assert_eq!(found, full, "{which}, cut at {end}: …{}", &whole[end.saturating_sub(40)..end]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_was_cut_may_have_been_made() {
    let full = stop(200, STOPPED).await.unwrap();
    for end in 0..STOPPED.len() {
        match stop(200, &STOPPED[..end]).await {
            Ok(found) => assert_eq!(found, full, "cut at {end}"),
            Err(refusal) => assert_eq!(refusal.class, Class::Unknown, "cut at {end}: {refusal}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_was_cut_is_still_none_of_the_good_answers() {
    for end in 0..=REFUSED.len() {
        for (which, _) in READS {
            assert!(read(which, 400, &REFUSED[..end]).await.is_err(), "{which}, cut at {end}");
        }
        assert!(stop(400, &REFUSED[..end]).await.is_err(), "cut at {end}");
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

/// A reply with one to four damages, by a seed.
fn damaged(whole: &str, seed: u64) -> String {
    // xorshift64*: the same seed gives the same damage.
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut roll = |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % below.max(1)
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

/// How many replies of each kind; `REPLIES=100000` for more of them.
#[expect(clippy::disallowed_methods, reason = "how long `make fuzz` runs is its own affair")]
fn many() -> u64 {
    std::env::var("REPLIES").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

#[tokio::test(start_paused = true)]
async fn any_damaged_reply_is_read_or_refused_within_two_minutes() {
    for seed in 0..many() {
        for (which, whole) in READS {
            let body = damaged(whole, seed);
            let status = [200, 200, 200, 400, 503][usize::try_from(seed % 5).unwrap()];
            let reading = tokio::time::timeout(Duration::from_secs(120), read(which, status, &body));
            assert!(reading.await.is_ok(), "{which}, seed {seed}: no end of {body}");
        }
        let body = damaged(STOPPED, seed);
        let stopping = tokio::time::timeout(Duration::from_secs(120), stop(200, &body));
        if let Err(refusal) = stopping.await.unwrap_or_else(|_| panic!("seed {seed}: no end of {body}")) {
            assert_eq!(refusal.class, Class::Unknown, "seed {seed}: {refusal}: {body}");
        }
    }
}
