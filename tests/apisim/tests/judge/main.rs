//! The judge: apisim and a real kube-apiserver are asked the same, in the same order, and must answer the same, down to
//! each field, once uids and versions are replaced by their order, and times by that they are there.

#[cfg(test)]
mod compare;
#[cfg(test)]
mod real;
#[cfg(test)]
mod side;
#[cfg(test)]
mod step;
#[cfg(test)]
mod table;

use anyhow::Result;
use apisim::{ApiServer, Kind};
use jiff::Timestamp;

use crate::{side::Side, step::Step};

fn simulated() -> ApiServer {
    let kinds = [
        Kind::custom("judge.example", "v1", "things", "Thing").with_status(),
        Kind::custom("judge.example", "v1", "plains", "Plain"),
        Kind::custom("judge.example", "v1", "wides", "Wide").in_cluster().with_status(),
        Kind::leases(),
        Kind::events(),
        Kind::namespaces(),
        Kind::config_maps(),
    ];
    ApiServer::new(kinds, || Timestamp::UNIX_EPOCH)
}

#[tokio::test]
async fn what_it_answers_is_what_kube_apiserver_answers() -> Result<()> {
    let steps: Vec<Step> = table::steps();
    assert!(steps.len() >= 60, "the table has {} rows", steps.len());
    let real = real::start().await?;
    let mut answers = Vec::new();
    for client in [simulated().client("default"), real::client(&real).await?] {
        let mut side = Side::new(client);
        let mut of_side = Vec::new();
        for step in &steps {
            of_side.push(side.take(step).await);
        }
        answers.push(compare::normal(&steps, of_side));
    }
    let differences = compare::differences(&steps, &answers[0], &answers[1]);
    println!("{} rows, {} differ", steps.len(), differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}
