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
use kube::Client;
use serde_json::Value;

use crate::{side::Side, step::Step};

fn simulated() -> ApiServer {
    let kinds = [
        Kind::custom("judge.example", "v1", "things", "Thing").with_status(),
        Kind::custom("judge.example", "v1", "plains", "Plain").selectable_by("spec.color"),
        Kind::custom("judge.example", "v1", "wides", "Wide").in_cluster().with_status(),
        Kind::leases(),
        Kind::events(),
        Kind::namespaces(),
        Kind::config_maps(),
    ];
    ApiServer::new(kinds, || Timestamp::UNIX_EPOCH)
}

/// Both sides' answers to some steps.
struct Trial {
    sides: [Side; 2],
    steps: Vec<Step>,
    answers: [Vec<Value>; 2],
}

impl Trial {
    fn new(simulated: &ApiServer, real: Client) -> Self {
        let sides = [Side::new(simulated.client("default")), Side::new(real)];
        Self { sides, steps: Vec::new(), answers: [Vec::new(), Vec::new()] }
    }

    async fn take(&mut self, steps: Vec<Step>) {
        for (side, answers) in self.sides.iter_mut().zip(&mut self.answers) {
            for step in &steps {
                answers.push(side.take(step).await);
            }
        }
        self.steps.extend(steps);
    }

    /// Fails with what differs.
    fn judge(self, least: usize) {
        let Self { steps, answers, .. } = self;
        let [simulated, real] = answers.map(|answers| compare::normal(&steps, answers));
        let differences = compare::differences(&steps, &simulated, &real);
        println!("{} rows, {} differ", steps.len(), differences.len());
        assert!(steps.len() >= least, "the table has {} rows", steps.len());
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

#[tokio::test]
async fn what_it_answers_is_what_kube_apiserver_answers() -> Result<()> {
    let cluster = real::start().await?;
    let mut trial = Trial::new(&simulated(), real::client(&cluster).await?);
    trial.take(table::steps()).await;
    trial.judge(300);
    Ok(())
}

#[tokio::test]
async fn a_store_that_comes_back_older_looks_as_an_older_etcd_does() -> Result<()> {
    let cluster = real::start().await?;
    let server = simulated();
    let mut trial = Trial::new(&server, real::client(&cluster).await?);
    trial.take(table::restored::before()).await;
    let (snapshot, backup) = (server.snapshot(), cluster.back_up("older")?);
    trial.take(table::restored::lost()).await;
    server.restore(&snapshot);
    server.skip_versions(3);
    cluster.restore(&backup).await?;
    trial.take(table::restored::after()).await;
    trial.judge(200);
    Ok(())
}
