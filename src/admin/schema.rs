//! The shapes of what is on record, for the description of the interface (contract 3). The records
//! themselves belong to the queue, which knows nothing of HTTP.

use crate::http::app::schema;

macro_rules! described {
    ($($name:ident as $title:literal in $file:literal;)+) => {$(
        pub(super) struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                schema(include_str!($file))
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }
        }
    )+};
}

described! {
    DeliverySchema as "Delivery" in "delivery.schema.json";
    EventRecordSchema as "EventRecord" in "event_record.schema.json";
    PageSchema as "DeliveryPage" in "page.schema.json";
}
