//! Secrets of one cluster.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand,
    rsa::{KeyPair, KeySize},
};
use k8s_openapi::ByteString;

/// A new RSA key as PEM, which signs the tokens of service accounts.
pub(crate) fn signing() -> Result<String> {
    let key = KeyPair::generate(KeySize::Rsa2048).context("cannot make an RSA key")?;
    let der: Pkcs8V1Der<'_> = key.as_der().context("cannot encode an RSA key")?;
    let text = base64(der.as_ref().to_vec())?;
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"))
}

/// A new bearer token.
pub(crate) fn token() -> Result<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).context("no random bytes")?;
    bytes.iter().try_fold(String::new(), |mut token, byte| {
        write!(token, "{byte:02x}")?;
        Ok(token)
    })
}

/// Base64 as Kubernetes writes it.
pub(crate) fn base64(bytes: Vec<u8>) -> Result<String> {
    Ok(serde_json::from_value(serde_json::to_value(ByteString(bytes))?)?)
}
