//! Combines the routers of all modules: unknown paths, wrong methods, and the OpenAPI description.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement,
};

use super::guard::guard;
use super::problem::ProblemBody;
use super::{Access, Problem, Why};

/// Finishes a router: adds `guard`, `/openapi.json`, 404 for unknown paths and 405 with
/// `Allow` for wrong methods.
pub fn finish(routers: Router, access: &Access, openapi_of_routers: fn() -> OpenApi) -> Router {
    let description = Description {
        routers: openapi_of_routers,
        text: Arc::default(),
    };
    let routers = routers
        .route("/openapi.json", get(openapi))
        .layer(axum::Extension(description));
    let routers = routers
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method);
    routers.layer(axum::middleware::from_fn_with_state(access.clone(), guard))
}

/// The OpenAPI description, built on first use: most daemons are never asked for it.
#[derive(Clone)]
struct Description {
    routers: fn() -> OpenApi,
    text: Arc<OnceLock<Bytes>>,
}

impl Description {
    fn text(&self) -> Bytes {
        let make = || {
            let whole = frame()
                .merge_from((self.routers)())
                .merge_from(ApiDoc::openapi());
            Bytes::from(serde_json::to_vec(&whole).unwrap_or_default())
        };
        self.text.get_or_init(make).clone()
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(openapi), components(schemas(ProblemBody)))]
struct ApiDoc;

/// The description without routes.
fn frame() -> OpenApi {
    let info = InfoBuilder::new().title("Jobbell").version(env!("CARGO_PKG_VERSION")).description(Some(
        "Reliable email notifications for finished jobs. Every error is application/problem+json (RFC 9457). Any route may answer 400 (not exactly one Host) and \
             429 with Retry-After (the rate limit of a token, or too many invalid tokens from one address); without configured tokens 421 (foreign Host); with tokens 403 (missing scope).",
    ));
    let bearer = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of server.tokens or [[server.token]]"))
            .build(),
    );
    OpenApiBuilder::new()
        .info(info)
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("bearer", bearer)
                .build(),
        ))
        // Without configured tokens none is needed, hence the second, empty requirement.
        .security(Some([
            SecurityRequirement::new("bearer", [] as [&str; 0]),
            SecurityRequirement::default(),
        ]))
        .build()
}

/// The OpenAPI description.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, description = "OpenAPI", content_type = "application/json")))]
async fn openapi(axum::Extension(description): axum::Extension<Description>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        description.text(),
    )
        .into_response()
}

async fn unknown() -> Problem {
    Problem::not_found("unknown path; see /openapi.json").because(Why::Path)
}

async fn wrong_method(method: Method) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("method {method} not allowed; see the Allow header"),
    )
}
