//! The binary's flags.

use clap::Parser;
use ec2sim::{Config, Millis, RegionConfig, ServerConfig};

/// An EC2 endpoint with clocks. Durations are in milliseconds.
#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub(crate) struct Args {
    /// The port on 127.0.0.1; 0: any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The regions that exist.
    #[arg(long, value_delimiter = ',')]
    regions: Vec<String>,
    /// How far the clock is ahead of this machine's, in seconds.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    offset: Millis,
    /// From `StopInstances` to stopped.
    #[arg(long, default_value_t = Config::default().stop)]
    stop: Millis,
    /// From `StartInstances` to running.
    #[arg(long, default_value_t = Config::default().start)]
    start: Millis,
    /// From `CreateImage` until its snapshots appear.
    #[arg(long, default_value_t = Config::default().snapshot_lag)]
    snapshot_lag: Millis,
    /// Between one snapshot of an image and the next.
    #[arg(long, default_value_t = Config::default().snapshot_stagger)]
    snapshot_stagger: Millis,
    /// From a snapshot's start to completed.
    #[arg(long, default_value_t = Config::default().snapshot)]
    snapshot: Millis,
    /// From `CreateImage` to available.
    #[arg(long, default_value_t = Config::default().image)]
    image: Millis,
    /// From `CopyImage` to available.
    #[arg(long, default_value_t = Config::default().copy)]
    copy: Millis,
    /// How long something new is not yet to be seen.
    #[arg(long, default_value_t = Config::default().visibility_lag)]
    visibility_lag: Millis,
    /// How old what each replica shows is that answers reads; none: reads see what is.
    #[arg(long, value_delimiter = ',')]
    replicas: Vec<Millis>,
    /// How long a deregistered image's name stays taken.
    #[arg(long, default_value_t = Config::default().name_release)]
    name_release: Millis,
    /// How long after deregistration a snapshot still counts as in use.
    #[arg(long, default_value_t = Config::default().snapshot_release)]
    snapshot_release: Millis,
    /// The largest page of any Describe call.
    #[arg(long, default_value_t = Config::default().page)]
    page: usize,
    /// Starting a machine before its snapshots appeared does not fail its image.
    #[arg(long)]
    early_start_is_harmless: bool,
    /// The state transition reason has the time when a stop ended.
    #[arg(long)]
    transition_at_end: bool,
    /// Images of `CreateImage` do not name the AMI that their machine was launched from.
    #[arg(long)]
    no_ancestors: bool,
    /// `CopyImage` takes a name in use.
    #[arg(long)]
    copies_share_names: bool,
    /// How long after a change of tags IAM still goes by the old ones.
    #[arg(long, default_value_t = Config::default().iam_tag_latency)]
    iam_tag_latency: Millis,
    /// Calls are throttled.
    #[arg(long)]
    throttles: bool,
    /// IAM knows the tags of what is copied.
    #[arg(long)]
    copy_source_has_tags: bool,
    /// Where ids come from.
    #[arg(long, default_value_t = Config::default().seed)]
    seed: u64,
}

impl From<Args> for ServerConfig {
    fn from(args: Args) -> Self {
        let mut sim = Config {
            stop: args.stop,
            start: args.start,
            snapshot_lag: args.snapshot_lag,
            snapshot_stagger: args.snapshot_stagger,
            snapshot: args.snapshot,
            image: args.image,
            copy: args.copy,
            visibility_lag: args.visibility_lag,
            replicas: args.replicas,
            name_release: args.name_release,
            snapshot_release: args.snapshot_release,
            page: args.page,
            start_before_capture_fails_image: !args.early_start_is_harmless,
            transition_at_end: args.transition_at_end,
            ancestors: !args.no_ancestors,
            copy_name_unique: !args.copies_share_names,
            throttles: args.throttles,
            iam_tag_latency: args.iam_tag_latency,
            copy_source_has_tags: args.copy_source_has_tags,
            seed: args.seed,
            ..Config::default()
        };
        if !args.regions.is_empty() {
            sim.regions = args.regions.iter().map(|name| RegionConfig::new(name)).collect();
        }
        Self { port: args.port, offset: args.offset.saturating_mul(1_000), sim }
    }
}
