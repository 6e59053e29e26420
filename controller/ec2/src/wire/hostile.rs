//! Replies that broke on their way, or that nobody foresaw.
use saved_template_core::{
    cloud::{Cloud, Instances},
    ec2_error::{Ec2Error, ErrorClass},
};

use super::{
    replies::{self, READS, STOPPED},
    *,
};

const REFUSED: &str = "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>gone</Message></Error></Errors>\
<RequestID>r</RequestID></Response>";

async fn read(which: &str, status: u16, body: &str) -> Result<String, Ec2Error> {
    replies::read(&Wire::always(Answer::Reply(status, body.to_owned())).ec2(), which).await
}

async fn stop(status: u16, body: &str) -> Result<String, Ec2Error> {
    let wire = Wire::always(Answer::Reply(status, body.to_owned()));
    let stopped = replies::stop(&wire.ec2()).await;
    assert_eq!(wire.sent().len(), 1, "a Stop is never sent again by itself");
    stopped
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
async fn a_list_whose_markup_breaks_anywhere_is_refused_and_never_a_shorter_one() {
    for (which, whole) in READS {
        for (at, mark) in whole.match_indices(['<', '>']) {
            let broken = format!("{}{}", &whole[..at], &whole[at + mark.len()..]);
            let refusal = read(which, 200, &broken).await.expect_err(&broken);
            assert_eq!(refusal.class, ErrorClass::Unknown, "{which}, without the {mark} at {at}: {refusal}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_was_cut_may_have_been_made() {
    let full = stop(200, STOPPED).await.unwrap();
    for end in 0..STOPPED.len() {
        match stop(200, &STOPPED[..end]).await {
            Ok(found) => assert_eq!(found, full, "cut at {end}"),
            Err(refusal) => assert_eq!(refusal.class, ErrorClass::Unknown, "cut at {end}: {refusal}"),
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

#[tokio::test(start_paused = true)]
async fn a_tag_that_xml_cannot_hold_keeps_nothing_else_from_being_read() {
    for (which, whole) in READS {
        let full = read(which, 200, whole).await.unwrap();
        let tagged = whole.replacen("<value>", "<value>\0\u{1b}[31m\u{ffff}", 1);
        let found = read(which, 200, &tagged).await.unwrap();
        assert_eq!(found.replace("\u{fffd}\u{fffd}[31m\u{fffd}", ""), full, "{which}");
    }
    let refused = REFUSED.replace("gone", "tag \u{1b}[31m is not known");
    let refusal = stop(400, &refused).await.unwrap_err();
    assert_eq!((refusal.class, refusal.code.as_str()), (ErrorClass::NotFound, "InvalidInstanceID.NotFound"));
}

#[tokio::test(start_paused = true)]
async fn a_date_that_cannot_be_ec2s_stops_no_read_and_moves_no_clock() {
    for date in [
        "Thu, 30 Dec 9999 22:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sat, 01 Jan 8000 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "yesterday",
        "",
    ] {
        let wire = Wire::always(Answer::ok(""));
        wire.date(date);
        let ec2 = wire.ec2();
        assert_eq!(ec2.instances(Instances::TagKey("k".into())).await, Ok(Vec::new()), "{date}");
        assert_eq!(ec2.now(), None, "{date}");
        wire.date("Tue, 24 Nov 2026 07:46:58 GMT");
        assert_eq!(ec2.instances(Instances::TagKey("k".into())).await, Ok(Vec::new()));
        wire.date(date);
        assert_eq!(ec2.instances(Instances::TagKey("k".into())).await, Ok(Vec::new()), "{date}");
        let seconds = ec2.now().unwrap().duration_since(node()).as_secs();
        assert!((0..60).contains(&seconds), "{date}: {seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_ever_new_pages_ends_and_is_no_list() {
    let wire = Wire::always(Answer::Endless);
    let refusal = wire.ec2().tagged("k").await.unwrap_err();
    assert_eq!((refusal.class, wire.sent().len()), (ErrorClass::Unknown, 10_000), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_longer_than_64_mib_is_refused() {
    let reply = |length: usize| {
        let head = "<DescribeTagsResponse>";
        let tail = "</DescribeTagsResponse>";
        head.to_owned() + &" ".repeat(length - head.len() - tail.len()) + tail
    };
    let longest = 64 * 1024 * 1024;
    for status in [200, 400] {
        let wire = Wire::always(Answer::Reply(status, reply(longest + 1)));
        let refusal = wire.ec2().tagged("k").await.unwrap_err();
        assert!(refusal.to_string().contains("longer than 64 MiB"), "{refusal}");
    }
    let wire = Wire::always(Answer::Reply(200, reply(longest)));
    assert_eq!(wire.ec2().tagged("k").await, Ok(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn any_damaged_reply_is_read_or_refused_within_two_minutes() {
    // xorshift64*: the same replies in every run.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = [0; 32];
    for _ in 0..1_400 {
        for byte in &mut bytes {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            *byte = state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes()[0];
        }
        replies::law(&bytes, |status, body| Wire::always(Answer::Reply(status, body)).ec2()).await;
    }
}
