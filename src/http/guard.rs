//! Checks `Host` and `Origin` before every route.
//!
//! A web page under a foreign name that resolves to our address (DNS rebinding) reaches us like any
//! local program; only `Host` and `Origin` reveal it. So both must be ours unless a token or a
//! webhook's secret authenticates the caller.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::host::Authority;
use super::{Access, Peer, Problem, Sender, Visitor, Why};

/// Health probes may use any name.
const HEALTH: [&str; 3] = ["/livez", "/readyz", "/health"];
/// Webhooks have other means of authentication; they check `Host` and `Origin` themselves if
/// necessary.
const HOOKS: &str = "/v1/hooks/";

/// Rejects requests without exactly one `Host`, and, if there are no tokens, those with a foreign
/// one; slows down guessing.
pub(super) async fn guard(
    State(access): State<Access>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let visitor = match visitor(&access, peer, &request) {
        Ok(visitor) => visitor,
        Err(problem) => return problem.into_response(),
    };
    let address = request
        .extensions()
        .get::<Sender>()
        .and_then(Sender::address);
    let path = request.uri().path();
    let is_open = HEALTH.contains(&path) || path.starts_with(HOOKS);
    if !access.has_tokens()
        && !is_open
        && let Err(problem) = visitor.check_host()
    {
        return problem.into_response();
    }
    request.extensions_mut().insert(visitor);
    access.slow_down(address, next.run(request).await).await
}

fn visitor(access: &Access, peer: Option<Peer>, request: &Request) -> Result<Visitor, Problem> {
    let host = host(request.headers())?;
    let target = match request.uri().authority() {
        Some(authority) => Some(Authority::parse(authority.as_str()).ok_or_else(bad_host)?),
        None => None,
    };
    let ours = access.names();
    let host_is_ours = peer == Some(Peer::Unix)
        || std::iter::once(&host)
            .chain(&target)
            .all(|authority| ours.covers(&authority.host, peer));
    Ok(Visitor {
        peer,
        host_is_ours,
        origin_is_ours: ours.is_origin(request.headers(), &host, peer),
    })
}

/// The `Host` of a request, which must be unique (RFC 9112 §3.2).
fn host(headers: &HeaderMap) -> Result<Authority, Problem> {
    let mut all = headers.get_all(header::HOST).iter();
    match (all.next().and_then(|value| value.to_str().ok()), all.next()) {
        (Some(text), None) => Authority::of_host(text).ok_or_else(bad_host),
        _ => Err(bad_host()),
    }
}

fn bad_host() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "send exactly one Host: a name or an address, optionally with a port",
    )
    .because(Why::Host)
}
