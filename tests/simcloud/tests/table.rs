//! The table of the judge, played to the port of this crate alone: it leaves out no operation and no class of
//! refusal, and says the same where calls come a little late, as they do over HTTP.
#[cfg(test)]
mod play;
#[cfg(test)]
mod stage;

#[cfg(test)]
mod tests {
    use crate::{play::play, stage::InProcess};

    const OPERATIONS: &[&str] = &[
        "DescribeInstances",
        "DescribeImages",
        "DescribeSnapshots",
        "DescribeTags",
        "DescribeInstanceAttribute",
        "DescribeInstanceStatus",
        "DescribeInstanceTypes",
        "DescribeVolumes",
        "DescribeRegions",
        "StopInstances",
        "StartInstances",
        "CreateImage",
        "CopyImage",
        "CreateTags",
        "DeleteTags",
        "ModifyImageAttribute",
        "DeregisterImage",
        "DeleteSnapshot",
    ];

    const CLASSES: &[&str] = &[
        "Throttle",
        "Unknown",
        "Wait",
        "Capacity",
        "Denied",
        "NotFound",
        "NameTaken",
        "TokenUsed",
        "Caller",
        "Late",
    ];

    #[tokio::test(start_paused = true)]
    async fn the_table_tries_every_operation_meets_every_class_and_says_the_same_though_calls_are_late() {
        let (rows, calls) = Box::pin(play(InProcess::new(0))).await;
        for operation in OPERATIONS {
            assert!(calls.iter().any(|call| call.contains(&format!(" {operation} "))), "{operation}");
        }
        for class in CLASSES {
            let told = |row: &String| row.ends_with(class) || row.contains(&format!("class: {class}"));
            assert!(rows.iter().any(told), "{class}");
        }
        for delay in [0, 3_000] {
            let (late_rows, late_calls) = Box::pin(play(InProcess::new(delay))).await;
            let rows = rows.iter().zip(&late_rows).find(|(on_time, late)| on_time != late);
            assert_eq!((rows, &calls), (None, &late_calls), "{delay}");
        }
    }
}
