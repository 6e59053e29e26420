//! The simulator behind HTTP.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use ec2sim::{ACCOUNT, Config, Effect, Fault, InstanceSeed, InstanceState, Outcome, Server, When};
use serde_json::Value;

use crate::world::{AWAY, HOME};

const OTHER: &str = "210987654321";

fn server() -> Server {
    Server::start(Config { stop: 1, start: 1, ..Config::default() }).expect("a server")
}

/// The whole reply to raw text, empty if the connection was closed without one.
fn exchange(url: &str, text: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.write_all(text.as_bytes()).expect("sent");
    let mut reply = Vec::new();
    // A reset is as good an end as any.
    let _is_reset = stream.read_to_end(&mut reply);
    String::from_utf8(reply).expect("text")
}

fn http(method: &str, path: &str, key: &str, region: &str, body: &str) -> String {
    let scope = format!("Credential={key}/20260101/{region}/ec2/aws4_request");
    format!(
        "{method} {path} HTTP/1.1\r\nhost: ec2\r\nconnection: close\r\nuser-agent: test\r\n\
         authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn post(server: &Server, key: &str, region: &str, body: &str) -> String {
    exchange(&server.url(), &http("POST", "/", key, region, body))
}

fn control(server: &Server, method: &str, path: &str, body: &str) -> Value {
    let reply = exchange(&server.url(), &http(method, &format!("/_ec2sim/{path}"), "x", HOME, body));
    serde_json::from_str(reply.split("\r\n\r\n").nth(1).expect("a body")).expect("json")
}

#[test]
fn the_region_is_the_scopes_and_a_twelve_digit_key_is_the_account() {
    let server = server();
    let here = server.seed(InstanceSeed::default());
    let there = server.seed(InstanceSeed { region: AWAY.to_owned(), ..InstanceSeed::default() });
    let other = server.seed(InstanceSeed { account: OTHER.to_owned(), ..InstanceSeed::default() });
    let form = "Action=DescribeInstances&Version=2016-11-15";
    for (key, region, expected) in [
        ("AKIDEXAMPLE", HOME, &here),
        (ACCOUNT, HOME, &here),
        ("AKIDEXAMPLE", AWAY, &there),
        (OTHER, HOME, &other),
    ] {
        let reply = post(&server, key, region, form);
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
        assert_eq!(reply.matches("<instanceId>").count(), 1);
        assert!(reply.contains(expected.as_str()));
    }
}

#[test]
fn a_get_with_a_query_is_a_call_too() {
    let server = server();
    let reply = exchange(&server.url(), &http("GET", "/?Action=DescribeRegions", "x", HOME, ""));
    assert!(reply.contains("<regionName>us-west-2</regionName>"));
}

#[test]
fn an_error_has_ec2s_shape_and_status() {
    let server = server();
    let id = server.seed(InstanceSeed::default());
    let reply = post(&server, "x", HOME, &format!("Action=StopInstances&InstanceId.1={id}&DryRun=true"));
    assert!(reply.starts_with("HTTP/1.1 412 "), "{reply}");
    assert!(reply.contains("<Response><Errors><Error><Code>DryRunOperation</Code><Message>"));
    assert!(reply.contains("</Message></Error></Errors><RequestID>"));
    let unsigned = exchange(
        &server.url(),
        "GET /?Action=DescribeRegions HTTP/1.1\r\nhost: ec2\r\nconnection: close\r\n\r\n",
    );
    assert!(unsigned.starts_with("HTTP/1.1 401 ") && unsigned.contains("<Code>AuthFailure</Code>"));
}

#[test]
fn the_date_is_the_simulators() {
    let server = server();
    control(&server, "POST", "clock", r#"{"offsetSeconds": 315360000}"#);
    let reply = post(&server, "x", HOME, "Action=DescribeRegions");
    let date = reply.lines().find_map(|line| line.strip_prefix("date: ")).expect("a date");
    let years: i64 = date.split(' ').nth(3).and_then(|year| year.parse().ok()).expect("a year");
    assert_eq!(years, 1970 + server.now() / 31_556_952_000);
    assert!(date.ends_with(" GMT"));
}

#[test]
fn a_dropped_call_closes_the_connection_without_an_answer_and_without_effect() {
    let server = server();
    let id = server.seed(InstanceSeed::default());
    server.add_fault(Fault::new("StopInstances", Effect::Drop).nth(1));
    server.add_fault(Fault::new("StopInstances", Effect::ApplyAndDrop).nth(2));
    let form = format!("Action=StopInstances&InstanceId.1={id}");
    assert_eq!(post(&server, "x", HOME, &form), "");
    assert_eq!(server.sim().place(ACCOUNT, HOME).unwrap().instances[&id].state, InstanceState::Running);
    assert_eq!(post(&server, "x", HOME, &form), "");
    assert_ne!(server.sim().place(ACCOUNT, HOME).unwrap().instances[&id].state, InstanceState::Running);
    let outcomes: Vec<_> = server.sim().log().iter().map(|entry| entry.outcome.clone()).collect();
    assert_eq!(outcomes, [Outcome::Dropped, Outcome::Lost { code: None }]);
}

#[test]
fn a_truncated_answer_ends_early() {
    let server = server();
    server.add_fault(Fault::new("DescribeRegions", Effect::ApplyAndTruncate));
    let reply = post(&server, "x", HOME, "Action=DescribeRegions");
    assert!(reply.starts_with("HTTP/1.1 200") && !reply.contains("</DescribeRegionsResponse>"));
}

#[test]
fn a_connection_may_break_in_the_middle_of_an_answer_that_was_promised_whole() {
    let server = server();
    let whole = post(&server, "x", HOME, "Action=DescribeRegions");
    server.add_fault(Fault::new("DescribeRegions", Effect::ApplyAndReset).nth(1));
    let broken = post(&server, "x", HOME, "Action=DescribeRegions");
    let length = |reply: &str| {
        let line = reply.lines().find_map(|line| line.strip_prefix("content-length: "));
        line.and_then(|length| length.parse::<usize>().ok()).expect("a length")
    };
    let body = |reply: &str| reply.split("\r\n\r\n").nth(1).map_or(0, str::len);
    assert_eq!((length(&whole), length(&broken)), (body(&whole), body(&whole)));
    assert!(body(&broken) < body(&whole), "{broken}");
    assert_eq!(server.sim().log().last().unwrap().outcome, Outcome::Lost { code: None });
}

#[test]
fn an_answer_may_drip() {
    let server = server();
    server.add_fault(Fault::new("DescribeRegions", Effect::ApplyAndDrip { ms: 300 }).nth(1));
    let start = Instant::now();
    let reply = post(&server, "x", HOME, "Action=DescribeRegions");
    assert!(reply.ends_with("</DescribeRegionsResponse>") && start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn an_answer_may_have_another_date() {
    let server = server();
    let far = "Thu, 30 Dec 9999 22:00:00 GMT";
    server.add_fault(Fault::new("DescribeRegions", Effect::Date { to: far.to_owned() }).nth(1));
    let dates = |reply: &str| reply.lines().filter(|line| *line == format!("date: {far}")).count();
    assert_eq!(dates(&post(&server, "x", HOME, "Action=DescribeRegions")), 1);
    assert_eq!(dates(&post(&server, "x", HOME, "Action=DescribeRegions")), 0);
}

#[test]
fn a_swallowed_call_is_never_answered_and_others_are() {
    let server = server();
    server.add_fault(Fault::new("*", Effect::Swallow).region(AWAY));
    let mut held = TcpStream::connect(server.url().trim_start_matches("http://")).expect("a connection");
    held.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    held.write_all(http("POST", "/", "x", AWAY, "Action=DescribeRegions").as_bytes()).expect("sent");
    assert!(post(&server, "x", HOME, "Action=DescribeRegions").starts_with("HTTP/1.1 200"));
    let error = held.read(&mut [0]).expect_err("neither an answer nor an end");
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{error}");
    assert_eq!(server.sim().log().iter().filter(|entry| entry.outcome == Outcome::Dropped).count(), 1);
}

#[test]
fn a_frozen_caller_sleeps_and_wakes() {
    let server = server();
    let mut sleeper = Command::new("sleep").arg("0.1").spawn().expect("a process");
    let pid = i32::try_from(sleeper.id()).expect("a pid");
    server.add_fault(Fault::new("DescribeRegions", Effect::Freeze { pid, ms: Some(700) }));
    let start = Instant::now();
    assert!(post(&server, "x", HOME, "Action=DescribeRegions").starts_with("HTTP/1.1 200"));
    assert!(sleeper.wait().expect("an end").success());
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
}

#[test]
fn a_delayed_call_has_its_effect_late() {
    let server = server();
    server.add_fault(Fault::new("DescribeRegions", Effect::Delay { ms: 300, when: When::Before }));
    let start = Instant::now();
    post(&server, "x", HOME, "Action=DescribeRegions");
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_killed_caller_is_gone_and_its_effect_is_there() {
    let server = server();
    let id = server.seed(InstanceSeed::default());
    let mut victim = Command::new("sleep").arg("600").spawn().expect("a process");
    let pid = i32::try_from(victim.id()).expect("a pid");
    server.add_fault(Fault::new("StopInstances", Effect::Kill { pid, when: When::After }));
    assert_eq!(post(&server, "x", HOME, &format!("Action=StopInstances&InstanceId.1={id}")), "");
    assert!(!victim.wait().expect("an end").success());
    assert_ne!(server.sim().place(ACCOUNT, HOME).unwrap().instances[&id].state, InstanceState::Running);
}

#[test]
fn the_control_endpoint_seeds_faults_and_tells_all() {
    let server = server();
    let seed = r#"{"region":"us-west-2","name":"web","type":"m5.large","state":"stopped","asg":"group",
        "volumes":[{"device":"/dev/xvda","gib":30},{"device":"/dev/sdf","gib":5,"multiAttach":true}]}"#;
    let id = control(&server, "POST", "instances", seed)["instanceID"].as_str().unwrap().to_owned();
    let fault = r#"{"operation":"StartInstances","effect":{"kind":"refuse","code":"InternalError"}}"#;
    assert_eq!(control(&server, "POST", "faults", fault)[0]["hits"], 0);
    let form = format!("Action=StartInstances&InstanceId.1={id}");
    assert!(post(&server, "x", AWAY, &form).starts_with("HTTP/1.1 500"));
    assert_eq!(control(&server, "DELETE", "faults", ""), Value::Array(vec![]));
    assert!(post(&server, "x", AWAY, &form).contains("<name>pending</name>"));
    let log = control(&server, "GET", "log", "");
    assert_eq!(
        (&log[0]["outcome"]["code"], &log[1]["outcome"]["kind"]),
        (&"InternalError".into(), &"ok".into())
    );
    assert_eq!((&log[1]["agent"], &log[1]["params"]["InstanceId.1"]), (&"test".into(), &id.as_str().into()));
    let state = control(&server, "GET", "state", "");
    let place = &state["places"][0];
    assert_eq!(place["instances"][0]["id"], id.as_str());
    assert_eq!(place["instances"][0]["tags"]["aws:autoscaling:groupName"], "group");
    assert_eq!(place["volumes"].as_array().unwrap().len(), 2);
    assert!(place["volumes"][0]["writeClock"].is_i64());
    assert!(control(&server, "POST", "instances", r#"{"colour":"red"}"#)["error"].is_string());
    assert!(control(&server, "GET", "nowhere", "")["error"].is_string());
}

#[test]
fn the_control_endpoint_takes_the_policies_of_an_access_key() {
    let server = server();
    let id = server.seed(InstanceSeed::default());
    let grants = r#"[{"accessKey": "AKID", "policies": [{"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}}]}]"#;
    assert_eq!(control(&server, "PUT", "grants", grants)[0]["accessKey"], "AKID");
    assert_eq!(control(&server, "GET", "grants", ""), serde_json::from_str::<Value>(grants).unwrap());
    assert!(control(&server, "PUT", "grants", r#"[{"policies": [{"Statement": 1}]}]"#)["error"].is_string());
    let form = format!("Action=StopInstances&InstanceId.1={id}");
    let reply = post(&server, "AKID", HOME, &form);
    assert!(reply.starts_with("HTTP/1.1 403 ") && reply.contains("<Code>UnauthorizedOperation</Code>"));
    assert!(post(&server, "AKID", HOME, "Action=DescribeInstances").starts_with("HTTP/1.1 200 "));
    assert!(post(&server, "x", HOME, &form).starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_control_endpoint_reads_and_changes_the_settings() {
    let server = server();
    assert_eq!(control(&server, "GET", "config", "")["copiesAtOnce"], 20);
    let changed = r#"{"replicas": [0, 5000], "copiesAtOnce": 3, "throttles": true,
        "regions": [{"name": "us-east-1", "optIn": "opt-in-not-required"}]}"#;
    let settings = control(&server, "PATCH", "config", changed);
    assert_eq!((&settings["copiesAtOnce"], &settings["stop"]), (&3.into(), &1.into()));
    let config = server.sim().config().clone();
    assert_eq!((config.replicas, config.throttles, config.regions.len()), (vec![0, 5000], true, 1));
    assert!(control(&server, "PATCH", "config", r#"{"colour": "red"}"#)["error"].is_string());
}

#[test]
fn the_control_endpoint_does_what_others_would() {
    let server = server();
    let id = server.seed(InstanceSeed::default());
    let deed = |act: &str| {
        control(&server, "POST", "deeds", &format!(r#"{{"region":"{HOME}","instance":"{id}","act":{act}}}"#))
    };
    let volume = deed(r#"{"kind":"attach","volume":{"device":"/dev/sdf","gib":3}}"#);
    let volume = volume["volumeID"].as_str().unwrap().to_owned();
    deed(&format!(r#"{{"kind":"detach","volume":"{volume}"}}"#));
    deed(
        r#"{"kind":"schedule","event":{"code":"instance-stop","description":"planned","notBefore":1795506418123}}"#,
    );
    deed(r#"{"kind":"faultStarts","fault":{"kind":"noCapacity","times":1}}"#);
    deed(
        r#"{"kind":"stop","code":"Server.ScheduledStop","message":"Stopped due to a scheduled retirement"}"#,
    );
    server.set_offset(60_000);
    let reply = post(&server, "x", HOME, &format!("Action=StartInstances&InstanceId.1={id}"));
    assert!(reply.contains("<Code>InsufficientInstanceCapacity</Code>"), "{reply}");
    let sim = server.sim();
    let instance = &sim.place(ACCOUNT, HOME).unwrap().instances[&id];
    assert_eq!(instance.reason.as_ref().unwrap().code, "Server.ScheduledStop");
    assert_eq!((instance.devices.len(), instance.events.len()), (1, 1));
}

#[test]
fn a_server_that_is_dropped_serves_nobody_any_more() {
    let server = server();
    // A connection that is open tells; the port itself may be another test's by then.
    let mut held = TcpStream::connect(server.url().trim_start_matches("http://")).expect("a connection");
    held.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a timeout");
    drop(server);
    let gone = match std::io::Read::read(&mut held, &mut [0]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    assert!(gone, "the connection is still served");
}

#[test]
fn the_binary_tells_where_it_listens_and_ends_on_a_signal() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ec2sim"))
        .args(["--port", "0", "--regions", "eu-north-1", "--stop", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("listening on ").expect("a url");
    let reply = exchange(url, &http("POST", "/", "x", "eu-north-1", "Action=DescribeRegions"));
    assert!(reply.contains("eu-north-1") && !reply.contains("us-east-1"));
    Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    assert!(child.wait().expect("an end").success());
}
