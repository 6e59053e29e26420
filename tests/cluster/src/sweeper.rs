//! Removes the folder of a cluster, also when nobody is left to do it.

use std::{fs::OpenOptions, os::unix::net::UnixStream, path::Path, process::Child, time::Duration};

use anyhow::Result;

use crate::leash;

// When the process was killed, its servers die at the same moment and may still write.
const SWEEP: &str =
    r#"read _; n=0; until rm -rf -- "$1" || [ $n -ge 10 ]; do n=$((n + 1)); sleep 1; done 2>/dev/null"#;

/// A process that waits for this one to let go or die, and then removes a folder.
#[derive(Debug)]
pub(crate) struct Sweeper {
    child: Child,
    held: UnixStream,
}

impl Sweeper {
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let mut shell = leash::shell(SWEEP);
        shell.arg(dir);
        let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
        let (child, held) = leash::start(shell, &nowhere)?;
        Ok(Self { child, held })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        leash::release(&mut self.held, Duration::from_secs(15));
        drop(self.child.wait());
    }
}
