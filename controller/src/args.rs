//! The command line; each flag of the controller has an environment name. Nothing else reads the environment.
use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use saved_template_api::ids::Region;
use saved_template_core::restart::Signing;

/// Saves running EC2 machines as AMIs: stops each safely, images it, gives it back, copies the image.
#[derive(Debug, Clone, Parser)]
#[command(name = "savedtemplate-controller", version)]
pub struct Args {
    /// Name that owns the images: one per installation, the same for the successor of a cluster (DNS label, ≤ 63).
    #[arg(long, env = "SAVEDTEMPLATE_CLUSTER_NAME", value_parser = cluster_name)]
    pub cluster_name: String,

    /// Cluster names whose images become those of this installation (comma-separated): those clusters must be gone. To be
    /// kept as long as such images are used.
    #[arg(long, env = "SAVEDTEMPLATE_ADOPT_FROM", value_delimiter = ',', value_parser = cluster_name)]
    pub adopt_from: Vec<String>,

    /// Uid of the kube-system namespace of a cluster of the same name whose images become those of this one: that
    /// cluster must be gone.
    #[arg(long, env = "SAVEDTEMPLATE_TAKE_OVER")]
    pub take_over: Option<String>,

    /// Regions whose machines are saved and given back (comma-separated). Default: every region enabled for the account.
    #[arg(long, env = "SAVEDTEMPLATE_REGIONS", value_delimiter = ',', value_parser = region)]
    pub regions: Vec<Region>,

    /// Namespaces to reconcile (comma-separated): a shard, or what the permissions allow. Default: all.
    #[arg(long, env = "SAVEDTEMPLATE_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,

    /// File of keys, one in each line, for instance of `openssl rand -hex 32`: restart records are signed with the first, and
    /// verified with each. Read once.
    #[arg(long, env = "SAVEDTEMPLATE_RECORD_KEY_FILE", value_name = "FILE")]
    pub record_key_file: Option<PathBuf>,

    /// Pays no restart record without a valid signature. Without it, only a wrong one is refused.
    #[arg(long, env = "SAVEDTEMPLATE_REQUIRE_SIGNED_RECORDS", requires = "record_key_file")]
    pub require_signed_records: bool,

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

    /// Most seconds between two looks at a region in which nothing goes on.
    #[arg(long, env = "SAVEDTEMPLATE_DRIFT_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(60..=300))]
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

    /// How restart records are signed.
    pub fn signing(&self) -> anyhow::Result<Signing> {
        let Some(file) = &self.record_key_file else {
            return Ok(Signing::off(&self.cluster_name));
        };
        let read = || -> anyhow::Result<_> {
            let keys = std::fs::read_to_string(file)?;
            Ok(Signing::with_keys(&self.cluster_name, &keys, self.require_signed_records)?)
        };
        read().with_context(|| format!("--record-key-file {}", file.display()))
    }
}

/// The text, if it can be the name of an installation.
pub fn cluster_name(text: &str) -> Result<String, String> {
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

/// The region of a text.
pub fn region(text: &str) -> Result<Region, String> {
    Region::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_signed_only_with_a_key_and_a_file_without_one_ends_the_program() {
        let run =
            |more: &str| Args::try_parse_from(format!("controller --cluster-name lab{more}").split(' '));
        assert_eq!(
            run(" --require-signed-records").unwrap_err().kind(),
            clap::error::ErrorKind::MissingRequiredArgument,
            "there would be nothing to verify them with"
        );
        assert!(run("").unwrap().signing().is_ok());
        let file = tempfile::NamedTempFile::new().unwrap();
        let args =
            run(&format!(" --record-key-file {} --require-signed-records", file.path().display())).unwrap();
        let why = |args: &Args| args.signing().err().map(|error| format!("{error:#}"));
        assert!(why(&args).unwrap().contains("no key"), "{:?}", why(&args));
        std::fs::write(file.path(), "0123456789abcdef0123456789abcdef\n").unwrap();
        assert_eq!(why(&args), None);
        let missing = run(" --record-key-file /nowhere").unwrap();
        assert!(why(&missing).unwrap().contains("--record-key-file /nowhere"), "{:?}", why(&missing));
    }
}
