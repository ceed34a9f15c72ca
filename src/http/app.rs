//! The routers of the rooms as one: unknown paths, wrong methods, and the description of it all.

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

use super::{Access, Problem, Why, visitor};

/// Closes the routers behind the [`visitor::guard`]: `/openapi.json` gives the description of every
/// route, what is not there is a 404, what is there for another method a 405 with `Allow`.
pub fn close(rooms: Router, access: &Access, described: fn() -> OpenApi) -> Router {
    let description = Description {
        rooms: described,
        text: Arc::default(),
    };
    let rooms = rooms
        .route("/openapi.json", get(openapi))
        .layer(axum::Extension(description));
    let rooms = rooms
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method);
    rooms.layer(axum::middleware::from_fn_with_state(
        access.clone(),
        visitor::guard,
    ))
}

/// The description, put together when it is first asked for: a daemon that nobody asks need not
/// hold it, nor the program's parts that make it.
#[derive(Clone)]
struct Description {
    rooms: fn() -> OpenApi,
    text: Arc<OnceLock<Bytes>>,
}

impl Description {
    fn text(&self) -> Bytes {
        let make = || {
            let whole = frame()
                .merge_from((self.rooms)())
                .merge_from(Own::openapi());
            Bytes::from(serde_json::to_vec(&whole).unwrap_or_default())
        };
        self.text.get_or_init(make).clone()
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(openapi))]
struct Own;

/// What the description says before any route is in it.
fn frame() -> OpenApi {
    let info = InfoBuilder::new().title("Jobbell").version(env!("CARGO_PKG_VERSION")).description(Some(
        "Completion events in, good mails out. Every refusal is application/problem+json (RFC 9457). Any route may answer 400 (not exactly one Host) and \
             429 with Retry-After (a token's rate is used up, or an address sends too many wrong tokens); where no tokens are configured 421 (a Host that is \
             not ours); where they are 403 (the token lacks the scope).",
    ));
    let bearer = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("One of server.tokens or [[server.token]]"))
            .build(),
    );
    OpenApiBuilder::new()
        .info(info)
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("bearer", bearer)
                .build(),
        ))
        // Without configured tokens nobody needs one, hence the second, empty choice.
        .security(Some([
            SecurityRequirement::new("bearer", [] as [&str; 0]),
            SecurityRequirement::default(),
        ]))
        .build()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, description = "OpenAPI", content_type = "application/json")))]
async fn openapi(axum::Extension(description): axum::Extension<Description>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        description.text(),
    )
        .into_response()
}

async fn unknown() -> Problem {
    Problem::not_found("there is nothing at this path; /openapi.json lists what there is")
        .because(Why::Path)
}

async fn wrong_method(method: Method) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not known here; see Allow"),
    )
}

/// A shape that is written down as JSON, for values whose room knows nothing of HTTP.
pub fn schema(text: &str) -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "a schema of /openapi.json cannot be read");
        utoipa::openapi::Schema::default().into()
    })
}
