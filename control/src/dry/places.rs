//! EC2, the stores of registrations and the queues, looked at alone; and the clock as it is.

use std::{collections::BTreeMap, time::Duration};

use dayfly_contract::Registration;

use super::{Dry, Kind};
use crate::{
    clock::{Clock, Millis},
    compute::{
        Compute, LaunchError, Launched, PowerError, TerminateError,
        instances::{DescribeError, Instances, Seen},
    },
    decide::{launch::LaunchRequest, reconcile},
    fleets,
    handover::{Handover, HandoverError, leftovers::Leftovers},
    wake::{Wake, WakeError, WakeUp},
};

impl<C: Compute> Compute for Dry<C> {
    async fn launch(&self, request: &LaunchRequest) -> Result<Launched, LaunchError> {
        self.journal.note(Kind::Instance, format!("launch {} instances under {}", request.count, request.token));
        Ok(Launched::default())
    }

    async fn find(&self, token: &str) -> Result<Vec<String>, LaunchError> {
        self.port.find(token).await
    }

    async fn terminate(&self, instances: &[String]) -> Result<(), TerminateError> {
        self.journal.note(Kind::Instance, format!("end {}", instances.join(", ")));
        Ok(())
    }

    async fn stop(&self, instances: &[String]) -> Result<(), PowerError> {
        self.journal.note(Kind::Instance, format!("stop {}", instances.join(", ")));
        Ok(())
    }

    async fn start(&self, instance: &str) -> Result<(), PowerError> {
        self.journal.note(Kind::Instance, format!("start {instance}"));
        Ok(())
    }
}

impl<C: Instances> Instances for Dry<C> {
    async fn states(&self, ids: &[String]) -> Result<BTreeMap<String, reconcile::deaths::AtEc2>, DescribeError> {
        self.port.states(ids).await
    }

    async fn ours(&self, deployment: &str, from: Option<&str>) -> Result<(Vec<Seen>, Option<String>), DescribeError> {
        self.port.ours(deployment, from).await
    }
}

impl<H: Handover> Handover for Dry<H> {
    async fn put(&self, _: fleets::Handover, instance: &str, _: &Registration) -> Result<(), HandoverError> {
        self.journal.note(Kind::Registration, format!("put the registration of {instance}"));
        Ok(())
    }

    async fn exists(&self, by: fleets::Handover, instance: &str) -> Result<bool, HandoverError> {
        self.port.exists(by, instance).await
    }

    async fn delete(&self, instance: &str) -> Result<(), HandoverError> {
        self.journal.note(Kind::Registration, format!("delete the registration of {instance}"));
        Ok(())
    }
}

impl<H: Leftovers> Leftovers for Dry<H> {
    async fn waiting(
        &self,
        from: Option<&str>,
    ) -> Result<(Vec<reconcile::leftovers::Registration>, Option<String>), HandoverError> {
        self.port.waiting(from).await
    }
}

impl<W: Wake> Wake for Dry<W> {
    async fn send(&self, wake_up: &WakeUp, _: Duration) -> Result<(), WakeError> {
        self.journal.note(Kind::Wake, format!("wake fleet {}", wake_up.fleet));
        Ok(())
    }

    async fn see_again(&self, _: &str, _: Duration) -> Result<(), WakeError> {
        self.journal.note(Kind::Note, "when a message is seen again");
        Ok(())
    }

    async fn put_aside(&self, _: &str, reason: &str) -> Result<bool, WakeError> {
        self.journal.note(Kind::Wake, format!("put a message aside: {reason}"));
        Ok(true)
    }
}

impl<C: Clock> Clock for Dry<C> {
    fn now(&self) -> Millis {
        self.port.now()
    }

    fn random(&self) -> u128 {
        self.port.random()
    }

    async fn sleep(&self, wait: Duration) {
        self.port.sleep(wait).await;
    }

    async fn until(&self, at: Millis) {
        self.port.until(at).await;
    }
}
