//! The command line; each flag has an environment name. Nothing else reads the environment.
use std::{net::SocketAddr, time::Duration};

use clap::{Parser, ValueEnum};
use saved_template_api::ids::Region;

/// Saves running EC2 machines as AMIs: stops each safely, images it, gives it back, copies the image.
#[derive(Debug, Clone, Parser)]
#[command(name = "savedtemplate-controller", version)]
pub struct Args {
    /// Name that owns the images: one per installation, the same for the successor of a cluster (DNS label, ≤ 63).
    #[arg(long, env = "SAVEDTEMPLATE_CLUSTER_NAME", value_parser = cluster_name)]
    pub cluster_name: String,

    /// Regions whose machines are given back (comma-separated). Default: every region enabled for the account.
    #[arg(long, env = "SAVEDTEMPLATE_REGIONS", value_delimiter = ',', value_parser = region)]
    pub regions: Vec<Region>,

    /// Namespaces to reconcile (comma-separated): a shard, or what the permissions allow. Default: all.
    #[arg(long, env = "SAVEDTEMPLATE_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,

    /// Whether only the holder of the lease reconciles. Machines are given back by every replica.
    #[arg(long, env = "SAVEDTEMPLATE_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,

    /// Namespace of the lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub namespace: String,

    /// Who this replica is, in the lease and in events.
    #[arg(long, env = "POD_NAME", default_value = "savedtemplate-controller")]
    pub identity: String,

    /// Seconds for which the lease is held without being renewed.
    #[arg(long, env = "SAVEDTEMPLATE_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(2..=600))]
    pub lease_seconds: u64,

    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "SAVEDTEMPLATE_HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_address: SocketAddr,

    /// Objects that are reconciled at once.
    #[arg(long, env = "SAVEDTEMPLATE_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    /// Seconds that one reconcile may take.
    #[arg(long, env = "SAVEDTEMPLATE_RECONCILE_SECONDS", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub reconcile_seconds: u64,

    /// Seconds between looks at what lacks nothing.
    #[arg(long, env = "SAVEDTEMPLATE_DRIFT_SECONDS", default_value_t = 7200, value_parser = clap::value_parser!(u64).range(60..))]
    pub drift_seconds: u64,

    /// How logs are written: for a terminal or for a collector.
    #[arg(long, env = "SAVEDTEMPLATE_LOG_FORMAT", value_enum, default_value = "auto")]
    pub log_format: LogFormat,

    /// What is logged, as a filter of the crate tracing-subscriber.
    #[arg(long, env = "SAVEDTEMPLATE_LOG", default_value = "info")]
    pub log: String,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object per line.
    Json,
    /// Text.
    Text,
}

impl Args {
    pub(crate) fn drift(&self) -> Duration {
        Duration::from_secs(self.drift_seconds)
    }
}

fn cluster_name(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good {
        Ok(text.to_owned())
    } else {
        Err("a DNS label of at most 63 characters: a-z, 0-9 and -".to_owned())
    }
}

fn region(text: &str) -> Result<Region, String> {
    Region::parse(text).map_err(|error| error.to_string())
}
