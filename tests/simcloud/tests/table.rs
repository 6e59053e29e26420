//! The table of the judge, played to the port of this crate alone: it comes to its end, says the same each time, and
//! leaves out no operation and no class of refusal.
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
    async fn the_table_tries_every_operation_meets_every_class_and_says_the_same_each_time() {
        let (rows, calls) = Box::pin(play(InProcess::new())).await;
        for operation in OPERATIONS {
            assert!(calls.iter().any(|call| call.contains(&format!(" {operation} "))), "{operation}");
        }
        for class in CLASSES {
            let told = |row: &String| row.ends_with(class) || row.contains(&format!("class: {class}"));
            assert!(rows.iter().any(told), "{class}");
        }
        assert_eq!(Box::pin(play(InProcess::new())).await, (rows, calls));
    }
}
