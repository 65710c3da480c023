//! A wall in a client: whatever it is asked to do, it only reads. For commands that change nothing, behind the ports that
//! pass no change on.

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeSerializationInterceptorContextRef},
        orchestrator::Metadata,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;

/// What the names of operations begin with that change nothing.
const READING: [&str; 7] = ["BatchGet", "Describe", "Get", "Head", "List", "Query", "Scan"];

/// An interceptor that refuses every operation that is not known to read alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadsOnly;

impl Intercept for ReadsOnly {
    fn name(&self) -> &'static str {
        "a client that only reads"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = cfg.load::<Metadata>().map_or("", |it| it.name());
        if is_reading(operation) { Ok(()) } else { Err(format!("{operation} is refused: nothing is to change").into()) }
    }
}

fn is_reading(operation: &str) -> bool {
    READING.iter().any(|prefix| operation.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_reading;

    #[test]
    fn what_is_not_known_to_read_is_refused() {
        for operation in ["GetItem", "Query", "Scan", "DescribeInstances", "GetParametersByPath", "ListObjectsV2"] {
            assert!(is_reading(operation), "{operation}");
        }
        for operation in
            ["PutItem", "TransactWriteItems", "DeleteParameter", "CreateFleet", "SendMessage", "ReceiveMessage", ""]
        {
            assert!(!is_reading(operation), "{operation}");
        }
    }
}
