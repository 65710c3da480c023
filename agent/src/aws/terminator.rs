//! Ending the instance by the EC2 API. The role may do that to its own instance alone.

use aws_sdk_ec2::Client;
use futures::future::BoxFuture;

use super::CallError;
use crate::effects::Terminator;

/// EC2, for one instance.
#[derive(Clone, Debug)]
pub struct Ec2Terminator {
    client: Client,
    instance_id: String,
}

impl Ec2Terminator {
    /// Ends `instance_id`.
    #[must_use]
    pub fn new(client: Client, instance_id: String) -> Self {
        Self { client, instance_id }
    }
}

impl Terminator for Ec2Terminator {
    fn terminate(&self) -> BoxFuture<'_, Result<(), CallError>> {
        Box::pin(async {
            let answer = self.client.terminate_instances().instance_ids(&self.instance_id).send().await;
            answer.map(|_| ()).map_err(|error| CallError::new(format!("terminating {}", self.instance_id), &error))
        })
    }
}
