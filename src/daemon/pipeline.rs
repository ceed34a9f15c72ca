//! Builds the dispatcher's pipeline from a configuration.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::dispatch::{Breaker, Permitted, Pipeline, Server};
use crate::render::Renderer;
use crate::telemetry::Metrics;
use crate::transport::explain::Table;
use crate::transport::{Context, Settings, SetupError, Transport};

/// The pipeline for a configuration, without servers while `smtp.enable` is false.
///
/// # Errors
/// If the settings of a mail server are unusable.
pub fn pipeline(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<Pipeline, SetupError> {
    let context = context(config, metrics, clock);
    let server = |settings: &Settings| {
        let common = &settings.common;
        let breaker = Breaker::new(common.cooldown, common.cooldown_max);
        metrics.server_up(&common.name, true);
        Ok(Server::new(
            Transport::new(settings, &context)?,
            breaker,
            common.rate_limit,
        ))
    };
    let servers = if config.routes.enabled {
        config
            .smtp
            .iter()
            .map(server)
            .collect::<Result<_, SetupError>>()?
    } else {
        Vec::new()
    };
    let routes = config.routes.clone();
    let permitted = Permitted::by(move |recipient| routes.allows(recipient));
    let renderer = Renderer::new(config.render.clone());
    Ok(Pipeline::new(servers, renderer, &config.dispatch).permitting(permitted))
}

/// Shared parts of the mail servers of a configuration.
pub fn context(config: &Config, metrics: &Arc<Metrics>, clock: &Clock) -> Context {
    let state_dir = Some(config.queue.state_dir.clone());
    Context {
        metrics: Arc::clone(metrics),
        replies: Arc::new(Table::new()),
        clock: clock.clone(),
        state_dir,
    }
}
