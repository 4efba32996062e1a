//! The guarded client, as configured.

use crate::config::Config;
use crate::errors::{CliError, Result};
use argiope_egress::{EgressConfig, GuardedClient};
use argiope_protocol::ErrorCode;

/// The only way out.
///
/// # Errors
/// `AR0006` when the file of certificate authorities cannot be read, `AR0002` when a setting is refused.
pub(crate) fn client(config: &Config) -> Result<GuardedClient> {
    GuardedClient::try_new(egress_config(config)?)
        .map_err(|error| CliError::new(ErrorCode::Config, "the [egress] settings cannot be used").because(error))
}

/// The settings of the client.
///
/// # Errors
/// As [`client`].
pub(crate) fn egress_config(config: &Config) -> Result<EgressConfig> {
    let egress = &config.egress;
    let read = |path: &std::path::PathBuf| std::fs::read(path).map_err(|error| CliError::file("read", path, &error));
    Ok(EgressConfig {
        user_agent: egress.user_agent.clone(),
        allow_cidrs: egress.allow_cidrs.clone(),
        allow_ports: egress.allow_ports.clone(),
        static_hosts: egress.static_hosts.clone(),
        connect_timeout: egress.connect_timeout,
        total_timeout: egress.total_timeout,
        min_bytes_per_sec: egress.min_bytes_per_sec,
        max_header_bytes: egress.max_header_bytes,
        // Who allows more requests to a host means its address.
        per_ip: config.crawl.per_ip.max(config.crawl.politeness.per_host),
        proxy: egress.proxy.clone(),
        extra_ca_pem: egress.extra_ca_file.as_ref().map(read).transpose()?,
        ..EgressConfig::default()
    })
}
