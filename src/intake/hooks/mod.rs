//! `POST /v1/hooks/{name}`: events in the words of those who send them.

pub mod huiying;

#[cfg(feature = "server")]
pub(super) use route::routes;

#[cfg(feature = "server")]
mod route {
    use axum::body::Body;
    use axum::extract::{Path, State};
    use axum::http::HeaderMap;
    use axum::response::Response;
    use utoipa_axum::router::OpenApiRouter;
    use utoipa_axum::routes;

    use super::huiying;
    use crate::domain::Source;
    use crate::http::problem::ProblemBody;
    use crate::http::{Allowed, Problem};
    use crate::intake::answer::Answer;
    use crate::intake::webhook::{Entrance, addressed, read_json, take};

    /// The hooks' routes.
    pub(in crate::intake) fn routes() -> OpenApiRouter<Entrance> {
        OpenApiRouter::new().routes(routes!(post_hook))
    }

    /// Takes a record of a source that speaks its own dialect.
    ///
    /// `huiying`: the image record of the Huiying studio. The answers are those of `POST /v1/events`.
    #[utoipa::path(
        post,
        path = "/v1/hooks/{name}",
        tag = "events",
        params(("name" = String, Path, description = "The source's name, as `huiying`")),
        request_body(content((serde_json::Map<String, serde_json::Value> = "application/json"))),
        responses(
            (status = 202, description = "On disk", body = Answer, headers(("Location" = String, description = "Where to read it"))),
            (status = 200, description = "Taken before with the same content", body = Answer, headers(("Location" = String))),
            (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
            (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
            (status = 403, description = "Not allowed", body = ProblemBody, content_type = "application/problem+json"),
            (status = 404, description = "No such source", body = ProblemBody, content_type = "application/problem+json"),
            (status = 408, description = "The body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
            (status = 409, description = "The id was taken before with other content, or the key with another request", body = ProblemBody, content_type = "application/problem+json"),
            (status = 413, description = "Larger than server.max_body", body = ProblemBody, content_type = "application/problem+json"),
            (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
            (status = 422, description = "Fields are wrong; each is listed", body = ProblemBody, content_type = "application/problem+json"),
            (status = 503, description = "The queue is full or the disk refuses; nothing was taken", body = ProblemBody,
             content_type = "application/problem+json", headers(("Retry-After" = u16, description = "Seconds"))),
        )
    )]
    async fn post_hook(
        State(entrance): State<Entrance>,
        _: Allowed,
        name: Result<Path<String>, axum::extract::rejection::PathRejection>,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, Problem> {
        let known = name.is_ok_and(|Path(name)| name == "huiying");
        if !known {
            return Err(Problem::not_found("there is no hook of this name"));
        }
        let source = Source::HUIYING;
        let read = read_json(&entrance.access, &headers, body).await;
        let (value, key) = read.inspect_err(|_| entrance.intake.count(&source, "invalid"))?;
        let parsed = huiying::parse(&value, entrance.intake.now());
        take(&entrance.intake, addressed(&entrance.intake, &value, parsed), key, source).await
    }
}
