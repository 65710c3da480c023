//! Webhooks: what they say (`payload`), how they are signed (`sign`), the order they go out in (`chaos`), and the
//! sending with its record (`deliver`).

mod chaos;
mod deliver;
mod payload;
mod sign;

pub use chaos::Chaos;
pub(crate) use deliver::{Deliverer, HOOK_ID, Outgoing};
pub use deliver::{Delivery, Webhook};
pub(crate) use payload::{Around, ORG_ID, Payloads, facts_of, seconds};
pub use sign::signature;
