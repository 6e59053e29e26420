//! `make demo`: two machines are saved before your eyes, one given back at the barrier, one when its image is there.
use std::process::ExitCode;

use clap::Parser;
use saved_template_tests::demo;
use tokio::signal::unix::{SignalKind, signal};

/// Saves two simulated EC2 machines with the real controller and a real API server, and says what happened.
#[derive(Parser)]
#[command(name = "demo")]
struct Args {
    /// Ends when both are saved: 0 if everything was as it should be. Otherwise it stays up until Ctrl-C.
    #[arg(long)]
    once: bool,

    /// Goes on after the first save: a region more, revision 2, back to 1, and everything deleted.
    #[arg(long)]
    tour: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    // Listened to before anything is started: whatever runs by then ends with this process.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        outcome = demo::run(args.once, args.tour) => match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("\nThe demo failed: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ = interrupt.recv() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(143),
    })
}
