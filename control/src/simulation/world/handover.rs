//! The store of registrations.

use dayfly_contract::Registration;

use super::{Fault, Port};
use crate::{
    clock::Clock,
    fleets,
    handover::{Handover, HandoverError},
    report::Failure,
};

impl Handover for Port {
    async fn put(&self, by: fleets::Handover, instance: &str, it: &Registration) -> Result<(), HandoverError> {
        let failure = Failure::new("handing over", "a fault");
        let fault = self.0.call("handover.put").await;
        match fault {
            Some(Fault::HandoverPermanent) => return Err(HandoverError::Permanent(failure)),
            None | Some(Fault::Lost) => {}
            Some(_) => return Err(HandoverError::Transient(failure)),
        }
        self.0.handed_over_by.borrow_mut().insert(instance.to_owned(), by);
        if self.0.parameters.borrow().contains_key(instance) {
            return Err(HandoverError::Exists { instance: instance.to_owned() });
        }
        self.0.note(format_args!("SSM: the registration of {instance} is put"));
        self.0.taken_away.borrow_mut().remove(instance);
        self.0.parameters.borrow_mut().insert(instance.to_owned(), it.clone());
        self.0.census.put_at.borrow_mut().insert(instance.to_owned(), self.now());
        self.0.answered().await;
        if fault.is_some() { Err(HandoverError::Transient(failure)) } else { Ok(()) }
    }

    async fn exists(&self, by: fleets::Handover, instance: &str) -> Result<bool, HandoverError> {
        assert!(self.0.handed_over_by.borrow().get(instance).is_none_or(|it| *it == by), "asked of the other store");
        if self.0.call("handover.exists").await.is_some() {
            return Err(HandoverError::Transient(Failure::new("looking for a registration", "a fault")));
        }
        Ok(self.0.parameters.borrow().contains_key(instance))
    }

    async fn delete(&self, instance: &str) -> Result<(), HandoverError> {
        if self.0.call("handover.delete").await.is_some() {
            return Err(HandoverError::Transient(Failure::new("taking back", "a fault")));
        }
        if self.0.parameters.borrow_mut().remove(instance).is_some() {
            self.0.note(format_args!("SSM: the registration of {instance} is deleted by control"));
            self.0.taken_away.borrow_mut().insert(instance.to_owned());
        }
        Ok(())
    }
}
