//! EC2, which has no more than it is given, and remembers what it answered.

use super::{Fault, Port, World};
use crate::{
    compute::{Compute, LaunchError, Launched, PowerError, Shortfall, TerminateError},
    decide::{
        errors::{Class, TOKEN_MISMATCH},
        launch::LaunchRequest,
        offers::{Kind, Offer, Pool},
    },
    ledger::{Write, tests::instance},
};

impl World {
    /// When each breaker was opened.
    pub(super) fn note_opened(&self, write: &Write) {
        let Write::PutOffers(it) = write else { return };
        let mut opened = self.opened.borrow_mut();
        opened.retain(|(fleet, key), _| *fleet != it.fleet || it.breakers.0.contains_key(key));
        for (key, breaker) in &it.breakers.0 {
            let known = opened.entry((it.fleet.clone(), key.clone())).or_default();
            if known.1 != breaker.until {
                *known = (self.now.get(), breaker.until);
            }
        }
    }

    /// EC2's answer to a request that it has not had before.
    fn give(&self, request: &LaunchRequest, fleet: &str, count: usize) -> Launched {
        let now = self.now.get();
        let reserved = self.ledger.borrow().view(fleet).reservations;
        let reserved_at = reserved.iter().find(|it| it.token() == request.token).map_or(now, |it| it.created_at);
        let is_dry = |offer: &&Offer| self.dry.borrow().get(&offer.key(request.market)).is_some_and(|it| *it > now);
        for key in request.offers.iter().map(|offer| offer.key(request.market)) {
            // The look that reserved may have been a little before.
            let open = self.opened.borrow().get(&(fleet.to_owned(), key.clone())).copied();
            if open.is_some_and(|(at, until)| at + 5000 < reserved_at && until > now) {
                self.asked_open.borrow_mut().push(key);
            }
        }
        let pool = |offer: &Offer| {
            let instance_type = match &offer.kind {
                Kind::Type(name) => name.clone(),
                Kind::Fitting(_) => "c7i.large".to_owned(),
            };
            Pool { subnet: offer.subnet.clone(), instance_type: Some(instance_type) }
        };
        let shortfall = |offer: &Offer| Shortfall {
            class: Class::Capacity,
            code: "InsufficientInstanceCapacity".into(),
            reason: format!("InsufficientInstanceCapacity: no {}", offer.key(request.market)),
            pool: Some(pool(offer)),
            zone: Some("eu-west-1a".into()),
        };
        let shortfalls = request.offers.iter().filter(is_dry).map(shortfall).collect();
        let Some(from) = request.offers.iter().find(|offer| !is_dry(offer)) else {
            return Launched { shortfalls, ..Launched::default() };
        };
        let instances: Vec<String> = (0..count).map(|_| instance(self.below(u64::MAX >> 12))).collect();
        self.born.borrow_mut().extend(instances.iter().map(|id| (id.clone(), fleet.to_owned())));
        self.launched.borrow_mut().insert(request.token.clone(), instances.clone());
        let types = instances.iter().map(|id| (id.clone(), "c7i.large".to_owned())).collect();
        Launched { instances, types, pools: vec![pool(from)], shortfalls }
    }
}

impl Compute for Port {
    async fn launch(&self, request: &LaunchRequest) -> Result<Launched, LaunchError> {
        let fault = self.0.call("compute.launch").await;
        let failed = |class, code: &str| {
            let source = "a fault".into();
            Err(LaunchError { token: request.token.clone(), class, code: Some(code.to_owned()), source })
        };
        let (count, more) = match fault {
            Some(Fault::Ec2(class, code)) => return failed(class, code),
            Some(Fault::Short(count, class)) => {
                let (code, reason) = ("Short".into(), "Short: short".into());
                (count, vec![Shortfall { class, code, reason, pool: None, zone: None }])
            }
            Some(Fault::Fewer(count)) => (count, Vec::new()),
            _ => (request.count as usize, Vec::new()),
        };
        let known = self.0.answers.borrow().get(&request.token).cloned();
        let launched = match known {
            Some((first, _)) if first != *request => return failed(Class::Permanent, TOKEN_MISMATCH),
            Some((_, answer)) => answer,
            None => {
                let fleet = request.tags.iter().find(|(key, _)| key == "dayfly:fleet").unwrap().1.clone();
                let mut answer = self.0.give(request, &fleet, count);
                answer.shortfalls.extend(more);
                self.0.note(format_args!("{} gives {} of {}", request.token, answer.instances.len(), request.count));
                self.0.answers.borrow_mut().insert(request.token.clone(), (request.clone(), answer.clone()));
                answer
            }
        };
        self.0.answered().await;
        Ok(launched)
    }

    async fn find(&self, id: &str) -> Result<Vec<String>, LaunchError> {
        self.0.call("compute.find").await;
        let all = self.0.launched.borrow().get(id).cloned().unwrap_or_default();
        Ok(all.into_iter().filter(|id| !self.0.dead.borrow().contains(id)).collect())
    }

    async fn terminate(&self, instances: &[String]) -> Result<(), TerminateError> {
        if self.0.call("compute.terminate").await.is_some() {
            return Err(TerminateError { instances: instances.to_vec(), source: "a fault".into() });
        }
        self.0.note(format_args!("terminated {}", instances.join(", ")));
        self.0.dead.borrow_mut().extend(instances.iter().cloned());
        self.0.answered().await;
        Ok(())
    }

    async fn stop(&self, instances: &[String]) -> Result<(), PowerError> {
        let fault = self.0.call("compute.stop").await;
        let gone = instances.iter().any(|it| self.0.dead.borrow().contains(it));
        switchable("stopping", instances, fault, gone)?;
        self.0.note(format_args!("stops {}", instances.join(", ")));
        self.0.asleep.borrow_mut().extend(instances.iter().cloned());
        self.0.answered().await;
        Ok(())
    }

    async fn start(&self, instance: &str) -> Result<(), PowerError> {
        let fault = self.0.call("compute.start").await;
        let gone = self.0.dead.borrow().contains(instance);
        switchable("starting", &[instance.to_owned()], fault, gone)?;
        self.0.note(format_args!("starts {instance}"));
        self.0.asleep.borrow_mut().remove(instance);
        self.0.answered().await;
        Ok(())
    }
}

/// EC2's refusal, where an instance is gone or a fault was asked for.
fn switchable(doing: &'static str, instances: &[String], fault: Option<Fault>, gone: bool) -> Result<(), PowerError> {
    let refused = match fault {
        Some(Fault::Ec2(class, code)) => Some((class, code)),
        Some(_) => Some((Class::Transient, "RequestLimitExceeded")),
        None => gone.then_some((Class::Capacity, "IncorrectInstanceState")),
    };
    let Some((class, code)) = refused else { return Ok(()) };
    let instances = instances.to_vec();
    Err(PowerError { doing, instances, class, code: Some(code.to_owned()), source: "a fault".into() })
}
