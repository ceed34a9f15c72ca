//! Builds the dispatcher's pipeline from a configuration.

use std::sync::Arc;

use super::tokens::token_home;
use crate::clock::Clock;
use crate::config::Config;
use crate::dispatch::{Breaker, Permitted, Pipeline, Server};
use crate::queue::Queue;
use crate::render::Renderer;
use crate::telemetry::Metrics;
use crate::transport::explain::Table;
use crate::transport::oauth::TokenHome;
use crate::transport::{Context, Settings, SetupError, Transport};

/// The pipeline for a configuration, without servers while `smtp.enable` is false.
///
/// # Errors
/// If the settings of a mail server are unusable.
pub fn pipeline(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Clock,
    queue: &Queue,
) -> Result<Pipeline, SetupError> {
    let tokens = token_home(config, queue);
    let context = context(metrics, clock, tokens);
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
fn context(metrics: &Arc<Metrics>, clock: &Clock, tokens: TokenHome) -> Context {
    Context {
        metrics: Arc::clone(metrics),
        replies: Arc::new(Table::new()),
        clock: clock.clone(),
        tokens: Some(tokens),
    }
}
