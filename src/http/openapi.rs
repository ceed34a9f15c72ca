//! Parts of OpenAPI descriptions that several routes share.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
    schema::{ObjectBuilder, Type},
};

/// Reads a schema that is kept as a JSON file.
pub fn schema(text: &str) -> RefOr<Schema> {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "invalid JSON schema in the OpenAPI description");
        Schema::default().into()
    })
}

/// Defines types whose OpenAPI schemas are JSON files.
macro_rules! json_schemas {
    ($($name:ident as $title:literal in $file:literal;)+) => {$(
        pub(super) struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::http::openapi::schema(include_str!($file))
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }
        }
    )+};
}
pub(crate) use json_schemas;

/// Defines groups of problem responses for `responses(…)`.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident { $($status:literal $description:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(($status.to_string(), problem($status, $description).into())),+].into()
            }
        }
    )+};
}

problems! {
    /// Problems of every route that requires a token.
    TokenProblems {
        401 "Missing or invalid token",
        403 "Forbidden: the token's scope, kinds or recipients, or a web page of another origin",
    }
    /// Problems of every route that reads a body and stores events.
    PostProblems {
        400 "Malformed request: the body is not JSON",
        408 "The body arrives too slowly",
        409 "The id or the idempotency key already exists with different content",
        413 "The body exceeds the limit",
        415 "Unsupported media type, or a content coding other than gzip",
        422 "Validation errors; `errors` lists each one",
        503 "The queue is full, the disk fails, or request bodies use up server.body_budget; nothing was stored",
    }
    /// Problems of every route that reads the store.
    StoreProblems {
        503 "The store cannot be read",
    }
}

fn problem(status: u16, description: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content);
    if status == 503 {
        let seconds = HeaderBuilder::new()
            .schema(Some(
                ObjectBuilder::new().schema_type(Type::Integer).build(),
            ))
            .description(Some("Seconds"))
            .build();
        response.header("Retry-After", seconds).build()
    } else {
        response.build()
    }
}
