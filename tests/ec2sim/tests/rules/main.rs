//! What EC2 does, rule by rule, in virtual time.

#[cfg(test)]
mod accounts;
mod adversity;
mod copies;
mod faults;
mod guards;
#[cfg(test)]
mod iam;
mod images;
mod kinds;
mod lists;
mod names;
mod pages;
mod power;
mod replicas;
#[cfg(test)]
mod served;
mod shares;
mod strange;
mod tags;
mod throttles;
#[cfg(test)]
mod world;

use {
    anyhow as _, clap as _, form_urlencoded as _, http_body_util as _, hyper as _, hyper_util as _,
    jiff as _, rustix as _, serde as _, tokio as _,
};
